//! Any answer to what a document makes.

use super::any::{NUMBERS, any_json, leaf, text, visit};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::json;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use protocol::place::{Body, tokens};
use serde_json::Value;
use std::collections::BTreeSet;

/// How an answer is made, whatever document it is read by.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) status: u16,
    headers: Vec<(Index, Vec<u8>)>,
    /// What stands in places that the document names, on their own or as a part of an element of a list.
    puts: Vec<(Index, Option<Index>, Value)>,
    form: Form,
}

/// What became of the body on its way.
#[derive(Debug, Clone)]
enum Form {
    Whole,
    Marked,
    Cut(Index),
    /// Bytes that are no text, somewhere.
    Spoilt(Index, Vec<u8>),
    Deep(usize),
    Other(Vec<u8>),
}

pub(crate) fn recipe() -> impl Strategy<Value = Recipe> {
    let known = vec![
        200_u16, 201, 204, 207, 301, 400, 401, 403, 404, 408, 409, 410, 415, 422, 423, 425, 429, 500, 503,
    ];
    let status = prop_oneof![4 => select(known), 1 => 100..1000_u16];
    let put = (
        any::<Index>(),
        proptest::option::of(any::<Index>()),
        prop_oneof![3 => leaf(), 1 => any_json()],
    );
    let page = "(<!-- .{0,9} -->|\u{feff}| ){0,3}<(!doctype html|HTML)>.{0,20}";
    let form = prop_oneof![
        8 => Just(Form::Whole),
        1 => Just(Form::Marked),
        2 => any::<Index>().prop_map(Form::Cut),
        2 => (any::<Index>(), vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Form::Spoilt(at, bytes)),
        1 => (0..5_000_usize).prop_map(Form::Deep),
        1 => page.prop_map(|page| Form::Other(page.into_bytes())),
        1 => vec(any::<u8>(), 0..40).prop_map(Form::Other),
        1 => text().prop_map(|text| Form::Other(text.into_bytes())),
    ];
    let header = (any::<Index>(), header_value());
    (status, vec(header, 0..6), vec(put, 0..6), form).prop_map(|(status, headers, puts, form)| Recipe {
        status,
        headers,
        puts,
        form,
    })
}

/// The value of a header, as far as there can be such a one at all.
pub(crate) fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => select(&NUMBERS[..]).prop_map(|number| number.as_bytes().to_vec()),
        2 => text().prop_map(String::into_bytes),
        2 => "(\"[a-z,;]{0,3}\"|[a-z]{1,9})?([;,] ?(r|t|w|q|remaining|reset|limit) ?= ?-?[0-9]{0,25}){0,5}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..30),
    ]
}

impl Recipe {
    /// The headers, of those that the document names and of those that any server has.
    pub(crate) fn headers(&self, document: &Value) -> HeaderMap {
        let mut names: BTreeSet<String> = ["etag", "location", "retry-after", "ratelimit", "ratelimit-policy"]
            .map(str::to_owned)
            .into();
        visit(document, &mut Vec::new(), &mut |place, value| {
            if place.last().is_some_and(|name| name == "header" || name == "left") {
                names.extend(value.as_str().map(str::to_owned));
            }
        });
        let names: Vec<HeaderName> = names
            .iter()
            .filter_map(|name| HeaderName::try_from(name.as_str()).ok())
            .collect();
        let pairs = self
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.get(&names).clone(), HeaderValue::from_bytes(value).ok()?)));
        pairs.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    }

    pub(crate) fn body(&self, document: &Value) -> Vec<u8> {
        let mut places = vec![Vec::new(), vec!["errors".to_owned()], vec!["data".to_owned()]];
        visit(document, &mut Vec::new(), &mut |place, value| {
            places.extend(value.as_str().filter(|text| text.len() < 100).and_then(tokens));
            places.extend(
                place
                    .last()
                    .filter(|name| name.starts_with('/'))
                    .and_then(|name| tokens(name)),
            );
        });
        let mut body = Body::default();
        for (at, element, value) in &self.puts {
            let mut place = at.get(&places).clone();
            if let Some(element) = element {
                place.push((element.index(3)).to_string());
                place.extend(element.get(&places).iter().cloned());
            }
            body.put(&place, value.clone());
        }
        let whole = json::write(&body.finish()).into_bytes();
        match &self.form {
            Form::Whole => whole,
            Form::Marked => [b"\xef\xbb\xbf", &whole[..]].concat(),
            Form::Cut(at) => whole[..at.index(whole.len())].to_vec(),
            Form::Spoilt(at, bytes) => {
                let (before, behind) = whole.split_at(at.index(whole.len()));
                [before, bytes, behind].concat()
            }
            Form::Deep(depth) => ["[".repeat(*depth).into_bytes(), whole, "]".repeat(*depth).into_bytes()].concat(),
            Form::Other(bytes) => bytes.clone(),
        }
    }
}
