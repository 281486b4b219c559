//! Short digests, by which images and programs are told apart. It knows neither.

use sha2::{Digest, Sha256};

/// The first twelve hexadecimal digits of a SHA-256.
#[must_use]
pub fn short(hash: Sha256) -> String {
    let number = hash.finalize().iter().take(6).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_digest_is_the_beginning_of_the_whole_one() {
        // The standard's example: ba7816bf 8f01cfea …
        assert_eq!(short(Sha256::new_with_prefix("abc")), "ba7816bf8f01");
    }
}
