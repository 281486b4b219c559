//! The digest of an order of operations, as the session contract defines it (docker/CONTRACT.md).

use super::OperationId;

const FNV_OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The digest of a session without operations.
pub const EMPTY_DIGEST: u64 = FNV_OFFSET_BASIS;

/// The digest after appending `op` to a state with `digest`: 64-bit FNV-1a over the eight bytes of the digest, in
/// big-endian order, then the id.
#[must_use]
pub fn append_to_digest(digest: u64, op: OperationId) -> u64 {
    let hash = digest.to_be_bytes().iter().fold(FNV_OFFSET_BASIS, |hash, byte| next(hash, *byte));
    let mut digits = itoa::Buffer::new();
    let hash = text(hash, digits.format(op.session));
    let hash = text(next(hash, b'.'), digits.format(op.life));
    text(next(hash, b'.'), digits.format(op.number))
}

fn text(hash: u64, text: &str) -> u64 {
    text.bytes().fold(hash, next)
}

const fn next(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(FNV_PRIME)
}
