//! An entity on its way to the destination, and a request for it.
//!
//! Whoever pushes says what the queue and the index know of the entity. Its requests get idempotency keys that stay the
//! same over retries and are others for every other change, so that a destination which heeds them does no change twice
//! and leaves none out.

use http::{HeaderName, HeaderValue, Method};
use model::entity::{Kind, digest};
use protocol::answers::Meaning;
use protocol::draft::Ready;
use protocol::remote::{Given, Remote};
use protocol::request::Act;

/// An entity on its way, with what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Cargo<'a> {
    /// The entity's kind.
    pub kind: Kind,
    /// The entity's code: the UUID of a product.
    pub code: &'a str,
    /// How failures and log lines name the entity.
    pub name: &'a str,
    /// How many attempts the entity has used up.
    pub attempts: u32,
    /// The key of what the entity is pushed for: an event that waits for it, as a rule the newest, or the dead letter
    /// that is tried again.
    pub cause: &'a str,
    /// How often the entity was pushed or deleted before.
    pub pushes: u64,
    /// How often since then a push was to bring another content than the one before, without anything coming through.
    pub changes: u64,
    /// Whether the entity is tried once more after it was given up.
    pub is_last_resort: bool,
    /// What the destination gave of the entity; none where the index does not know that the destination has it.
    pub remote: Option<&'a Remote>,
    /// What the destination gave of the entity's parent; none if it has no parent.
    pub of_parent: Option<&'a Remote>,
    /// Until when an earlier push of the entity may arrive whose end is not known, in seconds since the Unix epoch.
    pub may_arrive_until_s: Option<u64>,
    /// What the destination gave of something else that went by the same identity until now: a late search may still
    /// find it.
    pub former: Option<&'a Remote>,
    /// The identities that the entity lies or may lie under at the destination, where these can change.
    pub under: &'a [String],
}

/// What the destination gave of a parent where there is none.
static NOTHING: Remote = Remote::new();

impl Cargo<'_> {
    pub(crate) fn given<'g>(&'g self, own: &'g Remote) -> Given<'g> {
        Given {
            own,
            parent: self.of_parent.unwrap_or(&NOTHING),
        }
    }

    /// The key by which the destination knows a repetition of a request. It is the same over retries, and another one
    /// for the next change, even if that changes back: what has come through since makes it another one, and so does a
    /// newer event. Where the path or a header of an entity's requests can change, they are a part of the key.
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

/// A request with all that it needs to be sent.
pub(crate) struct Sending<'a> {
    pub(crate) act: Act,
    /// Whether another request for the same entity was let in before this one, in the same try.
    pub(crate) follows: bool,
    pub(crate) method: &'a Method,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether it has places for what the destination gives.
    pub(crate) is_late: bool,
    pub(crate) ready: Ready,
}

impl Sending<'_> {
    pub(crate) fn following(self, follows: bool) -> Self {
        Sending { follows, ..self }
    }
}

/// A request that brings an entity, and an answer to it that leads to another one.
pub(crate) struct Answered {
    pub(crate) act: Act,
    pub(crate) meaning: Meaning,
    /// Whether the entity is there, and nothing tells what a change of it needs.
    pub(crate) is_hidden: bool,
    /// Whether the entity was looked up before the request.
    pub(crate) has_looked: bool,
    /// The values that were known of the entity.
    pub(crate) own: Remote,
    /// These with those of the answer.
    pub(crate) given: Remote,
}
