//! Who may have the set-up looked at, and how long that may wait for the ticks.

use config::access::{Access, AdminConfig, authorize, only_reads};
use config::answer::Answer;
use http::{HeaderMap, Method};

/// How long to wait for the lease where nobody says otherwise, in seconds: as long as a tick stays by default, and the
/// pause until the next one.
const WAIT_S: u64 = 75;

/// The longest that anybody may have it wait, in seconds.
const WAIT_MAX_S: u64 = 300;

/// A request that is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// The variable that has the token of whoever asks.
    pub who: &'static str,
    /// How long to wait for the lease, in milliseconds.
    pub wait_ms: u64,
}

/// Lets a request in, or gives the answer to one that is not.
///
/// # Errors
/// An answer of 401 or 403 to whoever may not, 405 to another method than `POST`, 400 to a wait that is no number.
pub fn admit(config: &AdminConfig, method: &Method, query: &str, headers: &HeaderMap) -> Result<Admitted, Answer> {
    let who = match authorize(config, headers)? {
        Access::All(who) => who,
        Access::Reading => return Err(only_reads()),
    };
    if method != Method::POST {
        return Err(Answer::problem(405, "only POST is understood here: it asks upstreams").with("allow", "POST"));
    }
    let said = query.split('&').find_map(|pair| pair.strip_prefix("wait_seconds="));
    let seconds = said.map_or(Some(WAIT_S), |said| {
        said.parse().ok().filter(|seconds| *seconds <= WAIT_MAX_S)
    });
    let wrong = || format!("`wait_seconds` is to be a number of seconds, up to {WAIT_MAX_S}");
    let wait_s = seconds.ok_or_else(|| Answer::problem(400, &wrong()))?;
    Ok(Admitted {
        who,
        wait_ms: wait_s * 1000,
    })
}
