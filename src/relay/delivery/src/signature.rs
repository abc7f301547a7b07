//! Signatures of deliveries: HMAC-SHA256 in hex, over the bytes as they came (contract 2.2, 3.2, 3.7).
//!
//! Nothing here knows which bytes a channel signs or which headers bring signatures: `head` does.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A signature as it was sent: 32 bytes, as every HMAC-SHA256 has.
pub type Signature = [u8; 32];

/// Whether one of the signatures is that of a message under a secret. The message comes in parts, and is hashed once,
/// however many signatures there are.
///
/// The comparison is the MAC's own: in constant time and over the full length.
pub fn verifies(signatures: &[Signature], secret: &str, message: &[&[u8]]) -> bool {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    let mac = message.iter().fold(mac, |mac, part| mac.chain_update(part));
    signatures
        .iter()
        .any(|signature| mac.clone().verify_slice(signature).is_ok())
}

/// The signature that a header's value spells: 64 hex digits of either case. Any other value is none.
pub fn of_hex(text: &[u8]) -> Option<Signature> {
    let nibble = |c: u8| (c as char).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != 32 {
        return None;
    }
    let mut signature = [0; 32];
    for (byte, [high, low]) in signature.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(signature)
}
