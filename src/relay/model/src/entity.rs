//! What the relay keeps equal: entities, and how their codes stand in keys.
//!
//! Whatever a code is, its segment fits into a key, has no character there that means something else, and is another
//! one than that of any other code.

use crate::json;
use crate::time;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The most entities that a batch begins with: as many as the PIM gives in one page (contract 4.4).
pub const BATCH_MAX: usize = 100;

/// The member that marks an entity of the PIM in which a text is no Unicode. Such an entity is not sent before people
/// have mended it in the PIM.
pub const UNREADABLE: &str = "_unreadable";

/// The kinds of entity that are kept equal. The worker serves the greatest kind first, since lesser ones refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A product, known by its UUID.
    Product,
    /// A product model, known by its code.
    ProductModel,
    /// A category, known by its code; only where the shape wants categories.
    Category,
}

impl Kind {
    /// Every kind. Those that are always kept equal come before the one that the shape may want, too.
    pub const ALL: [Kind; 3] = [Kind::ProductModel, Kind::Product, Kind::Category];

    /// The kind's letter in a key.
    pub fn letter(self) -> char {
        match self {
            Kind::Product => 'p',
            Kind::ProductModel => 'm',
            Kind::Category => 'c',
        }
    }

    /// The kind with this letter.
    pub fn of_letter(letter: char) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.letter() == letter)
    }

    /// The kind's name in a path of the destination, in logs and in the administration.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Product => "products",
            Kind::ProductModel => "product-models",
            Kind::Category => "categories",
        }
    }

    /// The kind of parents: products and models inherit from models, and categories lie in categories.
    pub fn of_parents(self) -> Kind {
        match self {
            Kind::Category => Kind::Category,
            Kind::Product | Kind::ProductModel => Kind::ProductModel,
        }
    }

    /// The parent in a document of the PIM's that is an entity: the model that it inherits from, or the category that it
    /// lies in.
    pub fn parent_in(self, document: &Value) -> Option<Entity> {
        let code = document.get("parent").and_then(Value::as_str)?;
        Some(Entity::new(self.of_parents(), code))
    }

    /// The id in a document of the PIM's that is an entity (contract 4.6): a UUID in its canonical form whatever case
    /// it came in, a code to the letter. An id that is no Unicode is none.
    pub fn id_in(self, document: &Value) -> Option<String> {
        let member = match self {
            Kind::Product => "uuid",
            Kind::ProductModel | Kind::Category => "code",
        };
        let id = document.get(member).filter(|id| !json::is_damaged(id))?;
        let id = json::text(id)?;
        let lower = id.to_ascii_lowercase();
        Some(if self == Kind::Product && uuid_bytes(&lower).is_some() {
            lower
        } else {
            id.into_owned()
        })
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Whether two codes may be one for Akeneo, to which letter case makes no difference. Which letters beyond ASCII are
/// the same to Akeneo depends on its database, and only codes of models have any. Here each of them is the same as
/// every other. So this tells whether an answer fits what was asked for, and not whether two entities are one.
pub fn is_same(one: &str, other: &str) -> bool {
    let folded = |c: char| if c.is_ascii() { c.to_ascii_lowercase() } else { '\u{80}' };
    one.chars().map(folded).eq(other.chars().map(folded))
}

/// The longest code that stands in full in a segment, in bytes.
const FULL_MAX: usize = 40;

/// A code as it stands in a key: in full where it is short, else as a hash, and then the key's value has the code.
///
/// The first letter tells the form: `u` a lower-case UUID in 22 characters, `t` the text itself, `x` its bytes in
/// base64url, `h` a hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Segment(String);

impl Segment {
    /// The segment of a code. Equal codes have equal segments, different codes different ones.
    pub fn of(code: &str) -> Segment {
        Segment(if let Some(uuid) = uuid_bytes(code) {
            format!("u{}", URL_SAFE_NO_PAD.encode(uuid))
        } else if code.len() <= FULL_MAX && is_plain(code) {
            format!("t{code}")
        } else if code.len() <= FULL_MAX {
            format!("x{}", URL_SAFE_NO_PAD.encode(code))
        } else {
            format!("h{}", digest(code.as_bytes()))
        })
    }

    /// Reads a segment out of a key; none for what [`Segment::of`] never makes. Every key of a listing is read so, and
    /// there may be 400,000: no code is made for it.
    pub fn parse(text: &str) -> Option<Segment> {
        let (form, rest) = text.split_at_checked(1)?;
        // Base64 that has no padding and no bits left over is the only one of its bytes.
        let is_made = match form {
            "u" | "h" => decoded_16(rest).is_some(),
            "t" => rest.len() <= FULL_MAX && is_plain(rest) && uuid_bytes(rest).is_none(),
            "x" => {
                let code = String::from_utf8(URL_SAFE_NO_PAD.decode(rest).ok()?).ok()?;
                code.len() <= FULL_MAX && !is_plain(&code)
            }
            _ => false,
        };
        is_made.then(|| Segment::known(text))
    }

    /// A segment of a text that [`Segment::parse`] has read before. Nothing is checked.
    pub fn known(text: &str) -> Segment {
        Segment(text.to_owned())
    }

    /// The code; none where the segment has only a hash of it.
    pub fn code(&self) -> Option<String> {
        let (form, rest) = self.0.split_at_checked(1)?;
        match form {
            "t" => Some(rest.to_owned()),
            "x" => String::from_utf8(URL_SAFE_NO_PAD.decode(rest).ok()?).ok(),
            "u" => Some(uuid_text(&decoded_16(rest)?)),
            _ => None,
        }
    }

    /// The segment as it stands in a key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a code stands in a key as it is.
fn is_plain(code: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    code.bytes().all(plain)
}

/// The sixteen bytes that this base64url says, as those of a UUID and of a digest are; none of any other text.
fn decoded_16(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    let mut bytes = [0; DIGEST_BYTES];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (length == bytes.len()).then_some(bytes)
}

/// How many bytes of a SHA-256 a digest keeps: 128 bits, so that no two codes have the same. A UUID has as many.
const DIGEST_BYTES: usize = 16;

/// A short digest in 22 characters of base64url, for keys and for the index.
pub fn digest(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..DIGEST_BYTES])
}

/// The bytes of a UUID that is written in its canonical form, lower case and hyphenated; none of any other text.
pub fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let uuid = Uuid::try_parse(text).ok()?;
    let mut canonical = Uuid::encode_buffer();
    (uuid.hyphenated().encode_lower(&mut canonical) == text).then(|| uuid.into_bytes())
}

/// A UUID in its canonical form.
pub fn uuid_text(bytes: &[u8; 16]) -> String {
    Uuid::from_bytes(*bytes).hyphenated().to_string()
}

/// An entity as keys know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity {
    /// The entity's kind.
    pub kind: Kind,
    /// The entity's code, as it stands in keys.
    pub segment: Segment,
}

impl Entity {
    /// The entity of this kind and segment.
    pub fn of(kind: Kind, segment: &Segment) -> Entity {
        let segment = segment.clone();
        Entity { kind, segment }
    }

    /// The entity in one text, as it stands in keys: the letter of its kind, a dot, its segment.
    pub fn key(&self) -> String {
        format!("{}.{}", self.kind.letter(), self.segment.as_str())
    }

    /// The entity of this kind and code: the UUID of a product, the code of anything else.
    pub fn new(kind: Kind, code: &str) -> Entity {
        Entity {
            kind,
            segment: Segment::of(code),
        }
    }
}

/// When the PIM says that an entity was updated, in seconds since the Unix epoch; 0 if it does not say.
pub fn updated_s(entity: &Value) -> u64 {
    entity.get("updated").and_then(time::parse_value).unwrap_or(0)
}
