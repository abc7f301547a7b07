//! What a request is to do, and by what it names an entity.
//! Names are filled in when a request is made; what the destination gave keeps its place until the request is sent.

use crate::remote::{is_late, own_name};
use model::template::Piece;

/// What a request is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The entity is to be as it is sent, whether it is there or not.
    Upsert,
    /// The entity is to be made.
    Create,
    /// The entity is there, and is to be as it is sent.
    Update,
    /// The entity is to be there no more, or out of sight.
    Delete,
    /// The entity is looked for.
    Find,
}

/// By what an entity is named in a request.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// Its UUID or code in the PIM.
    pub id: &'a str,
    /// What the destination calls it.
    pub identity: &'a str,
}

impl Names<'_> {
    /// The places that stand for these names.
    pub const ALL: [&'static str; 3] = ["id", "identity", "kind"];

    /// What stands for a place.
    pub fn of(&self, place: &str) -> &str {
        match place {
            "kind" => self.kind,
            "identity" => self.identity,
            _ => self.id,
        }
    }
}

/// Whether a template says which entity it is for.
pub fn names_an_entity(template: &[Piece]) -> bool {
    let is_name = |place: &str| matches!(place, "id" | "identity") || own_name(place).is_some();
    let mut pieces = template.iter();
    pieces.any(|piece| matches!(piece, Piece::Place(place) if is_name(place)))
}

/// Whether a template says what the destination calls an entity.
pub fn names_identity(template: &[Piece]) -> bool {
    let mut pieces = template.iter();
    pieces.any(|piece| matches!(piece, Piece::Place(place) if place == "identity"))
}

/// A template with an entity's names filled in, written by this function; what the destination gave comes later.
pub fn fill(template: &[Piece], names: &Names<'_>, written: fn(&str) -> String) -> Vec<Piece> {
    let mut filled: Vec<Piece> = Vec::new();
    for piece in template {
        let text = match piece {
            Piece::Text(text) => text.clone(),
            Piece::Place(place) if is_late(place) => {
                filled.push(piece.clone());
                continue;
            }
            Piece::Place(place) => written(names.of(place)),
        };
        match filled.last_mut() {
            Some(Piece::Text(known)) => known.push_str(&text),
            _ => filled.push(Piece::Text(text)),
        }
    }
    filled
}
