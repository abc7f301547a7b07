//! Signatures of deliveries: HMAC-SHA256 in hex, over the bytes as they came (contract 2.2, 3.2, 3.7).

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Whether a header's signature is the one of `message` under one of the secrets.
///
/// The comparison is the MAC's own: in constant time and over the full length, so that a cut signature is a wrong one.
pub fn verifies(signature: &[u8], secrets: &[String], message: &[&[u8]]) -> bool {
    let Some(signature) = from_hex(signature) else {
        return false;
    };
    secrets
        .iter()
        .any(|secret| match Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
            Ok(mac) => message
                .iter()
                .fold(mac, |mac, part| mac.chain_update(part))
                .verify_slice(&signature)
                .is_ok(),
            Err(_) => false,
        })
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
