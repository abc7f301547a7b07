//! What the relay asks of the world it runs in.
//!
//! Components, tests and the simulation each implement it, and no room touches a socket, a file or a clock but through
//! it. Futures need not be `Send`: a component has one thread.
#![expect(async_fn_in_trait, reason = "one thread, so no caller needs a bound on the futures")]

use crate::damage::{self, Damage};
use crate::record;
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A failure of the store, which whoever called it cannot go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// A call failed. Whether it took effect is unknown: the caller repeats the work later.
    Failed(String),
    /// The call did not fail, but what lies under this key is nothing that the relay ever writes there.
    Damaged(String),
}

/// How the reason of a tick begins that the store stopped.
pub const BY_THE_STORE: &str = "key-value store: ";

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Failed(reason) => write!(f, "{BY_THE_STORE}{reason}"),
            StoreError::Damaged(key) => write!(f, "{BY_THE_STORE}what lies under {key} is damaged"),
        }
    }
}

impl std::error::Error for StoreError {}

/// The key-value store: only what every backend under Spin does, single keys being atomic and nothing else.
pub trait Store {
    /// The value of a key, or none.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Sets a key; durable once it returns.
    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Deletes a key; one that is absent is no error.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
    /// Every key, those of other applications included where backends mix them.
    async fn keys(&self) -> Result<Vec<String>, StoreError>;
    /// Sets up to [`MANY`] keys, in one step where the backend has one, else one by one.
    async fn set_many(&self, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError>;
    /// Deletes up to [`MANY`] keys, in one step where the backend has one, else one by one.
    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError>;
    /// What was read from it and is in no format that is known; none where nobody asks for that.
    fn damage(&self) -> Option<&Damage> {
        None
    }
}

/// The largest number of keys that every backend takes in one call (DynamoDB's limit).
pub const MANY: usize = 25;

/// Reads what is kept under a key; what is in no format that is known reads as none, and the host takes note of it.
pub async fn read<H: Store, T: DeserializeOwned>(host: &H, key: &str) -> Result<Option<T>, StoreError> {
    read_if(host, key, |_| true).await
}

/// The same, where what was read is in a format that is known only if this holds.
pub async fn read_if<H: Store, T: DeserializeOwned>(
    host: &H,
    key: &str,
    is_known: impl FnOnce(&T) -> bool,
) -> Result<Option<T>, StoreError> {
    let Some(value) = host.get(key).await? else {
        return Ok(None);
    };
    let read = decoded(&value).filter(is_known);
    if read.is_none() {
        damage::note(host, key, value);
    }
    Ok(read)
}

/// Reads a value that is kept. Text is read into a [`Value`] first: the code that reads it would otherwise be made for
/// every type.
pub fn decoded<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let value: Value = serde_json::from_slice(value).ok()?;
    record::read(&value)
}

/// Keeps a value under a key. It is written by way of a [`Value`] for the reason that [`decoded`] gives.
pub async fn write<H: Store>(host: &H, key: &str, value: &impl Serialize) -> Result<(), StoreError> {
    host.set(key, json!(value).to_string().as_bytes()).await
}

/// Sets any number of keys. Several at once can fail where single ones do not (another process in the same file,
/// say): then they are set one by one.
pub async fn set_all<H: Store>(host: &H, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
    for entries in entries.chunks(MANY) {
        if entries.len() == 1 || host.set_many(entries).await.is_err() {
            for (key, value) in entries {
                host.set(key, value).await?;
            }
        }
    }
    Ok(())
}

/// Deletes any number of keys, as [`set_all`] sets them.
pub async fn delete_all<H: Store>(host: &H, keys: &[String]) -> Result<(), StoreError> {
    for keys in keys.chunks(MANY) {
        if keys.len() == 1 || host.delete_many(keys).await.is_err() {
            for key in keys {
                host.delete(key).await?;
            }
        }
    }
    Ok(())
}

/// How long one outbound call may take, and how much it may bring; the host sees to all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Until the connection stands, in milliseconds.
    pub connect_ms: u64,
    /// Until the answer's head is there (name look-up and TLS included), in milliseconds.
    pub first_byte_ms: u64,
    /// The whole call, in milliseconds.
    pub total_ms: u64,
    /// The largest answer that is read, in bytes.
    pub body_bytes: usize,
    /// How much is read of an answer that is not good, where its status decides, in bytes.
    pub refusal_bytes: usize,
    /// Whether a good answer (2xx) is worth nothing without the whole of its body. Else, and with any other status, the
    /// status decides: of the body its beginning is read, and one that is cut short, slow or endless is no failure.
    pub needs_body: bool,
    /// Whether what a refusal (4xx, but for 429) means cannot be told without the whole of its body, either.
    pub needs_refusals: bool,
}

impl CallLimits {
    /// The same for a call of whose answer the status alone counts.
    #[must_use]
    pub fn for_a_status(self) -> CallLimits {
        CallLimits {
            needs_body: false,
            needs_refusals: false,
            body_bytes: self.body_bytes.min(BEGINNING_BYTES),
            refusal_bytes: self.refusal_bytes.min(BEGINNING_BYTES),
            ..self
        }
    }

    /// Whether an answer of this status needs the whole of its body.
    pub fn needs_body_of(&self, status: StatusCode) -> bool {
        let is_refusal = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        (self.needs_body && status.is_success()) || (self.needs_refusals && is_refusal)
    }

    /// How much of the body of an answer of this status is read at most, in bytes. A good answer may say further down that
    /// it is none.
    pub fn most_bytes(&self, status: StatusCode) -> usize {
        if status.is_success() || self.needs_body_of(status) {
            self.body_bytes
        } else {
            self.refusal_bytes
        }
    }
}

/// How much of a body is enough to see what it is, and what was wrong, in bytes.
pub const BEGINNING_BYTES: usize = 64 << 10;

/// How long a body that is not needed is read, in milliseconds.
pub const BEGINNING_MS: u64 = 2000;

/// A call without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The platform's permissions refuse the address; nothing was sent.
    Forbidden(String),
    /// No connection came about; nothing was sent.
    Unreachable(String),
    /// A time limit passed. The request may have been carried out, or still may be.
    Timeout,
    /// The connection broke. The request may have been carried out.
    Lost(String),
    /// The answer is larger than the limit.
    TooLarge,
    /// The answer is in a form that is not understood.
    Unreadable(String),
}

/// What became of a transfer.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// The answer with the content, which is left out of it; or why there was none, or not the whole of it. What is
    /// larger than it may be is [`SendError::TooLarge`].
    pub from: Result<Response<Vec<u8>>, SendError>,
    /// The answer of the upstream that the content was sent to. None if nothing was sent, or the request was broken off
    /// because the content did not come whole.
    pub to: Option<Result<Response<Vec<u8>>, SendError>>,
}

/// Headers of the content that a transfer passes on.
pub const PASSED_ON: [&str; 3] = ["content-type", "content-length", "content-encoding"];

/// The way out.
pub trait Http {
    /// Makes one call, following no redirect and retrying nothing.
    async fn send(&self, request: Request<Vec<u8>>, limits: CallLimits) -> Result<Response<Vec<u8>>, SendError>;

    /// Makes the answer to one request the body of another, which is not sent unless the answer is good (2xx) and not
    /// finished unless it came whole and has `max_bytes` at most. The limits are those of both together; beside the
    /// content no body is needed.
    ///
    /// What stands here is for worlds in memory: a host that has streams passes content on piece by piece.
    async fn transfer(
        &self,
        from: Request<Vec<u8>>,
        mut to: Request<Vec<u8>>,
        limits: CallLimits,
        max_bytes: u64,
    ) -> Transfer {
        let all = CallLimits {
            needs_body: true,
            ..limits
        };
        let mut from = self.send(from, all).await;
        let content = match &mut from {
            Ok(response) if response.status().is_success() => std::mem::take(response.body_mut()),
            _ => return Transfer { from, to: None },
        };
        if content.len() as u64 > max_bytes {
            from = Err(SendError::TooLarge);
            return Transfer { from, to: None };
        }
        let told = from.iter().flat_map(Response::headers);
        for (name, value) in told.filter(|(name, _)| PASSED_ON.contains(&name.as_str())) {
            to.headers_mut().insert(name, value.clone());
        }
        *to.body_mut() = content;
        let to = Some(self.send(to, limits.for_a_status()).await);
        Transfer { from, to }
    }
}

/// Time.
pub trait Clock {
    /// Milliseconds since the Unix epoch by this host's clock, which may be wrong and may jump.
    fn now_ms(&self) -> u64;
    /// Milliseconds that only ever grow, for measuring.
    fn monotonic_ms(&self) -> u64;
    /// Waits.
    async fn sleep_ms(&self, ms: u64);
}

/// Chance.
pub trait Random {
    /// Sixteen bytes that nobody can guess.
    fn bytes(&self) -> [u8; 16];

    /// Any number.
    fn chance(&self) -> u64 {
        let bytes = self.bytes();
        bytes
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// Where log lines go.
pub trait Log {
    /// Takes one line of JSON.
    fn line(&self, line: &str);
}

/// All that the worker asks of a host.
pub trait Host: Store + Http + Clock + Random + Log {}

impl<T: Store + Http + Clock + Random + Log> Host for T {}
