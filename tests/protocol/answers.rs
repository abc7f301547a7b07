//! What answers mean, and what is remembered of them.

use super::any::{ACTS, good_document, is_plain, kinds, leaf, visit};
use super::recipe::recipe;
use http::HeaderMap;
use model::entity::Kind;
use model::html::is_page;
use model::json;
use model::number;
use proptest::prelude::*;
use proptest::sample::select;
use protocol::answers::Meaning;
use protocol::request::Act;
use serde_json::{Value, json};
use shape::Shape;
use std::collections::BTreeSet;

/// What a status can mean where no rule says otherwise.
fn is_possible(meaning: Meaning, act: Act, status: u16) -> bool {
    let is_good = (200..300).contains(&status);
    match meaning {
        Meaning::Done => is_good,
        Meaning::Unavailable => is_good,
        Meaning::Missing => !is_good && matches!(act, Act::Update | Act::Delete | Act::Find),
        Meaning::Exists => status == 409 && act == Act::Create,
        Meaning::Busy | Meaning::Misconfigured => !is_good,
        Meaning::Refused => true,
    }
}

/// What stands between the quotes of a text: well formed, and as it comes from where texts are cut anywhere.
const TEXTS: [&[u8]; 5] = [b"no such field", b"caf\xe9", br"cut \ud83d", b"a\tb", b""];

proptest! {
    #[test]
    fn an_answer_means_one_thing((document, shape) in good_document(), recipe in recipe()) {
        let (headers, body) = (recipe.headers(&document), recipe.body(&document));
        let mut has_rules = false;
        visit(&document, &mut Vec::new(), &mut |place, _| has_rules |= place.last().is_some_and(|name| name == "rules"));
        for (kind, act) in kinds(&shape).flat_map(|kind| ACTS.map(|act| (kind, act))) {
            let answers = shape.answers_of(kind, act);
            let meaning = answers.meaning(act, recipe.status, &body);
            prop_assert_eq!(meaning, answers.meaning(act, recipe.status, &body));
            prop_assert!(has_rules || is_possible(meaning, act, recipe.status), "{:?} to {:?} by {}", meaning, act, recipe.status);
            let wait = |now_ms| answers.wait_s(&shape.limits, meaning, (recipe.status, &headers), &body, now_ms);
            prop_assert_eq!(wait(1_800_000_000_000), wait(1_800_000_000_000));
            for now_ms in [0, 1_800_000_000_000, u64::MAX] {
                prop_assert!(wait(now_ms).is_none_or(|wait_s| wait_s <= 86_400));
            }
            let reason = answers.reason(&body);
            prop_assert!(reason.as_deref().is_none_or(is_plain));
        }
    }

    /// What an answer says of errors counts however its texts are damaged, and whatever numbers stand beside it.
    #[test]
    fn a_refusal_is_one_however_it_is_written(
        status in 200..300_u16,
        text in select(&TEXTS[..]),
        number in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,9})?",
        is_marked: bool,
    ) {
        let mark: &[u8] = if is_marked { b"\xef\xbb\xbf" } else { b"" };
        let body = [mark, br#"{"data":{"n":"#, number.as_bytes(), br#"},"errors":[{"message":""#, text, br#""}]}"#].concat();
        let answers = Shape::default().answers;
        prop_assert_eq!(answers.meaning(Act::Upsert, status, &body), Meaning::Refused);
        let is_told = answers.reason(&body).is_some_and(|reason| reason.starts_with("[{\"message\""));
        prop_assert!(is_told);
        // It is the destination's own word, too.
        prop_assert_eq!(answers.meaning(Act::Delete, 404, &body), Meaning::Missing);
    }

    /// Numbers are the same where their digits are worth the same, and no two others are.
    #[test]
    fn numbers_are_compared_to_the_last_digit(digits in "[1-9][0-9]{0,30}", last in "[0-9]", other in "[0-9]", zeros in 0..4_usize) {
        let document = |number: &str| format!(r#"{{"answers": {{"rules": [{{"at": "/n", "equals": {number}, "means": "exists"}}]}}}}"#);
        let shape = Shape::read(&document(&format!("{digits}{last}"))).unwrap();
        for number in [format!("{digits}{other}"), format!("{digits}{other}.0"), format!("{digits}.{other}e1"), format!("{digits}{other}{}e-{zeros}", "0".repeat(zeros))] {
            let meaning = shape.answers.meaning(Act::Upsert, 400, format!("{{\"n\":{number}}}").as_bytes());
            prop_assert_eq!(meaning == Meaning::Exists, last == other, "{} is {}{}", number, &digits, &last);
        }
    }

    #[test]
    fn a_page_is_nobodys_success(status in 200..300_u16, before in "(<!-- .{0,9} -->|\u{feff}| ){0,3}", rest in any::<Vec<u8>>()) {
        let body = [before.as_bytes(), b"<!doctype html>", &rest].concat();
        prop_assume!(is_page(&body));
        for act in ACTS {
            prop_assert_eq!(Shape::default().answers.meaning(act, status, &body), Meaning::Unavailable);
        }
    }

    /// Four values of 200 bytes, each of which the answer has in a place that the document names.
    #[test]
    fn what_is_remembered_is_little_and_stood_there((document, shape) in good_document(), recipe in recipe()) {
        let (headers, body) = (recipe.headers(&document), recipe.body(&document));
        let read = json::read(&body).map(|read| read.value);
        let mut said: BTreeSet<String> = headers.values().filter_map(|value| Some(value.to_str().ok()?.to_owned())).collect();
        visit(read.as_ref().unwrap_or(&Value::Null), &mut Vec::new(), &mut |_, value| {
            said.extend(number::text(value).or_else(|| value.as_str().map(str::to_owned)));
        });
        for kind in kinds(&shape) {
            let mut names = BTreeSet::new();
            for act in ACTS {
                let remember = &shape.operation(kind, act).remember;
                let taken = remember.take(&headers, read.as_ref());
                prop_assert_eq!(&taken, &remember.take(&headers, read.as_ref()));
                for (name, value) in &taken {
                    prop_assert!(remember.names().any(|known| known == name));
                    prop_assert!((1..=200).contains(&value.len()), "{} bytes", value.len());
                    prop_assert!(is_plain(value), "{:?}", value);
                    prop_assert!(said.contains(value), "{:?} stands nowhere", value);
                }
                if !remember.needs_bodies() {
                    prop_assert_eq!(taken, remember.take(&headers, None));
                }
                names.extend(remember.names().map(str::to_owned));
            }
            prop_assert!(names.len() <= 4, "{:?}", names);
        }
    }

    /// A number is remembered by its digits, be they ever so many, and a text only if it is one.
    #[test]
    fn an_id_is_remembered_to_the_last_digit(id in "[1-9][0-9]{0,40}", text in select(&TEXTS[..])) {
        let shape = Shape::read(r#"{"products": {"remember": {"id": "/id"}}}"#).unwrap();
        let remember = &shape.operation(Kind::Product, Act::Upsert).remember;
        let taken = |id: &[u8]| {
            let body = json::read(&[b"{\"id\":", id, b"}"].concat()).unwrap().value;
            remember.take(&HeaderMap::new(), Some(&body)).remove("id")
        };
        prop_assert_eq!(taken(id.as_bytes()), Some(id.clone()));
        prop_assert_eq!(taken(format!("\"{id}\"").as_bytes()), Some(id));
        let is_text = !text.is_empty() && text.is_ascii() && !text.contains(&b'\\');
        prop_assert_eq!(taken(&[b"\"", text, b"\""].concat()).is_some(), is_text);
    }

    /// A token lasts as long as the answer says; where that is nothing, as long as the document does.
    #[test]
    fn a_token_lasts(
        lasts in prop_oneof![3 => leaf(), 1 => Just(json!(0)), 1 => Just(json!(" 0 ")), 1 => any::<u32>().prop_map(Value::from)],
        document in any::<u64>(),
        token in leaf(),
    ) {
        let own = document % 1_000 + 10;
        let text = json!({ "login": { "path": "/t", "lasts": own } }).to_string();
        let login = Shape::read(&text).unwrap().login.unwrap();
        let answer = json!({ "access_token": token, "expires_in": lasts });
        let read = login.token(&answer);
        prop_assert_eq!(&read, &login.token(&answer));
        prop_assert_eq!(read.is_some(), token.is_string() && json::written(&token).is_none());
        if let Some((read, lasts_s)) = read {
            prop_assert_eq!(Some(read.as_str()), token.as_str());
            let told_s = json::whole(&answer["expires_in"]).filter(|told_s| *told_s > 0);
            prop_assert_eq!(told_s.unwrap_or(own).min(365 * 86_400), lasts_s);
        }
    }
}
