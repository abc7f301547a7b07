//! What a request is to do, and by what it names an entity.

use model::template::Piece;

/// What a request is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The entity is to be as it is sent, whether it is there or not.
    Upsert,
    /// It is to be made.
    Create,
    /// It is there, and is to be as it is sent.
    Update,
    /// It is to be there no more, or out of sight.
    Delete,
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
    /// The places that stand for them.
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
    let is_name = |piece: &Piece| matches!(piece, Piece::Place(place) if matches!(place.as_str(), "id" | "identity"));
    template.iter().any(is_name)
}
