//! Tokens that end: those of the destination, and what each upstream is shown.

use bytes::Bytes;
use config::{LoginConfig, WorkerConfig};
use http::Request;
use simulator::door::{Door, shown};
use std::collections::BTreeSet;

/// Where the destination's tokens are had.
pub const LOGIN: &str = "http://login.test";

/// Lets a worker log in as its shape says, if it does.
pub fn log_in(worker: &mut WorkerConfig) {
    let Some((destination, form)) = worker.destination.as_mut().zip(worker.shape.login.clone()) else {
        return;
    };
    destination.token = None;
    destination.login = Some(LoginConfig {
        origin: LOGIN.to_owned(),
        id: "id".to_owned(),
        secret: "key".to_owned(),
        form,
    });
}

/// The destination's door, and what the PIM's was shown.
#[derive(Debug, Default)]
pub struct Doors {
    /// The door of the destination.
    pub destination: Door,
    /// What the PIM was shown.
    of_pim: BTreeSet<String>,
}

impl Doors {
    /// Takes note of what the PIM is shown.
    pub(super) fn note_of_pim(&mut self, request: &Request<Bytes>) {
        self.of_pim.extend(shown(request));
    }

    /// A token that the PIM was shown.
    pub(super) fn any_of_pim(&self) -> Option<String> {
        self.of_pim.first().cloned()
    }

    /// Whether a request shows what was meant for the PIM.
    pub(super) fn is_of_pim(&self, request: &Request<Bytes>) -> bool {
        shown(request).is_some_and(|token| self.of_pim.contains(&token))
    }
}
