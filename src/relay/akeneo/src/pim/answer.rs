//! What the PIM's answers say.
//!
//! An answer is what was asked for, or it decides nothing: a proxy, a maintenance page or a cache may speak in the
//! PIM's place, and what it says is no entity's content and nobody's deletion. Of an answer it is assumed only that its
//! body came whole. An entity comes out with lists where Akeneo has lists, however PHP wrote them, and with a mark if
//! any of its texts is no Unicode.

use http::{Response, StatusCode};
use model::entity::{Kind, UNREADABLE, is_same};
use model::failure::Class;
use model::json;
use serde_json::{Map, Value};
use upstream::retry_after::transient;

/// The words that begin Akeneo's messages that something does not exist.
const NOUNS: [&str; 4] = ["Product", "Category", "Attribute", "Resource"];

/// What a read by id found.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// The entity.
    Found(Value),
    /// The entity was deleted, or is hidden from this connection: the PIM does not tell which (contract 4.7).
    Gone,
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The entities.
    pub items: Vec<Value>,
    /// How many more entities there were whose ids cannot be read. Any entity that is missing from the page may be one
    /// of them.
    pub nameless: usize,
    /// The cursor of the next page: the query of the PIM's `next` link, never its origin (contract 4.4).
    pub next: Option<String>,
    /// The PIM's own clock, from the answer's `Date`, in seconds since the Unix epoch.
    pub date_s: Option<u64>,
}

/// The class of failure that a status of the PIM's stands for; none for a good one (contract 4.7).
pub fn judge(status: StatusCode) -> Option<Class> {
    match status.as_u16() {
        200..=299 => None,
        403 | 404 | 405 | 406 | 415 | 300..=399 => Some(Class::Misconfigured),
        _ => transient(status).or(Some(Class::Permanent)),
    }
}

/// The entity that was asked for, or its absence, which counts in Akeneo's own words alone; else the class of the
/// failure.
pub fn entity(kind: Kind, code: &str, response: &Response<Vec<u8>>) -> Result<Read, Class> {
    if response.status() == StatusCode::NOT_FOUND {
        return absence(code, response).map(|()| Read::Gone);
    }
    if let Some(class) = judge(response.status()) {
        return Err(class);
    }
    let document = json::read(response.body()).ok_or(Class::Unavailable)?;
    let mut entity = document.value;
    match kind.id_in(&entity) {
        Some(id) if is_same(&id, code) => {
            clear(&mut entity, document.is_damaged);
            Ok(Read::Found(entity))
        }
        _ => Err(Class::Unavailable),
    }
}

/// Whether a 404 is Akeneo's word that the thing of this code does not exist; else the class of the failure. Another
/// message of Akeneo's, such as "No route found", is for a person. A 404 in another form comes from a server in
/// between.
pub(super) fn absence(code: &str, response: &Response<Vec<u8>>) -> Result<(), Class> {
    let message = own_404(response).ok_or(Class::Unavailable)?;
    let is_of_a_thing = NOUNS.iter().any(|noun| message.starts_with(noun));
    // Some versions of the PIM quote nothing in this message.
    let is_of_this = quoted(&message).is_none_or(|quoted| is_same(quoted, code));
    if is_of_a_thing && is_of_this && message.contains("does not exist") {
        Ok(())
    } else {
        Err(Class::Misconfigured)
    }
}

/// What a message has between quotes of any sort.
fn quoted(message: &str) -> Option<&str> {
    let at = message.find(['"', '\'', '`'])?;
    let (_, rest) = message.split_at(at);
    let quote = rest.chars().next()?;
    rest.strip_prefix(quote)?.rsplit_once(quote).map(|(quoted, _)| quoted)
}

/// Whether the PIM says that it has no such endpoint, as one does that has no search by `POST` (contract 4.3).
pub(super) fn is_no_endpoint(response: &Response<Vec<u8>>) -> bool {
    response.status() == StatusCode::METHOD_NOT_ALLOWED || own_404(response).is_some()
}

/// The message of a 404 in the form of Akeneo's errors (contract 4.7); none for any other answer.
fn own_404(response: &Response<Vec<u8>>) -> Option<String> {
    if response.status() != StatusCode::NOT_FOUND {
        return None;
    }
    let body = json::read(response.body())?.value;
    let is_own = body.get("code").and_then(json::whole) == Some(404);
    let message = body.get("message").filter(|_| is_own)?;
    message.as_str().map(str::to_owned)
}

/// A page of a list; else the class of the failure.
pub fn page(response: &Response<Vec<u8>>) -> Result<Page, Class> {
    if let Some(class) = judge(response.status()) {
        return Err(class);
    }
    let document = json::read(response.body()).ok_or(Class::Unavailable)?;
    let mut body = document.value;
    let items = body
        .get_mut("_embedded")
        .and_then(|embedded| Some(embedded.get_mut("items")?.take()))
        .or_else(|| Some(body.get_mut("_embedded")?.get_mut("_items")?.take()));
    let items = items.and_then(json::list).ok_or(Class::Unavailable)?;
    let next = match body.pointer("/_links/next/href") {
        None | Some(Value::Null) => None,
        // A link without a query leads nowhere, and is not the end of a list either.
        Some(href) => {
            let (_, query) = href
                .as_str()
                .and_then(|href| href.split_once('?'))
                .ok_or(Class::Unavailable)?;
            Some(query.split('#').next().unwrap_or(query).to_owned())
        }
    };
    let date = response
        .headers()
        .get("date")
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let date_s = date
        .and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok())
        .map(|since| since.as_secs());
    let mut page = Page {
        next,
        date_s,
        ..Page::default()
    };
    for mut item in items.into_iter().filter(|item| !item.is_null()) {
        if !item.is_object() {
            return Err(Class::Unavailable);
        }
        clear(&mut item, document.is_damaged);
        page.items.push(item);
    }
    Ok(page)
}

/// Takes the entities whose ids cannot be read off a page, and counts them.
pub(super) fn named(kind: Kind, mut page: Page) -> Page {
    let all = page.items.len();
    page.items.retain(|item| kind.id_in(item).is_some());
    page.nameless = all - page.items.len();
    page
}

/// Marks an entity that is damaged, and turns into lists those lists of the entity that PHP wrote as objects, since
/// numbers were missing between their elements.
fn clear(entity: &mut Value, may_be_damaged: bool) {
    let is_damaged = may_be_damaged && json::is_damaged(entity);
    let Some(members) = entity.as_object_mut() else { return };
    for name in ["categories", "groups", "completenesses", "quality_scores"] {
        members.get_mut(name).into_iter().for_each(as_list);
    }
    for value in children(members, "values") {
        as_list(value);
        for value in value.as_array_mut().into_iter().flatten() {
            value.get_mut("data").into_iter().for_each(as_list);
        }
    }
    for name in ["associations", "quantified_associations"] {
        for association in children(members, name) {
            let lists = association.as_object_mut().into_iter().flat_map(Map::values_mut);
            lists.for_each(as_list);
        }
    }
    if is_damaged {
        members.insert(UNREADABLE.to_owned(), Value::Bool(true));
    }
}

fn children<'a>(members: &'a mut Map<String, Value>, name: &str) -> impl Iterator<Item = &'a mut Value> {
    let children = members.get_mut(name).and_then(Value::as_object_mut);
    children.into_iter().flat_map(Map::values_mut)
}

fn as_list(value: &mut Value) {
    let is_numbered = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
    if matches!(&*value, Value::Object(members) if !members.is_empty() && members.keys().all(is_numbered))
        && let Some(list) = json::list(value.take())
    {
        *value = Value::Array(list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const UUID: &str = "25566245-55c3-42ce-86d9-8610ac459fa8";
    const MAINTENANCE: &str = r#"{"message":"Scheduled maintenance"}"#;
    const HTML: &str = "<!DOCTYPE html><title>404 Not Found</title>";

    fn answered(status: u16, body: &[u8]) -> Response<Vec<u8>> {
        let response = Response::builder()
            .status(status)
            .header("date", "Thu, 01 Jan 1970 00:01:40 GMT");
        response.body(body.to_vec()).expect("a response")
    }

    fn by_id(kind: Kind, code: &str, status: u16, body: &str) -> Result<Read, Class> {
        entity(kind, code, &answered(status, body.as_bytes()))
    }

    fn own_404(message: &str) -> String {
        json!({ "code": 404, "message": message }).to_string()
    }

    #[test]
    fn an_entity_is_the_one_that_was_asked_for() {
        let model = json!({ "code": "Tee", "updated": "2026-01-01T00:00:00+00:00" });
        for code in ["Tee", "tee", "TEE"] {
            let read = by_id(Kind::ProductModel, code, 200, &model.to_string());
            assert_eq!(read, Ok(Read::Found(model.clone())), "{code}");
        }
        let numbered = by_id(Kind::Category, "42", 200, r#"{"code":42}"#);
        assert_eq!(numbered, Ok(Read::Found(json!({ "code": 42 }))));
        let upper = json!({ "uuid": UUID.to_uppercase() }).to_string();
        assert!(matches!(by_id(Kind::Product, UUID, 200, &upper), Ok(Read::Found(_))));
        let others = [
            MAINTENANCE,
            HTML,
            "",
            "null",
            "[]",
            "{}",
            r#"{"uuid":null}"#,
            r#"{"code":"other"}"#,
            r#"[{"code":"tee"}]"#,
            r#"{"_embedded":{"items":[]}}"#,
        ];
        for body in others {
            let read = by_id(Kind::ProductModel, "tee", 200, body);
            assert_eq!(read, Err(Class::Unavailable), "{body}");
            assert_eq!(by_id(Kind::Product, UUID, 200, body), Err(Class::Unavailable), "{body}");
        }
    }

    #[test]
    fn that_something_is_absent_counts_in_akeneos_own_words() {
        for (code, message) in [
            (
                UUID,
                format!("Product \"{UUID}\" does not exist or you do not have permission to access it."),
            ),
            (
                UUID,
                format!("Product with {UUID} uuid does not exist or you do not have permission to access it."),
            ),
            (
                "a/\"B\"",
                "Product model \"A/\"b\"\" does not exist or you do not have permission to access it.".to_owned(),
            ),
            ("master", "Category 'master' does not exist.".to_owned()),
            (
                "x",
                "Resource does not exist or you do not have permission to access it.".to_owned(),
            ),
        ] {
            let read = by_id(Kind::ProductModel, code, 404, &own_404(&message));
            assert_eq!(read, Ok(Read::Gone), "{message}");
        }
        let coded = r#"{"code":"404","message":"Category \"x\" does not exist."}"#;
        assert_eq!(by_id(Kind::Category, "x", 404, coded), Ok(Read::Gone));
    }

    #[test]
    fn other_words_of_akeneos_are_for_people_and_those_of_others_say_nothing() {
        for message in [
            "No route found for \"GET /api/rest/v1/product-models/x\"",
            "Product model \"other\" does not exist or you do not have permission to access it.",
            "Not Found",
            "The service x does not exist",
        ] {
            let read = by_id(Kind::ProductModel, "x", 404, &own_404(message));
            assert_eq!(read, Err(Class::Misconfigured), "{message}");
        }
        for body in [
            HTML,
            "default backend - 404",
            "",
            "{}",
            r#"{"message":"Product \"x\" does not exist"}"#,
            r#"{"code":404}"#,
        ] {
            assert_eq!(
                by_id(Kind::ProductModel, "x", 404, body),
                Err(Class::Unavailable),
                "{body}"
            );
        }
    }

    fn items(embedded: &str) -> Result<Vec<Value>, Class> {
        let body = format!(r#"{{"_links":{{}},{embedded}}}"#);
        page(&answered(200, body.as_bytes())).map(|page| page.items)
    }

    #[test]
    fn a_list_is_one_in_every_form_that_php_gives_it() {
        let both = vec![json!({ "code": "a" }), json!({ "code": "b" })];
        for embedded in [
            r#""_embedded":{"items":[{"code":"a"},{"code":"b"}]}"#,
            r#""_embedded":{"items":{"2":{"code":"a"},"10":{"code":"b"}}}"#,
            r#""_embedded":{"_items":[{"code":"a"},null,{"code":"b"}]}"#,
        ] {
            assert_eq!(items(embedded), Ok(both.clone()), "{embedded}");
        }
        for empty in [r#""_embedded":{"items":[]}"#, r#""_embedded":{"items":{}}"#] {
            assert_eq!(items(empty), Ok(vec![]), "{empty}");
        }
        for other in [
            r#""items":[]"#,
            r#""_embedded":{}"#,
            r#""_embedded":[]"#,
            r#""_embedded":{"items":null}"#,
            r#""_embedded":{"items":{"first":{"code":"a"}}}"#,
            r#""_embedded":{"items":["a"]}"#,
        ] {
            assert_eq!(items(other), Err(Class::Unavailable), "{other}");
        }
        for body in [MAINTENANCE, HTML, "", "[]"] {
            assert_eq!(page(&answered(200, body.as_bytes())), Err(Class::Unavailable), "{body}");
        }
    }

    #[test]
    fn a_page_leads_to_the_next_one_or_says_that_it_is_the_last() {
        let next = |links: &str| {
            let body = format!(r#"{{"_links":{links},"_embedded":{{"items":[]}}}}"#);
            page(&answered(200, body.as_bytes())).map(|page| (page.next, page.date_s))
        };
        for last in ["{}", "[]", "null", r#"{"next":null}"#, r#"{"next":{"href":null}}"#] {
            assert_eq!(next(last), Ok((None, Some(100))), "{last}");
        }
        let link = r#"{"next":{"href":"http://elsewhere/api?search_after=x&limit=100#y"}}"#;
        assert_eq!(next(link), Ok((Some("search_after=x&limit=100".to_owned()), Some(100))));
        for nowhere in [r#"{"next":{"href":"/api"}}"#, r#"{"next":{"href":7}}"#] {
            assert_eq!(next(nowhere), Err(Class::Unavailable), "{nowhere}");
        }
    }

    #[test]
    fn what_is_damaged_is_marked_and_its_neighbours_are_not() {
        let body =
            br#"{"_embedded":{"items":[{"code":"a","name":"x"},{"code":"b","name":"\ud83d"},{"code":"\udc00"}]}}"#;
        let page = page(&answered(200, body))
            .map(|page| named(Kind::ProductModel, page))
            .expect("a page");
        let marked: Vec<bool> = page.items.iter().map(|item| item.get(UNREADABLE).is_some()).collect();
        assert_eq!((marked, page.nameless), (vec![false, true], 1));
    }

    #[test]
    fn lists_inside_an_entity_are_lists_again() {
        let given = json!({
            "code": "a", "categories": { "1": "x", "3": 7 }, "groups": {}, "labels": { "0": "stays" },
            "values": {
                "0": { "4": { "data": "one" } },
                "colors": [{ "data": { "0": "red", "2": "blue" } }, { "data": { "amount": "1", "unit": "M" } }],
            },
            "associations": { "X": { "products": { "5": "u" }, "groups": [] }, "1": { "products": [] } },
        });
        let Ok(Read::Found(read)) = by_id(Kind::ProductModel, "a", 200, &given.to_string()) else {
            panic!("not read");
        };
        let expected = json!({
            "code": "a", "categories": ["x", 7], "groups": {}, "labels": { "0": "stays" },
            "values": {
                "0": [{ "data": "one" }],
                "colors": [{ "data": ["red", "blue"] }, { "data": { "amount": "1", "unit": "M" } }],
            },
            "associations": { "X": { "products": ["u"], "groups": [] }, "1": { "products": [] } },
        });
        assert_eq!(read, expected);
        // PHP writes an empty map as a list.
        let empty = r#"{"code":"a","values":[],"associations":[],"labels":[]}"#;
        assert!(matches!(by_id(Kind::ProductModel, "a", 200, empty), Ok(Read::Found(_))));
    }
}
