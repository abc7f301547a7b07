//! Texts with places to fill in: `{name}`. A brace of the text itself is written `\{` or `\}`.
//!
//! A backslash stands before any character that is to be taken as it is, itself included. Which names there may be is
//! for whoever reads the template to say.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text that stays.
    Text(String),
    /// The name of what is filled in, without white space around it; it may be empty.
    Place(String),
}

/// The pieces of a template, in order, of which a text may be empty. Fails with what is wrong with the template.
pub fn pieces(text: &str) -> Result<Vec<Piece>, &'static str> {
    let mut pieces = Vec::new();
    let (mut piece, mut in_place) = (String::new(), false);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, in_place) {
            ('\\', _) => piece.push(rest.next().ok_or("it ends with a backslash")?),
            ('{', false) => {
                pieces.push(Piece::Text(std::mem::take(&mut piece)));
                in_place = true;
            }
            ('}', true) => {
                pieces.push(Piece::Place(std::mem::take(&mut piece).trim().to_owned()));
                in_place = false;
            }
            ('{' | '}', _) => return Err("a brace of the text itself has a backslash before it"),
            (c, _) => piece.push(c),
        }
    }
    if in_place {
        return Err("a brace is not closed");
    }
    pieces.push(Piece::Text(piece));
    Ok(pieces)
}
