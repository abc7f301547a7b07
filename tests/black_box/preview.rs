//! What a shape makes of entities, shown by the program behind `cargo xtask shape`.

use serde_json::{Value, json};
use simulator::catalogue::Catalogue;
use std::process::{Command, Output};
use tests::application::root;
use tests::world::World;

/// Runs the program with this shape; and with a PIM, if there is one.
async fn preview(world: Option<&World>, shape: &Value, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shape.json");
    std::fs::write(&file, shape.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_preview"));
    command.arg("--shape").arg(&file).args(arguments);
    if let Some(world) = world {
        for (name, value) in world.pim.with(|pim| {
            [
                ("CLIENT_ID", pim.config.client_id.clone()),
                ("CLIENT_SECRET", pim.config.client_secret.clone()),
                ("USERNAME", pim.config.username.clone()),
                ("PASSWORD", pim.config.password.clone()),
            ]
        }) {
            command.env(format!("SPIN_VARIABLE_PIM_{name}"), value);
        }
        command.env("SPIN_VARIABLE_PIM_URL", world.pim.url());
    }
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn one_entity_is_shown_as_it_would_be_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mug.json");
    let sku = json!([{ "locale": null, "scope": null, "data": "mug-1" }]);
    let product = json!({
        "uuid": "25566245-55c3-42ce-86d9-8610ac459fa8", "family": "mugs", "enabled": true, "values": { "sku": sku },
    });
    std::fs::write(&file, product.to_string()).unwrap();
    let shape = json!({ "products": {
        "upsert": { "path": "/items/{id}" },
        "selection": { "families": ["mugs"] },
        "values": { "form": "flat" },
        "fields": [{ "from": "/values/sku", "to": "/article/number" }],
    }});
    let shown = preview(None, &shape, &[file.to_str().unwrap()]).await;
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    let parts: Vec<&str> = shown.split("\n\n").collect();
    let authentication = "authentication: authorization: Bearer TOKEN";
    assert_eq!(
        parts[0],
        format!("upsert: PUT /items/25566245-55c3-42ce-86d9-8610ac459fa8\n{authentication}")
    );
    let body: Value = serde_json::from_str(parts[1]).unwrap();
    assert_eq!(body, json!({ "article": { "number": "mug-1" } }));
    assert!(
        parts[2].contains("409") && parts[2].contains("tried again later"),
        "{shown}"
    );
    assert_eq!(
        parts[3],
        format!("delete: DELETE /products/25566245-55c3-42ce-86d9-8610ac459fa8\n{authentication}")
    );
    assert!(parts[4].contains("it is not there: done"), "{shown}");

    let others = json!({ "products": { "selection": { "families": ["bowls"] } } });
    let shown = preview(None, &others, &[file.to_str().unwrap()]).await;
    assert!(text(&shown.stdout).starts_with("not wanted: "), "{shown:?}");
}

/// Whoever writes a document sees how a token is had, what becomes of what is gone, and how waits are told; and no secret.
#[tokio::test]
async fn archive_login_and_limits_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mug.json");
    let product = json!({ "uuid": "25566245-55c3-42ce-86d9-8610ac459fa8", "values": {} });
    std::fs::write(&file, product.to_string()).unwrap();
    let shape = json!({
        "login": { "path": "/token", "credentials": "basic", "parameters": { "scope": "write" } },
        "limits": { "reset": { "header": "x-reset", "unit": "milliseconds" }, "left": "x-left", "ratelimit": true },
        "products": { "archive": { "path": "/items/{id}", "fields": [{ "constant": true, "to": "/archived" }] } },
    });
    let shown = preview(None, &shape, &[file.to_str().unwrap()]).await;
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    for line in [
        "archive: PUT /items/25566245-55c3-42ce-86d9-8610ac459fa8",
        "  401, once: the token is renewed, and the request is sent again",
        "login: POST /token",
        "authorization: Basic LOGIN_ID:LOGIN_SECRET",
        "grant_type=client_credentials&scope=write",
        "limits: when to come back is told by the header retry-after; by the header x-reset, in milliseconds; by the header \
         x-left: with no call left, none goes before that; by the headers ratelimit and ratelimit-policy",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("delete:"), "{shown}");
}

/// What a look-up finds, how files go and what their answers mean, and how the token is borne.
#[tokio::test]
async fn find_files_and_authentication_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mug.json");
    let image =
        json!([{ "locale": null, "scope": null, "data": "a/b/mug.png", "attribute_type": "pim_catalog_image" }]);
    let product = json!({ "uuid": "25566245-55c3-42ce-86d9-8610ac459fa8", "values": { "image": image } });
    std::fs::write(&file, product.to_string()).unwrap();
    let shape = json!({
        "authentication": { "header": "X-Key" }, "media": { "max_bytes": 5000 },
        "answers": { "reason": "/error/text", "rules": [{ "status": 400, "means": "busy", "wait": { "seconds": 9 } }] },
        "products": {
            "remember": { "id": "/id" },
            "find": { "path": "/items?ref={id}", "list": "/found", "matching": { "/ref": "{id}" }, "several": "first", "settle_seconds": 5 },
            "create": { "path": "/items" }, "update": { "path": "/items/{remote.id}" }, "delete": false,
        },
    });
    let shown = preview(None, &shape, &[file.to_str().unwrap()]).await;
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    for line in [
        "file: PUT /media/a%2Fb%2Fmug.png with the file a/b/mug.png",
        "  larger than 5000 bytes: a dead letter",
        "  what needs the file is a dead letter: 400, 402, 406 to 407, 410 to 422, 424, 426 to 428, 430 to 499",
        "authentication: x-key: TOKEN",
        "find: GET /items?ref=25566245-55c3-42ce-86d9-8610ac459fa8",
        "  it is not there: it is made (missing): 404, 410",
        "  found is the element of the list in /found where /ref is {id}",
        "  of several elements the first is taken",
        "  after a lost answer that nothing was found is believed once a request can arrive no more and 5 seconds have passed",
        "create: POST /items",
        "  of a good answer is remembered: id",
        "  tried again later, after 9 seconds (busy): 400",
        "  people read why it is refused in /error/text of the answer",
        "update: PUT /items/{remote.id}",
        "delete: nothing is sent, it stays there",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
}

/// Every document that is given out is shown whole, each of its requests with what follows from a good answer.
#[tokio::test]
async fn every_ready_shape_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mug.json");
    let value = |data: &str| json!([{ "locale": null, "scope": null, "data": data }]);
    let product = json!({
        "uuid": "25566245-55c3-42ce-86d9-8610ac459fa8", "enabled": true, "family": "mugs",
        "values": { "sku": value("mug-1"), "name": value("Mug") },
    });
    std::fs::write(&file, product.to_string()).unwrap();
    for entry in std::fs::read_dir(root().join("shapes")).unwrap() {
        let path = entry.unwrap().path();
        let document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let shown = preview(None, &document, &[file.to_str().unwrap()]).await;
        assert!(shown.status.success(), "{path:?}: {}", text(&shown.stderr));
        let shown = text(&shown.stdout);
        let products = &document["products"];
        for name in ["find", "create", "update", "archive"] {
            let is_shown = shown.lines().any(|line| line.starts_with(&format!("{name}: ")));
            assert_eq!(is_shown, products[name].is_object(), "{path:?}: {name} in\n{shown}");
        }
        assert!(shown.contains("  done (done): "), "{path:?}:\n{shown}");
        assert!(shown.contains("\nauthentication: "), "{path:?}:\n{shown}");
    }
}

#[tokio::test]
async fn a_catalogue_is_summed_up_and_nothing_is_sent() {
    let world = World::start(Catalogue::generate(230, 20, 5)).await.unwrap();
    let families = world.pim.with(|pim| {
        let families = pim
            .catalogue
            .truth()
            .products(None)
            .map(|product| product.family.clone());
        families.collect::<Vec<_>>()
    });
    let family = families[0].clone().unwrap();
    let wanted = families.iter().filter(|other| **other == Some(family.clone())).count();
    let shape = json!({ "products": { "selection": { "families": [family] } } });
    let shown = preview(Some(&world), &shape, &["--catalogue"]).await;
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    println!("{shown}");
    let counts: Vec<(usize, &str)> = shown
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
        .filter_map(|(count, what)| Some((count.parse().ok()?, what)))
        .collect();
    let models = world.models().len();
    assert!(
        counts.contains(&(wanted, "sent")) && counts.contains(&(models, "sent")),
        "{shown}"
    );
    let refused: usize = counts
        .iter()
        .filter(|(_, what)| what.starts_with("not wanted"))
        .map(|(count, _)| count)
        .sum();
    assert_eq!(refused, families.len() - wanted, "{shown}");
    assert_eq!(world.destination.with(|destination| destination.log.len()), 0);
}

#[tokio::test]
async fn a_wrong_shape_is_told_with_its_place() {
    let wrong = json!({ "products": { "upsert": { "path": "items" } } });
    let shown = preview(None, &wrong, &["--catalogue"]).await;
    assert!(!shown.status.success());
    assert!(
        text(&shown.stderr).contains("/products/upsert/path"),
        "{}",
        text(&shown.stderr)
    );
}
