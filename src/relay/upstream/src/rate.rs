//! How often an upstream is called: its configured rate, or less where it asks for that without saying how long.
//!
//! No call begins beyond the rate, or beyond the number of calls at once. A lowered rate rises by itself as long as
//! calls come through, and after ten minutes in any case.

use crate::governor::Governor;
use crate::governor_state::{GovernorState, Slowed};
use world::host::Host;

/// Over how long calls are counted for the rate, in milliseconds: a little more than the second that upstreams count,
/// since calls do not arrive as evenly as they leave.
const WINDOW_MS: u64 = 1100;

/// The lowest rate that an upstream's 429 can bring its calls down to, in thousandths of a call a second.
const SLOWEST_MILLI: u64 = 500;

/// How often a rate is halved at most, in milliseconds.
const HALVE_MS: u64 = 1000;

/// How long a lowered rate stays before it rises by a tenth of the configured one, in milliseconds.
const RISE_MS: u64 = 10_000;

/// After how many such whiles a lowered rate rises although no call came through.
const FORGOTTEN: u64 = 60;

impl<H: Host> Governor<'_, H> {
    /// Waits until the call keeps the rate and the number of calls at once; no longer than calls may begin. What
    /// follows a call that was made goes before what begins anew: else all of a tick may go by in asking, and nothing
    /// be done.
    pub(crate) async fn wait_for_room(&self, follows: bool) {
        if follows {
            self.following.set(self.following.get() + 1);
        }
        self.wait_for_turn(follows).await;
        if follows {
            self.following.set(self.following.get() - 1);
        }
    }

    async fn wait_for_turn(&self, follows: bool) {
        loop {
            let now_ms = self.host.monotonic_ms();
            let (count, window_ms) = self.rate();
            let wait_ms = {
                let mut starts = self.starts.borrow_mut();
                while starts.front().is_some_and(|start| start + window_ms <= now_ms) {
                    starts.pop_front();
                }
                let is_its_turn = follows || self.following.get() == 0;
                if is_its_turn && starts.len() < count && self.under_way.get() < self.limits.at_once {
                    starts.push_back(now_ms);
                    return;
                }
                let for_rate = starts.front().map_or(0, |start| start + window_ms - now_ms);
                if starts.len() < count { 5 } else { for_rate.max(1) }
            };
            let left_ms = self.left_ms();
            self.host.sleep_ms(wait_ms.min(left_ms)).await;
            if left_ms <= wait_ms {
                return;
            }
        }
    }

    /// How many calls may begin, and in how many milliseconds.
    pub(crate) fn rate(&self) -> (usize, u64) {
        let mut state = self.state.borrow_mut();
        let Some(slowed) = self.risen(state.slowed) else {
            state.slowed = None;
            return (self.limits.per_second, WINDOW_MS);
        };
        state.slowed = Some(slowed);
        match slowed.milli {
            milli @ 1000.. => (usize::try_from(milli / 1000).unwrap_or(usize::MAX), WINDOW_MS),
            milli => (1, WINDOW_MS * 1000 / milli.max(1)),
        }
    }

    /// A lowered rate as it is now: every while it rises by a tenth of the configured one, as long as calls come
    /// through.
    pub(crate) fn risen(&self, slowed: Option<Slowed>) -> Option<Slowed> {
        let (slowed, now_ms) = (slowed?, self.host.now_ms());
        // A moment that lies ahead is of a clock that was wrong.
        let steps = match now_ms.checked_sub(slowed.at_ms) {
            Some(since_ms) => since_ms / RISE_MS,
            None => 1,
        };
        let may_rise = slowed.has_come_through || steps >= FORGOTTEN;
        if steps == 0 || !may_rise {
            return Some(slowed);
        }
        let configured = self.limits.per_second as u64 * 1000;
        let milli = slowed.milli.saturating_add(steps.saturating_mul(configured / 10));
        (milli < configured).then_some(Slowed {
            milli,
            at_ms: now_ms,
            ..slowed
        })
    }

    /// The upstream asks to slow down and does not say how long. Says whether it cannot go any slower.
    pub(crate) fn slow_down(&self, state: &mut GovernorState) -> bool {
        let now_ms = self.host.now_ms();
        let configured = self.limits.per_second as u64 * 1000;
        let known = self.risen(state.slowed);
        if known.is_some_and(|known| known.milli <= SLOWEST_MILLI) {
            return true;
        }
        if known.is_none_or(|known| now_ms.abs_diff(known.at_ms) >= HALVE_MS) {
            let milli = known.map_or(configured, |known| known.milli) / 2;
            state.slowed = Some(Slowed {
                milli: milli.max(SLOWEST_MILLI),
                at_ms: now_ms,
                has_come_through: false,
            });
        }
        false
    }
}
