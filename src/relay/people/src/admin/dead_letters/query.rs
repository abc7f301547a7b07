//! Which dead letters somebody means, and how they are to be shown. An address and the body of a command say it in the same
//! words.

use model::entity::Kind;
use model::time;
use percent_encoding::percent_decode_str;
use queue::search::Filter;
use std::collections::BTreeMap;

/// How many items a page has where nobody says.
const LIMIT: usize = 50;

/// How many items a page has at most.
const LIMIT_MAX: usize = 200;

/// Which dead letters are meant, and how they are to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub(super) filter: Filter,
    pub(super) limit: usize,
    /// The key after which the page begins, as the page before it gave it.
    pub(super) cursor: Option<String>,
    /// Whether all are wanted, a line of JSON each.
    pub(in crate::admin) is_export: bool,
}

impl Default for Query {
    fn default() -> Query {
        Query {
            filter: Filter::default(),
            limit: LIMIT,
            cursor: None,
            is_export: false,
        }
    }
}

impl Query {
    /// Reads the query of an address; the text says what makes no sense in it.
    pub(in crate::admin) fn read(text: &str) -> Result<Query, String> {
        let mut query = Query::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            query.take(name, &percent_decode_str(&value).decode_utf8_lossy())?;
        }
        Ok(query)
    }

    /// Reads what a command is to be done to; the text says what makes no sense in it. What matches everything is refused:
    /// `all` says that.
    pub(super) fn matching(members: &BTreeMap<String, String>) -> Result<Query, String> {
        let mut query = Query::default();
        for (name, value) in members {
            match name.as_str() {
                "limit" | "format" => return Err(format!("`{name}` goes with a list alone")),
                name => query.take(name, value)?,
            }
        }
        match query.filter == Filter::default() {
            true => Err("`matching` must say which: by `kind`, `since`, `before`, `reason` or `text`".to_owned()),
            false => Ok(query),
        }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let moment =
            || time::parse(value).ok_or_else(|| format!("`{name}` must be a moment such as 2026-01-31T12:00:00Z"));
        match name {
            _ if value.is_empty() => {}
            "kind" => self.filter.kind = Some(kind(value)?),
            "since" => self.filter.since_s = moment()?,
            "before" => self.filter.before_s = moment()?,
            "reason" => self.filter.reason = Some(value.to_lowercase()),
            "text" => self.filter.text = Some(value.to_lowercase()),
            "cursor" => self.cursor = Some(value.to_owned()),
            "format" if value == "jsonl" => self.is_export = true,
            "format" => return Err("`format` can be jsonl alone".to_owned()),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                self.limit = limit.ok_or_else(|| format!("`limit` must be a number from 1 to {LIMIT_MAX}"))?;
            }
            _ => {
                let known = "`kind`, `since`, `before`, `reason`, `text`, `limit`, `cursor` and `format`";
                return Err(format!("`{name}` is not understood: {known} are"));
            }
        }
        Ok(())
    }
}

/// Reads the name of a kind; the text says what makes no sense in it.
pub(super) fn kind(name: &str) -> Result<Kind, String> {
    Kind::of_name(name).ok_or_else(|| "`kind` must be products, product-models or categories".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_query_is_read() {
        let query = Query::read("kind=products&reason=No%20such+Brand&limit=7&cursor=x").expect("a query");
        assert_eq!((query.filter.kind, query.limit), (Some(Kind::Product), 7));
        let times = Query::read("since=2026-02-02T02:40:00Z&before=2026-02-02T04:40:00%2B01:00").expect("a query");
        assert_eq!(
            (times.filter.since_s, times.filter.before_s),
            (1_770_000_000, 1_770_003_600)
        );
        for nonsense in [
            "kind=families",
            "limit=0",
            "limit=201",
            "limit=x",
            "order=up",
            "since=yesterday",
            "before=2026-02-02",
            "format=csv",
        ] {
            assert!(Query::read(nonsense).is_err(), "{nonsense}");
        }
        assert_eq!(Query::read("kind=&&limit=&since="), Ok(Query::default()));
        assert!(Query::read("format=jsonl").expect("a query").is_export);
    }

    #[test]
    fn a_command_says_what_it_is_for() {
        let matching = |body: Value| Query::matching(&serde_json::from_value(body).expect("members"));
        let query = matching(json!({ "kind": "products", "text": "A", "cursor": "x" })).expect("a query");
        assert_eq!(query.filter.text.as_deref(), Some("a"));
        for nonsense in [
            json!({}),
            json!({ "cursor": "x" }),
            json!({ "text": "" }),
            json!({ "since": "now" }),
            json!({ "text": "a", "limit": "5" }),
            json!({ "text": "a", "format": "jsonl" }),
            json!({ "texts": "a" }),
        ] {
            assert!(matching(nonsense.clone()).is_err(), "{nonsense}");
        }
    }
}
