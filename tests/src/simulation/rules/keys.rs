//! Idempotency keys. A destination that keeps them answers a repeated one without doing anything: one may be sent again only
//! if nothing else was asked of its entity meanwhile.

use crate::simulation::run::Run;
use http::{Method, Request};
use simulator::destination::sha256;
use std::collections::BTreeMap;

/// A request that the destination was sent: when its worker decided to, with which key, and what it asks for. When it
/// goes and arrives is the host's and the network's matter.
#[derive(Debug)]
pub struct Sent {
    at_ms: u64,
    key: String,
    what: String,
}

impl Sent {
    /// What a request says.
    pub(in crate::simulation) fn of(request: &Request<impl AsRef<[u8]>>, at_ms: u64) -> Sent {
        let key = request.headers().get("idempotency-key");
        Sent {
            at_ms,
            key: String::from_utf8_lossy(key.map_or(&[], |key| key.as_bytes())).into_owned(),
            what: match *request.method() {
                Method::DELETE => "gone".to_owned(),
                _ => sha256(request.body().as_ref()),
            },
        }
    }
}

/// What was sent and not turned away, by path.
pub type SentByPath = BTreeMap<String, Vec<Sent>>;

/// Checks the rule.
pub(in crate::simulation) fn no_idempotency_key_comes_back(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    // Two workers that both take the lease for their own push the same at once, with a deletion of one between.
    if shared.stale_leases > 0 {
        return Vec::new();
    }
    let comes_back = |(path, sent): (&String, &Vec<Sent>)| {
        let mut sent: Vec<&Sent> = sent.iter().collect();
        sent.sort_by_key(|sent| sent.at_ms);
        comes_back(path, &sent)
    };
    shared.sent.iter().filter_map(comes_back).collect()
}

fn comes_back(path: &str, sent: &[&Sent]) -> Option<String> {
    let at = (0..sent.len()).find(|at| {
        let it = sent[*at];
        let before = sent[..*at].iter().rposition(|known| known.key == it.key);
        before.is_some_and(|before| sent[before + 1..*at].iter().any(|other| other.what != it.what))
    })?;
    Some(format!(
        "the idempotency key of {path} at {} was another body's before the last one's",
        sent[at].at_ms
    ))
}
