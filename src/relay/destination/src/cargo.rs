//! An entity on its way, and a request for it.

use http::{HeaderName, HeaderValue, Method};
use model::entity::{Kind, digest};
use protocol::draft::Ready;
use protocol::remote::{Given, Remote};
use protocol::request::Act;

/// An entity on its way.
#[derive(Debug, Clone, Copy)]
pub struct Cargo<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its code.
    pub code: &'a str,
    /// How failures and log lines name it.
    pub name: &'a str,
    /// Attempts used up.
    pub attempts: u32,
    /// The key of what it is pushed for: the newest event that waits for it, or the dead letter that it is tried again for.
    pub cause: &'a str,
    /// How often it was pushed or deleted before.
    pub pushes: u64,
    /// How often the content was another one since then, without coming through.
    pub changes: u64,
    /// Whether it is tried once more after it was given up.
    pub is_last_resort: bool,
    /// What the destination gave of it; none where the index does not know that it has it.
    pub remote: Option<&'a Remote>,
    /// What the destination gave of what it belongs to; none if it belongs to nothing.
    pub of_parent: Option<&'a Remote>,
    /// Until when a creation of it may arrive whose end is not known, in seconds since the Unix epoch.
    pub may_arrive_until_s: Option<u64>,
    /// What the destination gave of the one that had its identity until now.
    pub former: Option<&'a Remote>,
}

/// What the destination gave of nothing.
static NOTHING: Remote = Remote::new();

impl Cargo<'_> {
    pub(crate) fn given<'g>(&'g self, own: &'g Remote) -> Given<'g> {
        Given {
            own,
            parent: self.of_parent.unwrap_or(&NOTHING),
        }
    }

    /// The same over retries, another for the next change even if that changes back: what has come through since makes it
    /// another one, and so does a newer event.
    /// Where the path or a header of an entity's request can change, they are a part of it.
    pub(crate) fn idempotency_key(&self, sending: &Sending<'_>, names_change: bool) -> String {
        let pushes = match self.changes {
            0 => self.pushes.to_string(),
            changes => format!("{}.{changes}", self.pushes),
        };
        let which = if sending.act == Act::Create { "create" } else { "" };
        let method = sending.method.as_str();
        let parts = [self.kind.name(), self.code, self.cause, &pushes, method, which];
        let key = digest(parts.join("\n").as_bytes());
        let mut where_to = String::new();
        if names_change || sending.is_late {
            where_to.push_str(&sending.ready.path);
            for (name, value) in &sending.headers {
                where_to.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes())));
            }
        }
        digest(&[key.as_bytes(), where_to.as_bytes(), &sending.ready.body].concat())
    }
}

/// A request to be sent.
pub(crate) struct Sending<'a> {
    pub(crate) act: Act,
    /// Whether another one for the same entity was let in before it, in the same try.
    pub(crate) follows: bool,
    pub(crate) method: &'a Method,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether something in it was given by the destination.
    pub(crate) is_late: bool,
    pub(crate) ready: Ready,
}

impl Sending<'_> {
    pub(crate) fn following(self, follows: bool) -> Self {
        Sending { follows, ..self }
    }
}
