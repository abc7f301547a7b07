//! Pages and filters.

use serde_json::{Value, json};
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::{Effect, Fault};
use simulator::pim::{Pim, PostSearch};

use crate::{NOW_MS, call, criterion, found, get, ids, pim};

/// Follows `next` to the end, as a client must: path and query of the link, the origin its own.
fn walk(pim: &mut Pim, first: &str) -> (Vec<String>, usize) {
    let (mut all, mut pages, mut path) = (Vec::new(), 0, first.to_owned());
    loop {
        let (status, page) = get(pim, &path);
        assert_eq!(status, 200, "{page}");
        all.extend(ids(&page));
        pages += 1;
        let Some(next) = page.pointer("/_links/next/href").and_then(Value::as_str) else {
            return (all, pages);
        };
        path = next
            .strip_prefix("http://pim.example.test/api/rest/v1")
            .unwrap()
            .to_owned();
    }
}

#[test]
fn a_walk_by_cursor_sees_each_once_in_order_and_ends_with_an_empty_page() {
    let mut pim = pim(40, 20);
    let (products, pages) = walk(&mut pim, "/products-uuid?pagination_type=search_after&limit=10");
    assert_eq!(
        (products.len(), pages),
        (40, 5),
        "a full last page is followed by an empty one"
    );
    assert!(products.is_sorted());
    let (models, _) = walk(&mut pim, "/product-models?pagination_type=search_after&limit=7");
    let expected: Vec<String> = pim
        .catalogue
        .truth()
        .models(None)
        .map(|model| model.code().to_owned())
        .collect();
    assert_eq!(models, expected);
}

#[test]
fn a_walk_by_number_counts_and_stops_at_ten_thousand() {
    let mut pim = pim(25, 0);
    let (products, pages) = walk(&mut pim, "/products-uuid");
    assert_eq!((products.len(), pages), (25, 3));
    let (_, page) = get(&mut pim, "/products-uuid?page=2&limit=20&with_count=true");
    assert_eq!((&page["items_count"], &page["current_page"]), (&json!(25), &json!(2)));
    assert_eq!(ids(&page).len(), 5);
    assert!(page["_links"]["previous"]["href"].as_str().unwrap().contains("page=1"));
    assert_eq!(get(&mut pim, "/products-uuid?page=100&limit=100").0, 200);
    let (status, body) = get(&mut pim, "/products-uuid?page=101&limit=100");
    assert_eq!(status, 422);
    assert!(body["_links"]["documentation"]["href"].is_string());
}

#[test]
fn filters_by_id() {
    let mut pim = pim(30, 9);
    let all: Vec<String> = pim
        .catalogue
        .truth()
        .products(None)
        .map(|product| product.id.key())
        .collect();
    let two = criterion(
        "uuid",
        "IN",
        vec![all[7].to_uppercase(), all[2].clone(), "no uuid".to_owned()],
    );
    assert_eq!(
        found(&mut pim, "/products-uuid", &two),
        [all[2].clone(), all[7].clone()]
    );
    assert_eq!(
        found(
            &mut pim,
            "/products-uuid",
            &criterion("uuid", "NOT IN", vec![all[2].clone()])
        )
        .len(),
        29
    );
    let sku = criterion("sku", "IN", vec!["SKU-000004"]);
    assert_eq!(found(&mut pim, "/products-uuid", &sku).len(), 1);
    let models: Vec<String> = pim
        .catalogue
        .truth()
        .models(None)
        .map(|model| model.code().to_owned())
        .collect();
    let some = criterion("identifier", "IN", vec![models[4].clone(), models[1].clone()]);
    assert_eq!(
        found(&mut pim, "/product-models", &some),
        [models[1].clone(), models[4].clone()]
    );
}

#[test]
fn filters_by_parent_and_the_rest() {
    let mut pim = pim(300, 6);
    let view = pim.catalogue.truth();
    let root = view
        .models(None)
        .find(|model| model.two_levels)
        .unwrap()
        .code()
        .to_owned();
    let below: Vec<String> = view.descendants(&root).iter().map(|product| product.id.key()).collect();
    let enabled = view.products(None).filter(|product| product.enabled).count();
    assert_eq!(
        found(&mut pim, "/products-uuid", &criterion("parent", "=", root.clone())),
        below
    );
    assert!(
        found(&mut pim, "/products-uuid", &criterion("parent", "IN", vec![root])).is_empty(),
        "no direct child"
    );
    assert_eq!(
        found(
            &mut pim,
            "/products-uuid",
            &criterion("parent", "NOT EMPTY", Value::Null)
        )
        .len(),
        30
    );
    let path = crate::searching("/products-uuid", &criterion("enabled", "=", true));
    let (all, _) = walk(&mut pim, &path);
    assert_eq!(all.len(), enabled, "links keep the search");
    let both = json!({
        "family": [{ "operator": "IN", "value": ["lamp"] }],
        "categories": [{ "operator": "IN", "value": ["seasonal"] }],
    });
    assert!(!found(&mut pim, "/products-uuid", &both).is_empty());
}

#[test]
fn dates_are_compared_by_the_second_and_without_a_zone() {
    let mut pim = pim(5, 0);
    let id = pim.catalogue.truth().products(None).next().unwrap().id.clone();
    pim.edit(&Edit::new(id.clone(), Action::Touch), NOW_MS).unwrap();
    let mut count =
        |operator: &str, value: Value| found(&mut pim, "/products-uuid", &criterion("updated", operator, value)).len();
    assert_eq!(count(">", json!("2026-03-04 05:06:06")), 1);
    assert_eq!(count(">", json!("2026-03-04 05:06:07")), 0);
    assert_eq!(count("=", json!("2026-03-04 05:06:07")), 1);
    assert_eq!(count("<", json!("2026-03-04 05:06:07")), 4);
    assert_eq!(
        count("BETWEEN", json!(["2026-03-04 05:06:07", "2026-03-04 05:06:08"])),
        1
    );
    assert_eq!(count("SINCE LAST N DAYS", json!(1)), 1);
    let iso = crate::searching("/products-uuid", &criterion("updated", ">", "2026-03-04T05:06:06Z"));
    assert_eq!(get(&mut pim, &iso).0, 422);

    // A server in another zone reads the same words as another instant.
    pim.config.filter_offset_minutes = 60;
    pim.config.body_offset_minutes = 60;
    let local = criterion("updated", "=", "2026-03-04 06:06:07");
    assert_eq!(found(&mut pim, "/products-uuid", &local), [id.key()]);
    let (_, body) = get(&mut pim, &format!("/products-uuid/{}", id.key()));
    assert_eq!(body["updated"], "2026-03-04T06:06:07+01:00");
}

#[test]
fn a_search_by_post_finds_the_same_and_can_be_missing() {
    let mut pim = pim(30, 0);
    let all: Vec<String> = pim
        .catalogue
        .truth()
        .products(None)
        .map(|product| product.id.key())
        .collect();
    let body = json!({ "search": criterion("uuid", "IN", all[..12].to_vec()).to_string() }).to_string();
    let post = call(
        "POST",
        "/api/rest/v1/products-uuid/search?pagination_type=search_after&limit=12",
        &body,
    );
    let response = pim.respond(&post, NOW_MS);
    let page: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(ids(&page), all[..12]);
    let next = page["_links"]["next"]["href"].as_str().unwrap();
    assert!(next.contains("search_after=") && !next.contains("search=%7B"), "{next}");
    let object = json!({ "search": {} }).to_string();
    assert_eq!(
        pim.respond(&call("POST", "/api/rest/v1/products-uuid/search", &object), NOW_MS)
            .status(),
        422
    );
    for (setting, status) in [(PostSearch::MethodNotAllowed, 405), (PostSearch::NotFound, 404)] {
        pim.config.post_search = setting;
        assert_eq!(pim.respond(&post, NOW_MS).status(), status);
    }
}

#[test]
fn a_channel_hides_what_is_not_in_its_tree() {
    let mut pim = pim(200, 0);
    let (all, _) = walk(&mut pim, "/products-uuid?limit=100");
    let (shop, _) = walk(&mut pim, "/products-uuid?limit=100&scope=ecommerce");
    assert!(shop.len() < all.len());
    let unclassified: Vec<EntityId> = pim
        .catalogue
        .truth()
        .products(None)
        .filter(|product| product.categories.is_empty())
        .map(|product| product.id.clone())
        .collect();
    assert!(!unclassified.is_empty() && unclassified.iter().all(|id| !shop.contains(&id.key())));
    assert_eq!(get(&mut pim, "/products-uuid?scope=moon").0, 422);
}

#[test]
fn a_lost_right_hides_from_lists_and_by_id() {
    let mut pim = pim(100, 30);
    pim.config.hidden_share = 0.3;
    let (left, _) = walk(&mut pim, "/products-uuid?limit=100");
    assert!((50..90).contains(&left.len()), "{}", left.len());
    let all: Vec<EntityId> = pim
        .catalogue
        .truth()
        .products(None)
        .map(|product| product.id.clone())
        .collect();
    for id in all {
        let seen = left.contains(&id.key());
        assert_eq!(
            get(&mut pim, &format!("/products-uuid/{}", id.key())).0,
            if seen { 200 } else { 404 }
        );
    }
}

#[test]
fn pages_can_be_spoiled() {
    let mut pim = pim(30, 0);
    pim.faults
        .add(Fault::next(1, Effect::EmptyPage).path("/api/rest/v1/products-uuid"));
    let (_, page) = get(&mut pim, "/products-uuid?limit=10");
    assert!(ids(&page).is_empty() && page["_links"]["next"].is_object());
    pim.faults.add(Fault::next(1, Effect::NoNext));
    let (_, page) = get(&mut pim, "/products-uuid?limit=10");
    assert!(ids(&page).len() == 9 && page["_links"]["next"].is_null());
}

#[test]
fn structure_is_listed_by_code() {
    let mut pim = pim(0, 0);
    for path in [
        "/families",
        "/attributes",
        "/categories",
        "/channels",
        "/locales",
        "/attributes/finish/options",
    ] {
        let (codes, _) = walk(&mut pim, &format!("{path}?limit=3"));
        assert!(!codes.is_empty() && codes.is_sorted(), "{path}: {codes:?}");
        assert_eq!(get(&mut pim, &format!("{path}/{}", codes[0])).0, 200);
        assert_eq!(get(&mut pim, &format!("{path}/nothing")).0, 404);
    }
    let main = found(&mut pim, "/attributes", &criterion("is_main_identifier", "=", true));
    assert_eq!(main, ["sku"]);
    let zone_less = crate::searching("/families", &criterion("updated", ">", "2021-05-17 15:19:32"));
    assert_eq!(get(&mut pim, &zone_less).0, 422);
}
