//! What the index knows of an entity; and, in entries of the same form, who holds an identity.
//!
//! Entries that several workers wrote of one entity come to the same in whatever order they are merged. Where two of
//! them say different things of the same push, what lies at the destination counts as not known.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::entity::{Entity, Kind, Segment, digest, uuid_bytes, uuid_text};
use protocol::remote::Remote;
use queue::key::Extent;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

/// What is known of an entity at the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The hash of what was pushed; none where what lies there is not known.
    #[serde(rename = "h", skip_serializing_if = "Option::is_none", default)]
    pub hash: Option<String>,
    /// Its `updated`, in seconds since the Unix epoch.
    #[serde(rename = "u")]
    pub updated_s: u64,
    /// Its code, where the key holds only a hash of it.
    #[serde(rename = "c", skip_serializing_if = "Option::is_none", default)]
    pub code: Option<String>,
    /// The first walk over the catalogue that did not meet it, by its number; none once one has met it.
    #[serde(rename = "m", skip_serializing_if = "Option::is_none", default)]
    pub missed_by: Option<u64>,
    /// How often it was pushed or removed: tells the newer of two entries.
    #[serde(rename = "n", skip_serializing_if = "is_zero", default)]
    pub pushes: u64,
    /// When it was removed, in seconds since the Unix epoch: then it is no entry, but for telling so.
    #[serde(rename = "g", skip_serializing_if = "Option::is_none", default)]
    pub(crate) removed_s: Option<u64>,
    /// The model that it inherits from.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none", default)]
    pub(crate) parent: Option<ShortDigest>,
    /// What the destination gave of it.
    #[serde(rename = "r", skip_serializing_if = "Remote::is_empty", default)]
    pub remote: Remote,
    /// The digest of what the destination had given of its parent when it was pushed; none where that is not sent.
    #[serde(rename = "q", skip_serializing_if = "Option::is_none", default)]
    pub of_parent: Option<String>,
    /// Under which identities it lies at the destination, or may lie, where that is no function of its id: the first is
    /// the one that it was last brought under.
    #[serde(rename = "i", skip_serializing_if = "Vec::is_empty", default)]
    pub identities: Vec<String>,
    /// Of an identity, the codes of entities that want it while another one holds it.
    #[serde(rename = "w", skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) waiting: Vec<String>,
    /// Of an identity, who else may lie there: who held it before it was taken over, and who holds it by what another
    /// worker wrote at the same time. Older versions kept one.
    #[serde(
        rename = "f",
        skip_serializing_if = "Vec::is_empty",
        default,
        deserialize_with = "one_or_several"
    )]
    pub(crate) former: Vec<String>,
    /// Of what was removed, whether an event had said that it is deleted.
    #[serde(rename = "a", skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) was_announced: bool,
}

/// How many bytes a model's mark has.
const MARK_BYTES: usize = 6;

/// A digest of what the destination gave of an entity's parent.
pub fn mark_of(remote: &Remote) -> String {
    digest(serde_json::json!(remote).to_string().as_bytes())[..8].to_owned()
}

/// What tells a push from all others: the hash of what is sent, and beside it, where these are sent or can change, what
/// was given of the parent and what the entity is called. Dead letters hold it, so that a walk tries once more what was
/// refused and is something else now.
pub fn name_of_push(hash: &str, of_parent: Option<&str>, identity: Option<&String>) -> String {
    match (of_parent, identity) {
        (None, None) => hash.to_owned(),
        beside => digest(format!("{hash}\n{beside:?}").as_bytes()),
    }
}

/// The first bytes of a model's digest: enough to find it by, and little room in every entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShortDigest(String);

impl ShortDigest {
    /// The mark of the model of this code.
    pub fn of_code(code: &str) -> ShortDigest {
        ShortDigest::of(&Entity::new(Kind::ProductModel, code).segment)
    }

    pub(crate) fn of(segment: &Segment) -> ShortDigest {
        ShortDigest(URL_SAFE_NO_PAD.encode(&Sha256::digest(segment.as_str())[..MARK_BYTES]))
    }

    /// The places that begin like this: the model lies at one of them.
    pub(crate) fn extent(&self) -> Option<Extent> {
        let digest: [u8; MARK_BYTES] = URL_SAFE_NO_PAD.decode(&self.0).ok()?.try_into().ok()?;
        let first = place_of_bytes(&digest);
        let last = first | u128::MAX >> (8 * MARK_BYTES);
        Some(Extent { first, last })
    }
}

/// The place of an entity in the index. Products lie in the order of their UUIDs, so that neighbours share a page and a
/// walk in the PIM's order closes one page after the other; whatever has no UUID lies by its hash.
pub fn place_of(entity: &Entity) -> u128 {
    match entity.segment.code().as_deref().and_then(uuid_bytes) {
        Some(uuid) if entity.kind == Kind::Product => place_of_bytes(&uuid),
        _ => place_of_bytes(&Sha256::digest(entity.segment.as_str())),
    }
}

/// The first place that begins with these bytes, up to sixteen of them.
pub fn place_of_bytes(bytes: &[u8]) -> u128 {
    let mut place = [0; 16];
    place
        .iter_mut()
        .zip(bytes)
        .for_each(|(of_place, byte)| *of_place = *byte);
    u128::from_be_bytes(place)
}

/// A file as pages know it by the digest of its path: as a product whose id has the bits of the digest, those ten first by
/// which earlier versions told their pages of files. None for what is no digest.
pub(crate) fn file(digest: &str) -> Option<Entity> {
    let bytes = URL_SAFE_NO_PAD.decode(digest).ok()?;
    let bits = u128::from_be_bytes(bytes.try_into().ok()?);
    let (first, rest) = (bits >> 112, bits & (u128::MAX >> 16));
    let place = (first & 0x3ff) << 118 | first >> 10 << 112 | rest;
    Some(Entity::new(Kind::Product, &uuid_text(&place.to_be_bytes())))
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Entry {
    /// Whether just this lies at the destination: content of this hash, sent with what was given of the parent, and, where
    /// that can change, called so and nothing else.
    pub fn is_of(&self, hash: &str, of_parent: Option<&str>, identity: Option<&String>) -> bool {
        let is_called_so = identity.is_none() || self.identities.iter().eq(identity);
        self.hash.as_deref() == Some(hash) && self.of_parent.as_deref() == of_parent && is_called_so
    }

    /// Whether the entry tells what lies at the destination, if only that nothing does.
    pub(crate) fn is_known(&self) -> bool {
        self.hash.is_some() || self.removed_s.is_some()
    }

    /// Whoever holds an identity by one of two entries of it.
    fn holders(&self, other: &Entry) -> Vec<String> {
        if ![self, other]
            .iter()
            .any(|entry| entry.is_of_identity() || !entry.former.is_empty())
        {
            return Vec::new();
        }
        let holders = [self, other].map(|entry| entry.hash.iter().chain(&entry.former).cloned().collect());
        let [one, other] = holders;
        united(one, other)
    }

    /// Whether the entry says who holds an identity: its code then is that of the holder.
    fn is_of_identity(&self) -> bool {
        self.code.is_some() && self.code == self.hash
    }

    /// Of two entries of one entity, the one that counts. Where two workers pushed different contents and neither knew
    /// of the other, which of them lies at the destination is not known.
    pub(crate) fn merged(self, other: Entry) -> Entry {
        let missed_by = self.missed_by.into_iter().chain(other.missed_by).min();
        match self.pushes.cmp(&other.pushes) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal
                if self.hash == other.hash && self.removed_s.is_some() == other.removed_s.is_some() =>
            {
                Entry {
                    missed_by,
                    waiting: united(self.waiting, other.waiting),
                    former: united(self.former, other.former),
                    ..self
                }
            }
            std::cmp::Ordering::Equal => Entry {
                former: self.holders(&other),
                hash: None,
                updated_s: self.updated_s.max(other.updated_s),
                code: self.code.or(other.code),
                pushes: self.pushes,
                // Where the two differ in what the destination gave, that is looked up anew.
                remote: if self.remote == other.remote {
                    self.remote
                } else {
                    Remote::new()
                },
                identities: united(self.identities, other.identities),
                waiting: united(self.waiting, other.waiting),
                parent: self.parent.filter(|parent| other.parent.as_ref() == Some(parent)),
                ..Entry::default()
            },
        }
    }
}

/// Reads a list, or one text in place of it.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrSeveral {
        One(String),
        Several(Vec<String>),
    }
    Ok(match OneOrSeveral::deserialize(deserializer)? {
        OneOrSeveral::One(one) => vec![one],
        OneOrSeveral::Several(several) => several,
    })
}

fn united(mut one: Vec<String>, other: Vec<String>) -> Vec<String> {
    let more = other.into_iter().filter(|of_other| !one.contains(of_other));
    let more: Vec<String> = more.collect();
    one.extend(more);
    one
}
