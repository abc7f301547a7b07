//! Signatures of deliveries: HMAC-SHA256 in hex, over the bytes as they came (contract 2.2, 3.2, 3.7).

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How many signatures of one delivery are looked at. Akeneo sends two at most (contract 3.2); a proxy may double them.
const SIGNATURES_MAX: usize = 4;

/// Whether one of the first [`SIGNATURES_MAX`] signatures is the one of `message` under a secret.
///
/// The comparison is the MAC's own: in constant time and over the full length, so that a cut signature is a wrong one.
pub fn verifies(signatures: &[&[u8]], secret: &str, message: &[&[u8]]) -> bool {
    let sent: Vec<Vec<u8>> = signatures
        .iter()
        .take(SIGNATURES_MAX)
        .filter_map(|signature| from_hex(signature))
        .collect();
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    if sent.is_empty() {
        return false;
    }
    let mac = message.iter().fold(mac, |mac, part| mac.chain_update(part));
    sent.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let nibble = |c: u8| (c as char).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect()
}
