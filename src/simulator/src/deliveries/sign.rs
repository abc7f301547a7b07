//! Signatures (contract 2.2, 3.2 and 3.7).

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::destination::hex;

/// Secrets of a subscription. During a rotation the new one is the primary.
#[derive(Clone)]
pub struct Secrets {
    /// Signs `X-AKENEO-SIGNATURE-PRIMARY`.
    pub primary: String,
    /// Signs `X-AKENEO-SIGNATURE-SECONDARY`, if there is one.
    pub secondary: Option<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// A primary secret alone.
    pub fn primary(secret: &str) -> Self {
        Self {
            primary: secret.to_owned(),
            secondary: None,
        }
    }
}

/// The headers of a delivery of the Event Platform, or of a notification: the body alone is signed.
pub fn event_platform(body: &[u8], secrets: &Secrets) -> Vec<(String, String)> {
    let mut headers = vec![
        header("Content-Type", "application/json"),
        header("X-AKENEO-SIGNATURE-PRIMARY", &hmac_hex(&secrets.primary, &[body])),
        header("X-AKENEO-SIGNATURE-ALGORITHM", "HmacSHA256"),
    ];
    if let Some(secondary) = &secrets.secondary {
        headers.push(header("X-AKENEO-SIGNATURE-SECONDARY", &hmac_hex(secondary, &[body])));
    }
    headers
}

/// The headers of a delivery of the Events API: the time of sending, in Unix seconds, is signed with the body.
pub fn events_api(body: &[u8], secret: &str, timestamp_s: u64) -> Vec<(String, String)> {
    let timestamp = timestamp_s.to_string();
    let signature = hmac_hex(secret, &[timestamp.as_bytes(), b".", body]);
    vec![
        header("Content-Type", "application/json"),
        header("X-Akeneo-Request-Signature", &signature),
        header("X-Akeneo-Request-Timestamp", &timestamp),
    ]
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn hmac_hex(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    hex(&mac.finalize().into_bytes())
}
