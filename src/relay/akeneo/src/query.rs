//! Queries for places of a list: with pages of another size, and for the page behind.
//!
//! A query is one that this room made, or the query of a `next` link of the PIM's (contract 4.4). Its place is told by
//! `search_after`, or by `page` together with `limit`. A change of size keeps the place, so that no entity is left out
//! or comes twice; whatever else stands in a query stays as it is written.

use model::page_size::SIZES;
use model::path::parameter;

/// A query with these values of some parameters, which move to its end.
fn with(query: &str, values: &[(&str, usize)]) -> String {
    let is_other = |pair: &&str| values.iter().all(|(name, _)| pair.split('=').next() != Some(name));
    let kept = query.split('&').filter(is_other).map(str::to_owned);
    let new = values.iter().map(|(name, value)| format!("{name}={value}"));
    kept.chain(new).collect::<Vec<_>>().join("&")
}

/// A query for the same place with pages of another size, and that size: the one that is wanted. A numbered page behind
/// the first gets the largest of [`SIZES`], up to the wanted one, in which a page begins where this one does. A query
/// without a limit has ten entities on a page, as Akeneo does by default (contract 4.4).
pub fn sized(query: &str, wanted: usize) -> (String, usize) {
    let number = |name: &str| parameter(query, name).and_then(|value| value.parse::<usize>().ok());
    let Some(page) = number("page").filter(|page| *page > 1) else {
        return (with(query, &[("limit", wanted)]), wanted);
    };
    let passed = (page - 1).saturating_mul(number("limit").unwrap_or(10));
    let mut fitting = SIZES.iter().filter(|size| **size <= wanted && passed % **size == 0);
    let limit = fitting.next().copied().unwrap_or(1);
    (with(query, &[("page", passed / limit + 1), ("limit", limit)]), limit)
}

/// The query of the page behind a numbered one, with pages of the same size.
pub(crate) fn after_number(query: &str) -> String {
    let page = parameter(query, "page")
        .and_then(|page| page.parse::<usize>().ok())
        .unwrap_or(1);
    with(query, &[("page", page.saturating_add(1))])
}

/// Whether two queries ask for the same place of a list, whatever the sizes of their pages.
pub fn is_same_place(one: &str, other: &str) -> bool {
    let place = |query: &str| {
        let (query, _) = sized(query, 1);
        let (page, after) = (parameter(&query, "page"), parameter(&query, "search_after"));
        (page.map(str::to_owned), after.map(str::to_owned))
    };
    place(one) == place(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_page_is_cut_where_it_begins() {
        for (query, wanted, expected, limit) in [
            ("limit=100", 25, "limit=25", 25),
            (
                "search=%7B%7D&limit=100&page=3",
                25,
                "search=%7B%7D&page=9&limit=25",
                25,
            ),
            ("page=9&limit=25", 100, "page=3&limit=100", 100),
            ("page=10&limit=25", 100, "page=10&limit=25", 25),
            ("page=1&limit=5", 100, "page=1&limit=100", 100),
            ("page=7&limit=1", 5, "page=7&limit=1", 1),
            ("page=3", 5, "page=5&limit=5", 5),
            (
                "pagination_type=search_after&search_after=x&limit=1",
                100,
                "pagination_type=search_after&search_after=x&limit=100",
                100,
            ),
        ] {
            assert_eq!(sized(query, wanted), (expected.to_owned(), limit), "{query} {wanted}");
            assert!(is_same_place(query, expected), "{query}");
        }
        assert!(!is_same_place("page=9&limit=25", "page=2&limit=100"));
        assert!(!is_same_place("search_after=a&limit=1", "search_after=b&limit=1"));
    }
}
