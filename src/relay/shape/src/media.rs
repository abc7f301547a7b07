//! Files: which of them an entity's body names, and where they go.
//!
//! Only files that a body names are sent, each once. A code that could lead to another path, in the PIM or at the
//! destination, is not followed.

use http::Method;
use model::document::Node;
use protocol::request::Names;
use protocol::request_line::RequestLine;
use serde_json::Value;

/// The largest file that is sent where the document does not say, in bytes.
const BYTES: u64 = 10_000_000;

/// The most that the document may say, in bytes: more does not come through within the time of a call.
const BYTES_MAX: u64 = 100_000_000;

/// The types of attributes whose data is the code of a file.
const TYPES: [&str; 2] = ["pim_catalog_file", "pim_catalog_image"];

/// How files are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    line: RequestLine,
    /// The largest file that is sent, in bytes.
    pub max_bytes: u64,
}

/// A file of the PIM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its code in the PIM, slashes and all. The content under a code never changes.
    pub code: String,
    /// Its path at the destination, percent-encoded, below the destination's own.
    pub path: String,
}

impl Media {
    /// Reads the member of the document; none where files are not to be sent.
    pub(super) fn read(node: &Node<'_>) -> Option<Media> {
        if node.value == &Value::Bool(false) || !node.is_object_of(&["upsert", "max_bytes"]) {
            return None;
        }
        let mut media = Media {
            line: RequestLine::of(Method::PUT, "media"),
            max_bytes: BYTES,
        };
        if let Some(node) = node
            .member("upsert")
            .filter(|node| node.is_object_of(&["method", "path"]))
        {
            // By `PUT` alone: the same file may come twice, and the path is all that names it.
            media.line.amend(&node, &[("PUT", Method::PUT)], true);
            if media.line.late_places().next().is_some() {
                node.wrong("names a file by what the destination gives, which it does for entities only: take {id}");
            }
        }
        if let Some(node) = node.member("max_bytes") {
            match node.value.as_u64().filter(|bytes| (1..=BYTES_MAX).contains(bytes)) {
                Some(bytes) => media.max_bytes = bytes,
                None => node.wrong(format!("must be a whole number from 1 to {BYTES_MAX}: bytes")),
            }
        }
        Some(media)
    }

    /// The method that files are sent by.
    pub fn method(&self) -> &Method {
        &self.line.method
    }

    /// The files that one of these bodies names, each once; none if the code of one cannot stand in a path.
    pub(super) fn files(&self, entity: &Value, bodies: &[Option<&Value>]) -> Option<Vec<File>> {
        let mut files: Vec<File> = Vec::new();
        for (_, list) in entity.get("values").and_then(Value::as_object).into_iter().flatten() {
            for value in list.as_array().into_iter().flatten() {
                let Some(code) = code(value) else { continue };
                if files.iter().any(|file| file.code == code) || !bodies.iter().flatten().any(|body| names(body, code))
                {
                    continue;
                }
                // The slashes of a code stand in a path of the PIM's.
                if code.split('/').any(|part| matches!(part, "" | "." | "..")) {
                    return None;
                }
                let path = self.line.whole_path(&Names {
                    kind: "media",
                    id: code,
                    identity: code,
                })?;
                files.push(File {
                    code: code.to_owned(),
                    path,
                });
            }
        }
        Some(files)
    }
}

/// The code of the file that a value is. PIMs that do not tell the type of an attribute link to the content.
fn code(value: &Value) -> Option<&str> {
    let is_file = match value.get("attribute_type").and_then(Value::as_str) {
        Some(of_type) => TYPES.contains(&of_type),
        None => value.get("_links")?.get("download").is_some(),
    };
    let code = value.get("data")?.as_str()?;
    (is_file && !code.is_empty()).then_some(code)
}

/// Whether a text anywhere in a body holds this code, alone or in a template.
fn names(body: &Value, code: &str) -> bool {
    match body {
        Value::String(text) => text.contains(code),
        Value::Array(list) => list.iter().any(|value| names(value, code)),
        Value::Object(members) => members.values().any(|value| names(value, code)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::{File, Lookups, Shape, Shaped};
    use model::entity::Kind;
    use serde_json::{Value, json};

    const PACKSHOT: &str = "f/2/e/6/f2e6674e_my File.pdf";
    const IMAGE: &str = "0/1/2/3/0123_image.jpg";
    const FRENCH: &str = "9/8/7/6/9876_image_fr.jpg";

    fn product() -> Value {
        json!({ "uuid": "u", "values": {
            "packshot": [{ "locale": null, "scope": null, "data": PACKSHOT, "attribute_type": "pim_catalog_file" }],
            "image": [
                { "locale": "en_US", "scope": null, "data": IMAGE, "_links": { "download": { "href": "x" } } },
                { "locale": "fr_FR", "scope": null, "data": FRENCH, "attribute_type": "pim_catalog_image" },
                { "locale": "de_DE", "scope": null, "data": null, "attribute_type": "pim_catalog_image" },
                { "locale": "it_IT", "scope": null, "data": IMAGE, "attribute_type": "pim_catalog_image" },
            ],
            "name": [{ "locale": null, "scope": null, "data": "no/file.pdf", "attribute_type": "pim_catalog_text" }],
            "old": [{ "locale": null, "scope": null, "data": "no/file" }],
        } })
    }

    fn shaped(media: Value, rules: Value, product: &Value) -> Shaped {
        let mut document = json!({ "products": rules });
        document["media"] = media;
        let shape = Shape::read(&document.to_string()).expect("a good shape");
        shape.apply(Kind::Product, "u", product, &Lookups::default())
    }

    fn files(media: Value, rules: Value) -> Vec<File> {
        match shaped(media, rules, &product()) {
            Shaped::Wanted(upsert) => upsert.files,
            other => panic!("{other:?}"),
        }
    }

    fn codes(rules: Value) -> Vec<String> {
        files(json!({}), rules).into_iter().map(|file| file.code).collect()
    }

    #[test]
    fn the_files_that_are_sent_are_those_that_the_body_names() {
        assert_eq!(codes(json!({})), [IMAGE, FRENCH, PACKSHOT]);
        assert_eq!(codes(json!({ "values": { "locales": ["fr_FR"] } })), [FRENCH, PACKSHOT]);
        assert_eq!(codes(json!({ "values": { "attributes": ["packshot"] } })), [PACKSHOT]);
        let flat = |locale: &str| json!({ "form": "flat", "locales": [locale] });
        assert_eq!(codes(json!({ "values": flat("en_US") })), [IMAGE, PACKSHOT]);
        let fields = |field: Value| json!({ "values": flat("fr_FR"), "fields": [field] });
        assert_eq!(
            codes(fields(json!({ "from": "/values/image", "to": "/image" }))),
            [FRENCH]
        );
        let template = json!({ "template": "https://cdn.example/{/values/packshot}", "to": "/url" });
        assert_eq!(codes(fields(template)), [PACKSHOT]);
        assert_eq!(codes(fields(json!({ "from": "/values/name", "to": "/name" }))), [""; 0]);
        assert_eq!(files(Value::Bool(false), json!({})), []);
    }

    #[test]
    fn codes_that_lead_elsewhere_are_not_followed() {
        for code in ["../x", "a/../b", "/a", "a//b", ".", "a/"] {
            let value = json!([{ "data": code, "attribute_type": "pim_catalog_file" }]);
            let product = json!({ "values": { "packshot": value } });
            let shaped = shaped(json!({}), json!({}), &product);
            assert!(matches!(shaped, Shaped::Unsendable(_)), "{code}: {shaped:?}");
        }
    }

    #[test]
    fn files_count_in_the_hash_only_where_they_are_sent() {
        let hash = |document: Value| {
            let shape = Shape::read(&document.to_string()).expect("a good shape");
            match shape.apply(Kind::Product, "u", &product(), &Lookups::default()) {
                Shaped::Wanted(upsert) => shape.hash(Kind::Product, &upsert),
                other => panic!("{other:?}"),
            }
        };
        let plain = hash(json!({}));
        assert_eq!(plain, hash(json!({ "media": false })));
        let (one, other) = (
            hash(json!({ "media": {} })),
            hash(json!({ "media": { "upsert": { "path": "/files/{id}" } } })),
        );
        assert!(plain != one && one != other);
        assert_eq!(one, hash(json!({ "media": { "max_bytes": 5 } })));
    }

    #[test]
    fn a_file_has_a_path_of_its_own_at_the_destination() {
        let rules = json!({ "values": { "attributes": ["packshot"] } });
        let path = |media: Value| files(media, rules.clone()).remove(0).path;
        assert_eq!(path(json!({})), "/media/f%2F2%2Fe%2F6%2Ff2e6674e_my%20File.pdf");
        let media = json!({ "upsert": { "method": "PUT", "path": "/a/{kind}/{id}?x" }, "max_bytes": 1 });
        assert_eq!(path(media), "/a/media/f%2F2%2Fe%2F6%2Ff2e6674e_my%20File.pdf?x");
    }
}
