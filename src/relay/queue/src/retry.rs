//! When an entity is tried again after a failure, and what is kept of its tries.
//!
//! Delays grow with every attempt and are drawn by chance, but are never shorter than an upstream asks for, up to a
//! day. Contents that come one after the other are counted, so that each goes out under an idempotency key of its own.

use model::failure::Failure;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The most attempts that an entity gets.
pub const ATTEMPTS_MAX: u32 = 8;

/// The delay after the first attempt at most, in seconds; it quadruples with every further one.
const FIRST_DELAY_S: u64 = 5;

/// The longest delay, in seconds.
pub const DELAY_MAX_S: u64 = 3600;

/// The longest wait that an upstream can ask for, in seconds. A call that comes back before its time is refused again.
pub const WAIT_MAX_S: u64 = 86_400;

/// How long to wait after this many attempts, in seconds: exponential with full jitter, so that what failed together
/// does not come back together. `chance` is any number; `floor_s` is what the upstream asked for, up to a day.
pub fn delay_s(attempts: u32, chance: u64, floor_s: Option<u64>) -> u64 {
    let exponent = attempts.saturating_sub(1).min(8);
    let ceiling = (FIRST_DELAY_S * 4u64.pow(exponent)).min(DELAY_MAX_S);
    (chance % (ceiling + 1)).max(floor_s.unwrap_or(0).min(WAIT_MAX_S))
}

/// How often a refusal that may pass is tried again like a failure, before it counts as one.
pub const PASSING_MAX: u32 = 6;

/// The value of a retry's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryValue {
    /// Version of this format.
    pub v: u32,
    /// The entity's code, which the key may hold only a hash of.
    pub code: String,
    /// What went wrong so far, oldest first.
    pub failures: Vec<Failure>,
    /// What was to be pushed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Tried>,
}

/// What an entity's last push was to bring, since anything last came through of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The digest of its body; empty for a deletion.
    content: String,
    /// How often it was another content than before. A push that nobody knows the end of may have arrived: when an
    /// earlier content comes back after another one it needs an idempotency key of its own.
    pub changes: u64,
    /// Under which identity, where that is no function of its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Under which identities it was to be deleted before, where a deletion names one: whoever has one of them by the
    /// time that it arrives goes with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leaving: Vec<String>,
}

impl Tried {
    /// What is known once this content is tried after others. Where two were tried at once, either may be the last.
    pub fn next(known: &[Tried], content: String, identity: Option<String>) -> Tried {
        let most = known.iter().map(|known| known.changes).max().unwrap_or(0);
        let mut last = known.iter().filter(|known| known.changes == most);
        let changes = most + u64::from(last.any(|known| known.content != content));
        Tried {
            content,
            changes,
            identity,
            leaving: Vec::new(),
        }
    }

    /// This try, with the identities under which the entity was to be deleted before.
    #[must_use]
    pub fn leaving(self, leaving: Vec<String>) -> Tried {
        Tried { leaving, ..self }
    }

    /// The identities that it is about.
    pub fn identities(&self) -> impl Iterator<Item = &String> {
        self.identity.iter().chain(&self.leaving)
    }
}

impl RetryValue {
    /// The bytes in the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        json!(self).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_content_that_comes_back_after_another_one_is_told_from_its_first_try() {
        let mut tried = Vec::new();
        let changes = ["a", "a", "b", "b", "a", "", "a"].map(|content| {
            let next = Tried::next(&tried, content.to_owned(), None);
            let changes = next.changes;
            tried = vec![next];
            changes
        });
        assert_eq!(changes, [0, 0, 1, 1, 2, 3, 4]);
    }

    #[test]
    fn of_two_contents_tried_at_once_neither_comes_back_under_its_key() {
        let first = Tried::next(&[], "a".to_owned(), None);
        let at_once = ["b", "c"].map(|content| Tried::next(std::slice::from_ref(&first), content.to_owned(), None));
        let known = [at_once.as_slice(), &[first]].concat();
        assert_eq!(Tried::next(&known, "b".to_owned(), None).changes, 2);
        assert_eq!(Tried::next(&at_once[..1], "b".to_owned(), None).changes, 1);
    }

    proptest! {
        #[test]
        fn delays_stay_below_their_ceiling_and_above_the_floor(attempts in 0..20u32, chance: u64, floor in proptest::option::of(0..90_000u64)) {
            let (delay, floor) = (delay_s(attempts, chance, floor), floor.unwrap_or(0).min(WAIT_MAX_S));
            prop_assert!(delay <= DELAY_MAX_S.max(floor));
            prop_assert!(delay >= floor);
        }
    }

    #[test]
    fn all_attempts_fit_in_two_and_a_half_hours() {
        let longest: u64 = (1..ATTEMPTS_MAX)
            .map(|attempts| {
                (0..DELAY_MAX_S + 1)
                    .map(|chance| delay_s(attempts, chance, None))
                    .max()
                    .expect("a delay")
            })
            .sum();
        assert_eq!(longest, 5 + 20 + 80 + 320 + 1280 + 3600 + 3600);
        assert!(longest <= 9000);
    }
}
