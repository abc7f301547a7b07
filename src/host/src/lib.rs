//! The relay's world inside a Spin component: Spin's key-value store, `wasi:http` out, WASI's clocks and randomness.
//!
//! All components share it; what a component does not call is not linked into it, and what its manifest does not
//! allow it, the platform refuses.

mod outbound;
mod server;
mod store;

use config::{ProviderFailed, Variables};
use futures_util::future::poll_fn;
use spin_executor::{CancelOnDropToken, push_waker_and_get_token};
use spin_sdk::variables::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wasi::clocks::monotonic_clock;
use world::damage::{self, Damage};
use world::host::{CallLimits, Clock, Http, Log, Random, SendError, Transfer};

pub use config::head::Head;
pub use server::{head, read_body, respond, respond_in_parts};

/// One component instance's view of its host.
pub struct SpinHost {
    started: Instant,
    bucket: store::Bucket,
    damage: Damage,
}

impl SpinHost {
    /// Opens the default store.
    pub fn open() -> Result<SpinHost, world::host::StoreError> {
        Ok(SpinHost {
            started: Instant::now(),
            bucket: store::open()?,
            damage: Damage::default(),
        })
    }

    /// Tells in the log what was read from the store and was damaged, each by its key.
    pub fn tell_of_damage(&self) {
        damage::told(self);
    }
}

/// A component's variables, as its manifest gives them. A name that the manifest does not give it is not defined; what
/// a provider could not tell is another matter (Spin's `expressions_to_variables_err` keeps the two apart).
pub fn variable(name: &str) -> Result<Option<String>, ProviderFailed> {
    match spin_sdk::variables::get(name) {
        Ok(value) => Ok(Some(value)),
        Err(Error::Undefined(_)) => Ok(None),
        Err(_) => Err(ProviderFailed),
    }
}

/// The variables in the form that the room `config` reads.
pub const VARIABLES: Variables<'static> = Variables(&variable);

/// A log of standard output and a clock, for what must be told before there is a store.
pub struct Console;

impl Log for Console {
    fn line(&self, line: &str) {
        println!("{line}");
    }
}

impl Clock for Console {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        monotonic_clock::now() / 1_000_000
    }

    async fn sleep_ms(&self, ms: u64) {
        sleep_ms(ms).await;
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Clock for SpinHost {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep_ms(&self, ms: u64) {
        sleep_ms(ms).await;
    }
}

impl Random for SpinHost {
    fn bytes(&self) -> [u8; 16] {
        let (high, low) = (
            wasi::random::random::get_random_u64(),
            wasi::random::random::get_random_u64(),
        );
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }
}

impl Log for SpinHost {
    fn line(&self, line: &str) {
        Console.line(line);
    }
}

impl Http for SpinHost {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        limits: CallLimits,
    ) -> Result<http::Response<Vec<u8>>, SendError> {
        outbound::send(request, limits).await
    }

    async fn transfer(
        &self,
        from: http::Request<Vec<u8>>,
        to: http::Request<Vec<u8>>,
        limits: CallLimits,
        max_bytes: u64,
    ) -> Transfer {
        outbound::transfer(from, to, limits, max_bytes).await
    }
}

/// Drives a future that wakes parts of itself. Spin's executor polls again only when the outside world has something
/// new, and so would leave what was woken from inside unpolled.
pub async fn eager<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    poll_fn(|_| {
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(value);
            }
            if !woken.0.swap(false, Ordering::Relaxed) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Runs a future to its end, for exports that are not asynchronous.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    spin_executor::run(eager(future))
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn sleep_ms(ms: u64) {
    sleep_until(monotonic_clock::now().saturating_add(ms.saturating_mul(1_000_000))).await;
}

/// Waits for a moment of the monotonic clock.
async fn sleep_until(until: monotonic_clock::Instant) {
    let mut waiting: Option<CancelOnDropToken> = None;
    poll_fn(|context| {
        // The executor polls everything whenever anything is ready, so being polled says nothing.
        if monotonic_clock::now() >= until {
            waiting = None;
            return Poll::Ready(());
        }
        let token = push_waker_and_get_token(monotonic_clock::subscribe_instant(until), context.waker().clone());
        waiting = Some(token.into());
        Poll::Pending
    })
    .await;
}
