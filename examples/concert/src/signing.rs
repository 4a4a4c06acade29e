//! Proofs that a token or a receipt was issued by this process.
//!
//! [`Signer`] makes them by PBKDF2-HMAC-SHA256 (RFC 8018, section 5.2; HMAC is RFC 2104) with a key that
//! lives as long as the process. The rounds are where most of a request's CPU time goes, as password
//! hashing and TLS are where it goes in real services. It refuses to be a model for real money: take a
//! vetted library for that.

use std::hash::{BuildHasher, RandomState};

use sha2::{Digest, Sha256};

/// Rounds for a queue token, verified by every request behind the queue.
pub const TOKEN_ROUNDS: u32 = 1_000;

/// Rounds for a receipt.
pub const RECEIPT_ROUNDS: u32 = 3_000;

/// SHA-256 works on blocks of this many bytes.
const BLOCK: usize = 64;

/// Signs messages with one key.
#[derive(Clone)]
pub struct Signer {
    /// The states of the two hashes of HMAC after the padded key, which all messages share.
    inner: Sha256,
    outer: Sha256,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl Signer {
    /// A signer with a key of its own: signatures of an earlier process are not accepted.
    #[must_use]
    pub fn with_random_key() -> Self {
        let mut key = Vec::new();
        for part in 0..4 {
            // The standard library seeds each `RandomState` from the operating system.
            key.extend(RandomState::new().hash_one(part).to_le_bytes());
        }
        Self::with_key(&key)
    }

    fn with_key(key: &[u8]) -> Self {
        assert!(key.len() <= BLOCK, "a longer key would have to be hashed first");
        let mut padded = [0_u8; BLOCK];
        padded[..key.len()].copy_from_slice(key);
        Self {
            inner: Sha256::new_with_prefix(padded.map(|byte| byte ^ 0x36)),
            outer: Sha256::new_with_prefix(padded.map(|byte| byte ^ 0x5c)),
        }
    }

    /// The first 128 bits of the message's signature, as 32 hexadecimal digits.
    #[must_use]
    pub fn sign(&self, message: &str, rounds: u32) -> String {
        let signature = self.derive(message.as_bytes(), rounds);
        signature[..16].iter().flat_map(|byte| [byte >> 4, byte & 15]).map(hex_digit).collect()
    }

    /// The first block of PBKDF2's output, with the signer's key as password and the message as salt.
    fn derive(&self, message: &[u8], rounds: u32) -> [u8; 32] {
        let mut block = self.hmac(&[message, &1_u32.to_be_bytes()]);
        let mut sum = block;
        for _ in 1..rounds {
            block = self.hmac(&[&block]);
            for (sum, byte) in sum.iter_mut().zip(block) {
                *sum ^= byte;
            }
        }
        sum
    }

    fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update(part);
        }
        self.outer.clone().chain_update(inner.finalize()).finalize().into()
    }
}

/// Whether two texts are equal, in a time that does not tell where they differ.
#[must_use]
pub fn equal(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn hex_digit(value: u8) -> char {
    char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_vector_and_with_python() {
        // RFC 7914, section 11; the second by `hashlib.pbkdf2_hmac("sha256", b"key", b"message", 1000)`.
        assert_eq!(Signer::with_key(b"passwd").sign("salt", 1), "55ac046e56e3089fec1691c22544b605");
        assert_eq!(Signer::with_key(b"key").sign("message", 1_000), "ddd850d482c33d4b32103c5219e5c098");
    }

    #[test]
    fn keys_and_messages_tell_signatures_apart() {
        let signer = Signer::with_random_key();
        assert_eq!(signer.sign("a", 3), signer.clone().sign("a", 3));
        assert_ne!(signer.sign("a", 3), signer.sign("b", 3));
        assert_ne!(signer.sign("a", 3), Signer::with_random_key().sign("a", 3));
    }

    #[test]
    fn equality_is_of_the_whole_text() {
        assert!(equal("", "") && equal("abc", "abc"));
        assert!(!equal("abc", "abd") && !equal("abc", "ab") && !equal("", "a"));
    }
}
