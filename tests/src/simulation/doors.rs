//! Tokens that end: the endpoint that gives those of the destination, and what each upstream is shown.

use bytes::Bytes;
use config::{LoginConfig, WorkerConfig};
use fastrand::Rng;
use http::{Request, Response, header};
use serde_json::json;
use simulator::fault::{Reply, error_body, respond};
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

/// How the destination's door is.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// How long a token lasts, in seconds.
    pub life_s: u64,
    /// In what share of calls the token that is shown is taken away just then.
    pub taken_away: f64,
    /// In what share of calls the endpoint is down.
    pub down: f64,
    /// How long the endpoint takes at most, in milliseconds.
    pub slow_ms: u64,
}

impl Manners {
    /// Some by chance.
    pub fn of(random: &mut Rng) -> Manners {
        Manners {
            life_s: random.u64(20..900),
            taken_away: if random.bool() { random.f64() * 0.05 } else { 0.0 },
            down: if random.bool() { random.f64() * 0.3 } else { 0.0 },
            slow_ms: random.u64(1..8000),
        }
    }

    /// Nothing goes wrong any more.
    pub fn heal(&mut self) {
        (self.taken_away, self.down, self.slow_ms) = (0.0, 0.0, 30);
    }
}

/// The door.
#[derive(Debug, Default)]
pub struct Doors {
    /// The tokens that let in, and until when, in milliseconds.
    good: Vec<(String, u64)>,
    /// When tokens were given, in milliseconds.
    pub given_ms: Vec<u64>,
    /// How many requests were turned away for want of a good token.
    pub turned_away: usize,
    /// What the PIM was shown.
    pub(super) of_pim: BTreeSet<String>,
}

fn shown(request: &Request<Bytes>) -> Option<String> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(value.strip_prefix("Bearer ")?.to_owned())
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

    /// What the endpoint answers.
    pub(super) fn log_in(
        &mut self,
        manners: Manners,
        request: &Request<Bytes>,
        now_ms: u64,
        random: &mut Rng,
    ) -> Reply {
        let after_ms = random.u64(..manners.slow_ms);
        if random.f64() < manners.down {
            return Reply::now(respond(503, &error_body(503, "The endpoint is down."))).after(after_ms);
        }
        let form = String::from_utf8_lossy(request.body()).into_owned();
        if form != "grant_type=client_credentials&client_id=id&client_secret=key" {
            return Reply::now(respond(400, &json!({ "error": "invalid_client" })));
        }
        self.given_ms.push(now_ms);
        let token = format!("token-{:06}-of-the-destination", self.given_ms.len());
        self.good.retain(|(_, until_ms)| *until_ms > now_ms);
        self.good
            .push((token.clone(), now_ms + after_ms + manners.life_s * 1000));
        let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": manners.life_s });
        Reply::now(respond(200, &answer)).after(after_ms)
    }

    /// Lets a request in, or says that its token is none.
    pub(super) fn refusal(
        &mut self,
        manners: Manners,
        request: &Request<Bytes>,
        now_ms: u64,
        random: &mut Rng,
    ) -> Option<Response<Bytes>> {
        let shown = shown(request).unwrap_or_default();
        if random.f64() < manners.taken_away {
            self.good.retain(|(token, _)| *token != shown);
        }
        let lets_in = |(token, until_ms): &(String, u64)| *token == shown && *until_ms > now_ms;
        let is_let_in = self.good.iter().any(lets_in);
        self.turned_away += usize::from(!is_let_in);
        (!is_let_in).then(|| respond(401, &error_body(401, "A valid token is required.")))
    }
}
