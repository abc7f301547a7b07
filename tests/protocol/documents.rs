//! Whole documents: good, or told what is wrong in them.

use super::any::{DOCUMENTS, Edit, any_document, any_json, anything, apply, is_plain, visit};
use model::json;
use proptest::prelude::*;
use protocol::place::{at, tokens};
use serde_json::Value;
use shape::Shape;

/// That a document is told what is wrong in it: every mistake with a place that is there, and a remedy.
fn check_told(document: &Value) -> Result<(), TestCaseError> {
    let text = json::write(document);
    let Err(mistakes) = Shape::read(&text) else {
        return Ok(());
    };
    prop_assert!(!mistakes.is_empty());
    for mistake in &mistakes {
        let place = tokens(&mistake.place).filter(|place| at(document, place).is_some());
        prop_assert!(place.is_some(), "{} is not there", mistake);
        prop_assert!(mistake.remedy.chars().count() >= 10, "{}", mistake);
        prop_assert!(is_plain(&mistake.remedy), "{}", mistake);
    }
    // A place can be told once by each operation of each kind that takes it on, and is two characters long at least.
    prop_assert!(
        mistakes.len() <= 15 * text.len(),
        "{} mistakes in {} bytes",
        mistakes.len(),
        text.len()
    );
    Ok(())
}

/// The document with the members of every object the other way round, and with white space.
fn reordered(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter().rev();
            let members =
                members.map(|(name, value)| format!(" {} :\n{}", Value::from(name.as_str()), reordered(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(list) => format!("[ {}\t]", list.iter().map(reordered).collect::<Vec<_>>().join(",")),
        other => json::write(other),
    }
}

/// Every part of the document that has most in it, replaced by everything that means something anywhere.
#[test]
fn nothing_that_stands_anywhere_is_too_much() {
    let document = DOCUMENTS.last().unwrap();
    let mut places = Vec::new();
    visit(document, &mut Vec::new(), &mut |place, _| places.push(place.to_vec()));
    for (place, value) in places
        .iter()
        .flat_map(|place| anything().map(move |value| (place, value)))
    {
        let mut changed = document.clone();
        apply(&mut changed, place, Edit::Replace(value.clone()));
        check_told(&changed).unwrap_or_else(|error| panic!("{value} in {place:?}: {error}"));
    }
}

#[test]
fn the_documents_that_others_are_made_of_are_good() {
    for document in DOCUMENTS.iter() {
        Shape::read(&json::write(document)).unwrap_or_else(|mistakes| panic!("{document}: {mistakes:?}"));
    }
}

proptest! {
    #[test]
    fn a_changed_document_is_a_shape_or_told(document in any_document()) {
        check_told(&document)?;
    }

    #[test]
    fn any_json_is_a_shape_or_told(document in any_json()) {
        check_told(&document)?;
    }

    #[test]
    fn a_document_says_the_same_however_it_is_written(document in any_document()) {
        let text = json::write(&document);
        let (read, again) = (Shape::read(&text), Shape::read(&reordered(&document)));
        prop_assert_eq!(&read, &Shape::read(&text), "another time it is another one");
        prop_assert_eq!(read.is_ok(), again.is_ok());
        if let (Ok(read), Ok(again)) = (read, again) {
            prop_assert_eq!(read.name(), again.name());
            prop_assert_eq!(read, again);
        }
    }

    /// A document that was cut or damaged on its way into the variable.
    #[test]
    fn a_broken_document_is_told(document in any_document(), at in any::<prop::sample::Index>(), with in ".{0,3}") {
        let whole = json::write(&document);
        let at = (0..=at.index(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        for text in [whole[..at].to_owned(), format!("{}{with}{}", &whole[..at], &whole[at..])] {
            if let Err(mistakes) = Shape::read(&text) {
                prop_assert!(!mistakes.is_empty());
            }
        }
    }
}

/// What goes deeper than anybody means is told and not followed: building a body takes a step of the stack for each level.
#[test]
fn a_place_has_an_end() {
    let deep = "/a".repeat(200_000);
    for document in [
        r#"{"products": {"delete": {"method": "POST", "fields": [{"to": "PLACE", "template": "{id}"}]}}}"#,
        r#"{"products": {"find": {"method": "POST", "fields": [{"to": "PLACE", "constant": 1}, {"to": "/id", "template": "{id}"}]}}}"#,
        r#"{"products": {"fields": [{"to": "PLACE", "constant": 1}]}}"#,
        r#"{"products": {"fields": [{"to": "/a", "from": "PLACE"}]}}"#,
        r#"{"products": {"answers": {"required": "PLACE"}}}"#,
        r#"{"products": {"remember": {"id": "PLACE"}}}"#,
        r#"{"login": {"path": "/t", "form": "json", "fields": [{"to": "PLACE", "variable": "login_id"}]}}"#,
        r#"{"limits": {"reset": {"at": "PLACE"}}}"#,
    ] {
        let told = Shape::read(&document.replace("PLACE", &deep)).expect_err(document);
        assert!(
            told.iter().any(|mistake| mistake.remedy.contains("deeper")),
            "{document}: {told:?}"
        );
        Shape::read(&document.replace("PLACE", "/a/b/0/c")).expect(document);
    }
    let nested = format!("{{\"products\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(Shape::read(&nested).is_err());
}
