//! What the head of a delivery says: whether its body is worth reading, and, once that was read, whether it is signed.
//!
//! Anybody may send anything here, so nothing about a head may be assumed. No byte is read of the body of a delivery
//! that bears nothing which may be a signature, that comes where no secret is set, or that announces more bytes than
//! its channel allows.

use crate::channel::Channel;
use crate::refusal::Refusal;
use crate::signature::{self, Signature};
use config::IngestConfig;
use http::{HeaderMap, header};

/// How many signatures of one delivery are tried. Akeneo sends two at most (contract 3.2); a proxy may double them.
const SIGNATURES_MAX: usize = 4;

/// A delivery whose head gives no reason to refuse it.
pub struct Signed<'h> {
    pub(crate) channel: Channel,
    pub(crate) headers: &'h HeaderMap,
    /// How many bytes of the delivery's body may be read at most.
    pub body_max: usize,
    signatures: Vec<Signature>,
    /// The timestamp that the Events API signs (contract 2.2), as it was sent; empty on the other channels.
    timestamp: &'h [u8],
    /// The first of the channel's secrets that is set.
    secret: String,
}

impl<'h> Signed<'h> {
    /// Judges a head. Fails with the reason for which the body is not to be read.
    pub(crate) fn of(
        config: &IngestConfig<'_>,
        channel: Channel,
        headers: &'h HeaderMap,
    ) -> Result<Signed<'h>, Refusal> {
        let secret = config.secrets(channel.secrets()).next();
        let secret = secret.ok_or(Refusal::Unconfigured(channel.unset()))??;
        let (sent, timestamp) = match channel {
            Channel::EventPlatform | Channel::Notifications => (of_platform(headers)?, &b""[..]),
            Channel::EventsApi => of_events_api(headers)?,
        };
        let sent = sent.into_iter().take(SIGNATURES_MAX);
        let signatures: Vec<Signature> = sent.filter_map(signature::of_hex).collect();
        if signatures.is_empty() {
            return Err(Refusal::Unsigned("no signature has 64 hex digits"));
        }
        let announced = headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let body_max = config.body_max(channel.size(), announced)?;
        if announced.is_some_and(|length| length > body_max) {
            return Err(Refusal::TooLarge(channel.too_large(body_max)));
        }
        Ok(Signed {
            channel,
            headers,
            body_max,
            signatures,
            timestamp,
            secret,
        })
    }

    /// Fails unless one of the signatures is that of the delivery under one of the channel's secrets. The present
    /// secret is tried before the previous one, since either side may change its secret first (contract 3.2). On the
    /// Events API the signed timestamp must lie near `now_s`, too, which is in seconds since the Unix epoch.
    pub(crate) fn verify(&self, config: &IngestConfig<'_>, body: &[u8], now_s: u64) -> Result<(), Refusal> {
        let message = match self.channel {
            Channel::EventPlatform | Channel::Notifications => &[body][..],
            Channel::EventsApi => &[self.timestamp, b".", body],
        };
        let is_of = |secret: &str| signature::verifies(&self.signatures, secret, message);
        let mut is_verified = is_of(&self.secret);
        let mut others = config.secrets(self.channel.secrets()).skip(1);
        while !is_verified {
            let other = others.next().ok_or(Refusal::Forged("the signature does not match"))?;
            is_verified = is_of(&other?);
        }
        match self.channel {
            Channel::EventsApi => self.is_of_now(config, now_s),
            Channel::EventPlatform | Channel::Notifications => Ok(()),
        }
    }

    /// Fails unless the timestamp lies within the configured tolerance of now, either way (contract 2.2).
    fn is_of_now(&self, config: &IngestConfig<'_>, now_s: u64) -> Result<(), Refusal> {
        let sent_s = std::str::from_utf8(self.timestamp)
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        match sent_s {
            Some(sent_s) if sent_s.abs_diff(now_s) <= config.tolerance_s()? => Ok(()),
            _ => Err(Refusal::Forged("the timestamp is too far from now: compare the clocks")),
        }
    }
}

/// The signatures of a delivery or a notification of the Event Platform (contract 3.2, 3.7).
fn of_platform(headers: &HeaderMap) -> Result<Vec<&[u8]>, Refusal> {
    let is_ours = |algorithm: &&[u8]| algorithm.eq_ignore_ascii_case(b"HmacSHA256");
    if !values(headers, "x-akeneo-signature-algorithm").iter().all(is_ours) {
        return Err(unsigned(headers, "x-akeneo-signature-algorithm is not HmacSHA256"));
    }
    let mut signatures = values(headers, "x-akeneo-signature-primary");
    signatures.extend(values(headers, "x-akeneo-signature-secondary"));
    match signatures.is_empty() {
        true => Err(unsigned(headers, "x-akeneo-signature-primary is missing")),
        false => Ok(signatures),
    }
}

/// The signatures of a delivery of the Events API, and its one timestamp (contract 2.1).
fn of_events_api(headers: &HeaderMap) -> Result<(Vec<&[u8]>, &[u8]), Refusal> {
    let signatures = values(headers, "x-akeneo-request-signature");
    let mut timestamps = values(headers, "x-akeneo-request-timestamp");
    timestamps.dedup();
    match (signatures.is_empty(), &timestamps[..]) {
        (false, [timestamp]) => Ok((signatures, timestamp)),
        _ => Err(unsigned(
            headers,
            "x-akeneo-request-signature or x-akeneo-request-timestamp is missing, or there are two timestamps",
        )),
    }
}

/// The refusal of a delivery whose headers are not complete. If any header of Akeneo's is there, a proxy may have taken
/// another away, and people hear of that. A request without any comes from somebody else, who must not be able to worry
/// them.
fn unsigned(headers: &HeaderMap, reason: &'static str) -> Refusal {
    match headers.keys().any(|name| name.as_str().starts_with("x-akeneo-")) {
        true => Refusal::Forged(reason),
        false => Refusal::Unsigned(reason),
    }
}

/// The values of a header. A proxy may have sent it several times, or several of them in one line with commas between
/// (RFC 9110 5.3).
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let lines = headers.get_all(name).into_iter().map(|value| value.as_bytes());
    let values = lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    values.filter(|value| !value.is_empty()).collect()
}
