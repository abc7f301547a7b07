//! Idempotency keys. A destination that keeps them answers a repeated one without doing anything: one may come again only
//! if nothing else was done to its entity meanwhile.

use crate::simulation::run::Run;
use simulator::destination::Received;
use std::collections::BTreeMap;

/// Checks the rule.
pub(super) fn no_idempotency_key_comes_back(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    let mut by_path: BTreeMap<&str, Vec<&Received>> = BTreeMap::new();
    for request in shared.destination.log.iter().filter(|request| request.applied) {
        by_path.entry(&request.path).or_default().push(request);
    }
    by_path
        .into_iter()
        .filter_map(|(path, requests)| comes_back(path, &requests))
        .collect()
}

fn comes_back(path: &str, requests: &[&Received]) -> Option<String> {
    let what = |request: &Received| match request.method.as_str() {
        "DELETE" => "gone".to_owned(),
        _ => request.body_sha256.clone(),
    };
    let key = |request: &Received| request.header("idempotency-key").unwrap_or_default().to_owned();
    let at = (0..requests.len()).find(|at| {
        let (key_of_it, what_of_it) = (key(requests[*at]), what(requests[*at]));
        let before = requests[..*at].iter().rposition(|known| key(known) == key_of_it);
        before.is_some_and(|before| requests[before + 1..*at].iter().any(|other| what(other) != what_of_it))
    })?;
    Some(format!(
        "the idempotency key of {path} at {} was another body's before the last one's",
        requests[at].at_ms
    ))
}
