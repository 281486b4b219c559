//! Bytes that sessions hold besides their state, computed from a text, so that every side can verify them
//! (docker/CONTRACT.md). Traffic and reference nodes compute them independently. It depends on no other module.

use crc32fast::Hasher;

/// Multiplier and increment of the generator: `ranqd1` of Numerical Recipes, 32 bits.
const MULTIPLIER: u32 = 1_664_525;
const INCREMENT: u32 = 1_013_904_223;

/// The `count` bytes that belong to `text`. They look random, so that nothing between client and node can compress
/// them.
#[must_use]
pub fn bytes_of(text: &str, count: usize) -> Vec<u8> {
    let mut number = crc32fast::hash(text.as_bytes());
    let next = || {
        number = number.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        number.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Length and checksum of a byte sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    /// The length, in bytes.
    pub bytes: u64,
    /// The CRC-32 (ISO-HDLC, as in zlib).
    pub crc32: u32,
}

impl Checksum {
    /// Adds `bytes` to the checksum.
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new_with_initial_len(self.crc32, self.bytes);
        hasher.update(bytes);
        Self { bytes: self.bytes + bytes.len() as u64, crc32: hasher.finalize() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_from_the_text_as_the_contract_shows() {
        assert_eq!(bytes_of("1.1.1", 4), [0x3b, 0xea, 0x79, 0xe3]);
        assert_ne!(bytes_of("1.1.1", 16), bytes_of("1.1.2", 16));
        assert!(bytes_of("", 0).is_empty());
    }

    #[test]
    fn a_checksum_is_extended_by_later_bytes() {
        let whole = Checksum::default().and(b"123456789");
        assert_eq!((whole.bytes, whole.crc32), (9, 0xcbf4_3926), "the check value of CRC-32/ISO-HDLC");
        assert_eq!(Checksum::default().and(b"1234").and(b"56789"), whole);
    }
}
