//! What a session holds, and how an operation changes it. Knows no framework and no store.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const EMPTY_DIGEST: &str = "cbf29ce484222325";
const TAIL: usize = 8;

#[derive(Serialize, Deserialize)]
pub struct Held {
    /// Whose it is; empty for a visitor's.
    pub owner: String,
    epoch: String,
    version: u64,
    digest: String,
    tail: Vec<String>,
    /// In base64, because both frameworks keep text.
    payload: String,
    changing: String,
}

impl Held {
    pub fn new(owner: String, bytes: usize) -> Self {
        let epoch = draw();
        let payload = STANDARD.encode(bytes_of(&epoch, bytes));
        let (digest, changing) = (EMPTY_DIGEST.to_owned(), String::new());
        Self { owner, epoch, version: 0, digest, tail: Vec::new(), payload, changing }
    }

    /// Appends an operation, which also sets an attribute of so many bytes, where there are any.
    pub fn append(&mut self, op: &str, bytes: usize) {
        self.version += 1;
        self.digest = chained(&self.digest, op);
        self.tail.push(op.to_owned());
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        if bytes > 0 {
            self.changing = STANDARD.encode(bytes_of(op, bytes));
        }
    }

    /// What the contract shows of it.
    pub fn state(&self) -> Value {
        let mut payload = STANDARD.decode(&self.payload).unwrap_or_default();
        payload.extend(STANDARD.decode(&self.changing).unwrap_or_default());
        json!({
            "owner": self.owner, "epoch": self.epoch, "version": self.version, "digest": self.digest, "tail": self.tail,
            "payload": {"bytes": payload.len(), "crc32": format!("{:08x}", crc32fast::hash(&payload))},
        })
    }
}

/// 16 hexadecimal digits.
pub fn draw() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// FNV-1a with 64 bits of the digest before, big end first, and the operation.
fn chained(digest: &str, op: &str) -> String {
    let before = u64::from_str_radix(digest, 16).unwrap_or_default().to_be_bytes();
    let hash = before
        .iter()
        .chain(op.as_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// The bytes of a text: a linear congruential generator whose seed is its CRC-32.
fn bytes_of(text: &str, count: usize) -> Vec<u8> {
    let mut x = crc32fast::hash(text.as_bytes());
    let next = || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
