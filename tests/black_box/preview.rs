//! What a shape makes of entities, shown by the program behind `cargo xtask shape`.

use serde_json::{Value, json};
use simulator::catalogue::Catalogue;
use std::process::{Command, Output};
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
    assert_eq!(parts[0], "upsert: PUT /items/25566245-55c3-42ce-86d9-8610ac459fa8");
    let body: Value = serde_json::from_str(parts[1]).unwrap();
    assert_eq!(body, json!({ "article": { "number": "mug-1" } }));
    assert!(
        parts[2].contains("409") && parts[2].contains("tried again later"),
        "{shown}"
    );
    assert_eq!(
        parts[3],
        "delete: DELETE /products/25566245-55c3-42ce-86d9-8610ac459fa8"
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
