//! Requests as servers, firewalls and proxies want them, and answers as these give them.

use crate::admin::ask;
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, Change, EntityId};
use simulator::destination::sha256;
use simulator::fault::{Effect, Fault};
use simulator::pim::content;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tests::application::Application;
use tests::world::{World, deliver_all, platform_deliveries};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A world in which every product is announced.
async fn announced(products: usize, shape: Value) -> (World, Application) {
    let world = World::start(Catalogue::generate(products, 0, 3)).await.unwrap();
    let setup = world.setup().with("shape", &shape.to_string());
    let application = Application::start(setup).await.unwrap();
    announce(&world, &application).await;
    (world, application)
}

async fn announce(world: &World, application: &Application) {
    let changes: Vec<Change> = world.touch_all().unwrap();
    deliver_all(application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
}

async fn entity(application: &Application, id: &EntityId) -> Value {
    let path = format!("/admin/entities/products/{}", id.key());
    ask(application, Method::GET, &path, json!(null)).await.json()
}

#[tokio::test]
async fn whoever_insists_on_a_length_a_name_or_no_packing_gets_it() {
    let delete = json!({ "method": "POST", "path": "/gone/{id}" });
    let shape = json!({ "products": { "delete": delete }, "headers": { "X-Store": "main" } });
    let (world, application) = announced(3, shape).await;
    let insist = |header: &str, status| Fault::always(Fault::status(status)).lacking(header);
    let faults = [
        insist("user-agent", 403),
        insist("accept", 406),
        insist("accept-encoding", 406),
        insist("content-length", 411).method("POST"),
        insist("content-length", 411).method("PUT"),
    ];
    world.pim.with(|pim| faults.clone().map(|fault| pim.faults.add(fault)));
    world
        .destination
        .with(|destination| faults.map(|fault| destination.faults.add(fault)));
    application.tick_until_idle().await.unwrap();
    let gone = &world.products()[1];
    let deleted = world.edit(gone, Action::Delete).unwrap();
    deliver_all(&application, &platform_deliveries(&deleted, 2))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();

    let log = world.destination.with(|destination| destination.log.clone());
    assert_eq!(log.len(), 4);
    let agent = format!("akeneo-relay/{}", env!("CARGO_PKG_VERSION"));
    for request in &log {
        let length = request.body.as_ref().map(|body| body.len().to_string());
        let expected = [
            ("content-length", length.as_deref()),
            ("transfer-encoding", None),
            ("user-agent", Some(agent.as_str())),
            ("accept", Some("application/json")),
            ("accept-encoding", Some("identity")),
            ("x-store", Some("main")),
        ];
        for (name, value) in expected {
            let all: Vec<&str> = request
                .headers
                .iter()
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
                .collect();
            assert_eq!(all, value.into_iter().collect::<Vec<_>>(), "{} {name}", request.method);
        }
    }
    assert_eq!(log[3].path, format!("/gone/{}", gone.key()));
    assert_eq!(log[3].header("content-length"), Some("0"));
    assert_eq!(world.pim.with(|pim| pim.faults.struck()), 0);
}

#[tokio::test]
async fn a_shape_says_who_it_is_and_a_deletion_has_no_length() {
    let headers =
        json!({ "User-Agent": "Shop-Sync/2", "Accept": "application/vnd.shop+json", "Accept-Encoding": "gzip" });
    let (world, application) = announced(1, json!({ "headers": headers })).await;
    application.tick_until_idle().await.unwrap();
    let deleted = world.edit(&world.products()[0], Action::Delete).unwrap();
    deliver_all(&application, &platform_deliveries(&deleted, 2))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    let log = world.destination.with(|destination| destination.log.clone());
    let seen: Vec<_> = log
        .iter()
        .map(|request| {
            (
                request.method.as_str(),
                ["user-agent", "accept", "accept-encoding"].map(|name| request.header(name).unwrap()),
                request.header("content-length").is_some(),
            )
        })
        .collect();
    let headers = ["Shop-Sync/2", "application/vnd.shop+json", "gzip"];
    assert_eq!(seen, [("PUT", headers, true), ("DELETE", headers, false)]);
    assert!(log.iter().all(|request| request.header("transfer-encoding").is_none()));
}

#[tokio::test]
async fn answers_that_come_packed_all_the_same_are_read_and_files_stay_packed() {
    const FILE: (&str, usize) = ("a/b/manual.pdf", 30_000);
    let world = World::start(Catalogue::generate(120, 0, 3)).await.unwrap();
    world.pim.with(|pim| {
        pim.config.media = [(FILE.0.to_owned(), FILE.1)].into();
        pim.faults.add(Fault::always(Effect::Gzip));
    });
    world
        .destination
        .with(|destination| destination.faults.add(Fault::always(Effect::Gzip)));
    let setup = world.setup().with("shape", &json!({ "media": {} }).to_string());
    let application = Application::start(setup).await.unwrap();
    let manual = Action::SetValue {
        attribute: "manual".to_owned(),
        locale: None,
        scope: None,
        data: json!(FILE.0),
    };
    world.edit(&world.products()[0], manual).unwrap();
    announce(&world, &application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
    let file = world.destination.with(|destination| {
        let mut files = destination
            .log
            .iter()
            .filter(|request| request.path.contains("/media/"));
        files.next().cloned()
    });
    let file = file.unwrap();
    assert_eq!(file.header("content-encoding"), Some("gzip"));
    assert_ne!(file.body_sha256, sha256(&content(FILE.0, FILE.1)));
}

#[tokio::test]
async fn a_list_that_is_cut_short_is_read_again_and_a_push_that_was_answered_is_not_repeated() {
    let (world, application) = announced(30, json!({})).await;
    world
        .pim
        .with(|pim| pim.faults.add(Fault::next(1, Effect::CutBody).path("/api/rest")));
    world
        .destination
        .with(|destination| destination.faults.add(Fault::always(Effect::CutBody)));
    world.settle(&application, 0).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.pushes("PUT"), 30);
    for product in world.products() {
        let known = entity(&application, &product).await;
        assert!(known["index"]["hash"].is_string(), "{known}");
    }
}

/// What a server does with a connection, once the head of a request and so much of its body are there.
#[derive(Clone, Copy)]
struct Manner {
    name: &'static str,
    /// Whether the body is read first.
    reads: bool,
    answer: &'static str,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    /// The connection is closed.
    Close,
    /// Nothing, for as long as the caller stays.
    Hold,
    /// More of the body, without an end.
    Flood,
}

/// A server with one manner; says how many requests it has had.
async fn server(address: &str, manner: Manner) -> Option<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind(address).await.ok()?;
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            // A caller that goes away ends it.
            tokio::spawn(async move { answer(stream, manner).await });
        }
    });
    Some((url, requests))
}

async fn answer(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    if manner.reads {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
    }
    stream.write_all(manner.answer.as_bytes()).await?;
    match manner.then {
        Then::Close => Ok(()),
        Then::Hold => std::future::pending().await,
        Then::Flood => loop {
            stream.write_all(b"1000\r\n").await?;
            stream.write_all(&[b'.'; 0x1000]).await?;
            stream.write_all(b"\r\n").await?;
        },
    }
}

/// Pushes one product to such a server, in one tick; gives what is known of the product.
async fn pushed(address: &str, manner: Manner, text: usize) -> Option<(Value, Value)> {
    let (url, requests) = server(address, manner).await?;
    let world = World::start(Catalogue::generate(1, 0, 3)).await.unwrap();
    let text = Action::SetValue {
        attribute: "name".to_owned(),
        locale: Some("en_US".to_owned()),
        scope: None,
        data: "x".repeat(text).into(),
    };
    world.edit(&world.products()[0], text).unwrap();
    let application = Application::start(world.setup().with("destination_url", &url))
        .await
        .unwrap();
    announce(&world, &application).await;
    let report = application.tick().await.unwrap();
    assert_eq!(requests.load(Ordering::Relaxed), 1, "{}: {report}", manner.name);
    let letters = ask(&application, Method::GET, "/admin/dead-letters", json!(null)).await;
    Some((entity(&application, &world.products()[0]).await, letters.json()))
}

#[tokio::test]
async fn a_good_status_counts_whatever_becomes_of_the_body() {
    let manner = |name, answer, then| Manner {
        name,
        reads: true,
        answer,
        then,
    };
    let manners = [
        manner(
            "shorter than it says",
            "HTTP/1.1 200 OK\r\ncontent-length: 70\r\n\r\n{\"code\":\"200\"}",
            Then::Close,
        ),
        manner(
            "never complete",
            "HTTP/1.1 201 Created\r\ncontent-length: 70\r\n\r\n{\"code\"",
            Then::Hold,
        ),
        manner(
            "never begun",
            "HTTP/1.1 202 Accepted\r\ncontent-length: 7\r\n\r\n",
            Then::Hold,
        ),
        manner(
            "cut in a chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{\"code\"",
            Then::Close,
        ),
        manner(
            "no chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nwhat?\r\n",
            Then::Close,
        ),
        manner(
            "endless",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            Then::Flood,
        ),
        manner(
            "packed by what nobody asked for",
            "HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n\x01\x02",
            Then::Close,
        ),
        manner(
            "after early hints",
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            Then::Hold,
        ),
    ];
    let tries = manners.iter().map(|manner| pushed("127.0.0.1:0", *manner, 10));
    for (manner, known) in manners.iter().zip(futures_util::future::join_all(tries).await) {
        let (known, letters) = known.unwrap();
        assert!(known["index"]["hash"].is_string(), "{}: {known}", manner.name);
        assert_eq!(letters["items"], json!([]), "{}", manner.name);
    }
    // Where there is no IPv6 there is nothing to show.
    if let Some((known, _)) = pushed("[::1]:0", manners[0], 10).await {
        assert!(known["index"]["hash"].is_string(), "by IPv6: {known}");
    }
}

#[tokio::test]
async fn a_refusal_counts_before_the_body_is_through() {
    let manner = Manner {
        name: "413 and no more reading",
        reads: false,
        answer: "HTTP/1.1 413 Content Too Large\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntoo large",
        then: Then::Hold,
    };
    // More than the buffers between the two take.
    let (_, letters) = pushed("127.0.0.1:0", manner, 30_000_000).await.unwrap();
    let reason = letters["items"][0]["reason"].as_str();
    assert!(
        reason.is_some_and(|reason| reason.starts_with("413: too large")),
        "{letters}"
    );
}

/// Where the shape needs what an answer says, a body that does not come whole leaves open what happened: nothing is
/// believed, nothing is given up, and the same is sent again.
#[tokio::test]
async fn a_body_that_is_needed_and_does_not_come_leaves_open_what_happened() {
    let manners = [
        (
            "shorter than it says",
            "HTTP/1.1 200 OK\r\ncontent-length: 70\r\n\r\n{\"version\":\"1\"}",
            Then::Close,
        ),
        (
            "never complete",
            "HTTP/1.1 201 Created\r\ncontent-length: 70\r\n\r\n{\"version\"",
            Then::Hold,
        ),
        (
            "larger than a mebibyte",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            Then::Flood,
        ),
    ];
    let tries = manners.map(|(name, answer, then)| async move {
        let manner = Manner {
            name,
            reads: true,
            answer,
            then,
        };
        let (url, requests) = server("127.0.0.1:0", manner).await.unwrap();
        let world = World::start(Catalogue::generate(1, 0, 3)).await.unwrap();
        let shape = json!({ "products": { "remember": { "version": "/version" } } });
        let setup = world.setup().with("shape", &shape.to_string());
        let setup = setup.with("destination_url", &url).with("call_timeout_seconds", "3");
        let application = Application::start(setup).await.unwrap();
        announce(&world, &application).await;
        application.tick().await.unwrap();
        let first = requests.load(Ordering::Relaxed);
        assert!(first >= 1, "{name}");
        let known = entity(&application, &world.products()[0]).await;
        assert!(known["index"]["hash"].is_null(), "{name}: {known}");
        let letters = ask(&application, Method::GET, "/admin/dead-letters", json!(null)).await;
        assert_eq!(letters.json()["items"], json!([]), "{name}");
        for _ in 0..300 {
            application.tick().await.unwrap();
            if requests.load(Ordering::Relaxed) > first {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name}: it is not sent again");
    });
    futures_util::future::join_all(tries).await;
}
