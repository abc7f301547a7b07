//! Generation, edits, inheritance, lag.

use fastrand::Rng;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, ChangeKind, Edit, EditError, Entity, EntityId, Rendering};
use simulator::deliveries::{Format, Plan, Secrets};
use uuid::Uuid;

use crate::{NOW_MS, criterion, found, get, get_at, ids, pim, searching};

fn model_with_sub_models(catalogue: &Catalogue) -> &Entity {
    catalogue.truth().models(None).find(|model| model.two_levels).unwrap()
}

#[test]
fn the_seed_decides_the_catalogue() {
    let bodies = |seed| -> Vec<Value> {
        let catalogue = Catalogue::generate(120, 12, seed);
        let view = catalogue.truth();
        view.entities()
            .map(|entity| view.render(entity, &Rendering::default()))
            .collect()
    };
    assert_eq!(bodies(3), bodies(3));
    assert_ne!(bodies(3), bodies(4));
    let catalogue = Catalogue::generate(1000, 30, 3);
    let products: Vec<&Entity> = catalogue.truth().products(None).collect();
    assert_eq!(products.len(), 1000);
    assert!(products.is_sorted_by_key(|product| product.uuid()));
    assert_eq!(products.iter().filter(|product| product.parent.is_some()).count(), 100);
    assert!(products.iter().any(|product| product.identifier.is_none()));
    assert!(products.iter().any(|product| product.categories.is_empty()));
    assert_eq!(catalogue.truth().models(None).count(), 30);
    assert_eq!(
        catalogue
            .truth()
            .models(None)
            .filter(|model| model.parent.is_some())
            .count(),
        10
    );
}

#[test]
fn a_variant_inherits_from_both_levels_and_keeps_its_own_updated() {
    let mut pim = pim(200, 6);
    let root = model_with_sub_models(&pim.catalogue).code().to_owned();
    let view = pim.catalogue.truth();
    let sub = view.sub_models(&root)[0].code().to_owned();
    let variant = view.variants(&sub)[0].id.key();
    let path = format!("/products-uuid/{variant}");
    let (_, before) = get(&mut pim, &path);
    for member in ["name", "base", "sku", "range_revision", "series_revision", "revision"] {
        assert!(!before["values"][member].is_null(), "{member}: {before}");
    }
    let changes = pim
        .edit(&Edit::new(EntityId::Model(root.clone()), Action::Touch), NOW_MS)
        .unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].delta["values"]["range_revision"][0]["new"], 1);
    let (_, after) = get(&mut pim, &path);
    assert_eq!(after["updated"], before["updated"]);
    assert_eq!(after["values"]["range_revision"][0]["data"], 1);

    // The date filter finds it by its model's date (contract 4.5).
    let newer = criterion("updated", ">", "2026-03-01 00:00:00");
    assert!(found(&mut pim, "/products-uuid", &newer).contains(&variant));
    assert_eq!(found(&mut pim, "/product-models", &newer), [root]);
}

#[test]
fn edits_say_what_they_changed() {
    let mut pim = pim(10, 0);
    let id = pim.catalogue.truth().products(None).next().unwrap().id.clone();
    let mut edit = |action| pim.edit(&Edit::new(id.clone(), action), NOW_MS).unwrap().remove(0);

    let change = edit(Action::SetValue {
        attribute: "name".to_owned(),
        locale: Some("en_US".to_owned()),
        scope: None,
        data: json!("New"),
    });
    assert_eq!((change.kind, change.time_ms), (ChangeKind::Updated, NOW_MS));
    assert_eq!(change.delta["values"]["name"][0]["new"], "New");
    assert_eq!(change.resource["updated"], "2026-03-04T05:06:07+00:00");
    let names = change.resource["values"]["name"].as_array().unwrap();
    assert_eq!(names.len(), 2, "the other locale stays");
    let change = edit(Action::SetCategories {
        categories: vec!["seasonal".to_owned()],
    });
    assert_eq!(change.resource["categories"], json!(["seasonal"]));
    let change = edit(Action::SetFamily { family: None });
    assert_eq!(change.delta["family"]["new"], Value::Null);
    let change = edit(Action::Delete);
    assert_eq!((change.kind, &change.resource), (ChangeKind::Deleted, &Value::Null));
    let again = pim.edit(&Edit::new(id.clone(), Action::Touch), NOW_MS);
    assert_eq!(again, Err(EditError::Unknown(id.clone())));
    assert!(pim.edit(&Edit::new(id, Action::create()), NOW_MS).is_ok());
}

#[test]
fn a_deleted_model_takes_all_below_it_along() {
    let mut pim = pim(200, 6);
    let root = model_with_sub_models(&pim.catalogue).id.clone();
    let below = pim.catalogue.truth().descendants(&root.key()).len();
    let subs = pim.catalogue.truth().sub_models(&root.key()).len();
    assert!(below > 0 && subs > 0);
    let changes = pim.edit(&Edit::new(root.clone(), Action::Delete), NOW_MS).unwrap();
    assert_eq!(changes.len(), 1 + subs + below);
    assert_eq!(changes.iter().filter(|change| change.cascaded).count(), subs + below);
    for change in &changes {
        assert!(pim.catalogue.truth().get(&change.entity).is_none());
    }
    let number = pim.catalogue.truth().models(None).last().unwrap().number;
    pim.edit(&Edit::new(root.clone(), Action::create()), NOW_MS).unwrap();
    assert!(
        pim.catalogue.truth().get(&root).unwrap().number > number,
        "a new primary key"
    );
}

#[test]
fn lists_lag_and_reads_by_id_do_not() {
    let mut pim = pim(5, 0);
    pim.config.lag_ms = 10_000;
    let [edited, deleted] = [0, 1].map(|n| pim.catalogue.truth().products(None).nth(n).unwrap().id.clone());
    let created = EntityId::Product(Uuid::from_u128(1));
    for (id, action) in [
        (&edited, Action::Touch),
        (&deleted, Action::Delete),
        (&created, Action::create()),
    ] {
        pim.edit(&Edit::new(id.clone(), action), NOW_MS).unwrap();
    }
    let revision = |body: &Value| body["values"]["revision"][0]["data"].clone();
    let list = |pim: &mut simulator::pim::Pim, at| get_at(pim, "/products-uuid?limit=100", at).1;
    let old = list(&mut pim, NOW_MS + 9_999);
    assert!(ids(&old).contains(&deleted.key()) && !ids(&old).contains(&created.key()));
    let listed = |page: &Value| {
        let items = page["_embedded"]["items"].as_array().unwrap();
        revision(items.iter().find(|item| item["uuid"] == edited.key()).unwrap())
    };
    assert_eq!(listed(&old), 0);
    assert_eq!(
        revision(&get(&mut pim, &format!("/products-uuid/{}", edited.key())).1),
        1
    );
    assert_eq!(get(&mut pim, &format!("/products-uuid/{}", deleted.key())).0, 404);
    assert_eq!(get(&mut pim, &format!("/products-uuid/{}", created.key())).0, 200);
    let new = list(&mut pim, NOW_MS + 10_000);
    assert!(!ids(&new).contains(&deleted.key()) && ids(&new).contains(&created.key()));
    assert_eq!(listed(&new), 1);
}

#[test]
fn random_edits_can_always_be_made() {
    let mut pim = pim(50, 9);
    let mut random = Rng::with_seed(11);
    let mut kinds = [0; 3];
    for step in 0..2000 {
        let edit = pim.catalogue.random_edit(&mut random);
        for change in pim.edit(&edit, NOW_MS + step).unwrap() {
            kinds[change.kind as usize] += 1;
        }
    }
    assert!(kinds.iter().all(|count| *count > 50), "{kinds:?}");
}

#[test]
fn categories_are_edited_announced_and_listed() {
    let mut pim = pim(1, 0);
    let category = |code: &str| EntityId::Category(code.to_owned());
    let mut edit = |code: &str, action: Action| pim.edit(&Edit::new(category(code), action), NOW_MS);
    let created = edit("lanterns", Action::create_below("lighting")).unwrap();
    assert_eq!((created.len(), created[0].kind), (1, ChangeKind::Created));
    assert_eq!(created[0].resource["parent"], "lighting");
    edit("candles", Action::create_below("lanterns")).unwrap();
    let touched = edit("master", Action::Touch).unwrap();
    assert_eq!(touched[0].kind, ChangeKind::Updated);
    assert!(matches!(
        edit("lanterns", Action::create_below("lighting")),
        Err(EditError::Exists(_))
    ));
    assert!(matches!(
        edit("lamps", Action::create_below("nothing")),
        Err(EditError::NoParent(_))
    ));
    assert!(matches!(edit("lamps", Action::Touch), Err(EditError::Unknown(_))));
    let announced = Plan::new(Format::EventPlatform(Secrets::primary("secret")), 0, 1).deliveries(&touched);
    let event: Value = serde_json::from_slice(&announced[0].body).unwrap();
    assert_eq!(event["type"], "com.akeneo.pim.v1.category.updated");
    assert_eq!(event["data"]["category"], json!({ "code": "master" }));
    let legacy = Plan::new(Format::EventsApi("secret".to_owned()), 0, 1).deliveries(&touched);
    assert!(legacy.is_empty(), "the Events API knows no categories");

    let (_, newer) = get(
        &mut pim,
        &searching("/categories", &criterion("updated", ">", json!("2024-01-01T00:00:00Z"))),
    );
    assert_eq!(ids(&newer), ["candles", "lanterns", "master"]);
    assert!(newer["_embedded"]["items"][0]["values"].is_null(), "not asked for");
    let (status, one) = get(&mut pim, "/categories/candles?with_enriched_attributes=true");
    assert_eq!((status, &one["values"]), (200, &json!([])));

    let gone = pim
        .edit(&Edit::new(category("lanterns"), Action::Delete), NOW_MS)
        .unwrap();
    assert!(gone.iter().all(|change| change.kind == ChangeKind::Deleted) && gone[1].cascaded);
    assert_eq!(gone.len(), 2, "what lies below goes, too");
    let three = criterion("code", "IN", json!(["candles", "lanterns", "master"]));
    let rest = found(&mut pim, "/categories", &three);
    assert_eq!(rest, ["master"]);
}
