//! The servers over real sockets on the loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::Catalogue;
use simulator::compare::{Mapping, differences};
use simulator::control::command;
use simulator::deliveries::{Delivery, Secrets, Sender};
use simulator::destination::{Destination, DestinationConfig};
use simulator::fault::{Effect, Fault};
use simulator::meter::Limits;
use simulator::pim::{Pim, PimConfig};
use simulator::server::{Control, DestinationServer, PimServer, Server};

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn destination(config: DestinationConfig) -> DestinationServer {
    Server::start_with_control(Destination::new(config), any_port(), Control::Loopback)
        .await
        .unwrap()
}

fn delivery() -> Delivery {
    Delivery::event_platform(&json!({ "hello": "there" }), &Secrets::primary("one"), Vec::new())
}

#[tokio::test]
async fn calls_at_once_are_counted_on_real_connections() {
    let limits = Limits {
        at_once: Some(3),
        ..Limits::default()
    };
    let server = destination(DestinationConfig {
        limits,
        ..DestinationConfig::default()
    })
    .await;
    // Held longer than the test takes, so that the fourth finds three open.
    server.with(|destination| {
        destination.faults.add(Fault::always(Effect::Slow { ms: 600_000 }));
    });
    let sender = Sender::new(&server.url());
    let deliveries = vec![delivery(); 4];
    let sending = tokio::spawn({
        let (sender, deliveries) = (sender.clone(), deliveries.clone());
        async move { sender.send_all(&deliveries, 4).await }
    });
    until(&server, |destination| destination.log.len() == 4).await;
    server.with(|destination| {
        let refused = destination.log.iter().filter(|each| each.status == 429);
        assert_eq!(refused.count(), 1);
        let seen = destination.meter.seen();
        assert_eq!((seen.max_at_once, seen.violations), (4, 1));
        destination.faults.clear();
    });

    // A client that gives up frees its place.
    sending.abort();
    until(&server, |destination| destination.meter.open() == 0).await;
    let sent = sender.send_all(&deliveries, 1).await;
    assert!(sent.iter().all(|each| each.status.is_ok()));
    assert_eq!(server.with(|destination| destination.meter.seen().violations), 1);
}

async fn until(server: &DestinationServer, holds: impl Fn(&Destination) -> bool) {
    while !server.with(|destination| holds(destination)) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_cut_is_a_lost_connection_and_a_late_put_lands() {
    let server = destination(DestinationConfig::default()).await;
    let sender = Sender::new(&server.url());
    server.with(|destination| destination.faults.add(Fault::next(1, Effect::Cut { applied: true })));
    assert!(sender.send(&delivery()).await.is_err());
    assert_eq!(server.with(|destination| destination.state.len()), 1);

    server.with(|destination| {
        destination.state.clear();
        destination
            .faults
            .add(Fault::next(1, Effect::LandLate { after_ms: 60 }));
    });
    assert!(sender.send(&delivery()).await.is_err());
    until(&server, |destination| destination.landing() == 0).await;
    assert_eq!(server.with(|destination| destination.state.len()), 1);
}

#[tokio::test]
async fn an_answer_cut_in_its_body_has_had_its_effect() {
    let server = destination(DestinationConfig::default()).await;
    server.with(|destination| destination.faults.add(Fault::next(1, Effect::CutBody)));
    let addr = server.addr();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        let put = b"PUT /items/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(put).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let announced: usize = announced.unwrap().parse().unwrap();
    assert!(
        head.starts_with("HTTP/1.1 201") && body.len() == announced / 2,
        "{answer}"
    );
    assert_eq!(server.with(|destination| destination.state.len()), 1);
}

#[tokio::test]
async fn a_stopped_server_gives_its_state_back_and_can_start_again() {
    let server = destination(DestinationConfig::default()).await;
    let (addr, sender) = (server.addr(), Sender::new(&server.url()));
    assert_eq!(sender.send(&delivery()).await, Ok(201));
    let state = server.stop().await;
    assert!(sender.send(&delivery()).await.is_err());
    let server = DestinationServer::start(state, addr).await.unwrap();
    assert_eq!(sender.send(&delivery()).await, Ok(200));
    assert_eq!(server.with(|destination| destination.log.len()), 2);
}

#[tokio::test]
async fn control_edits_and_compares() {
    let pim = Pim::new(Catalogue::generate(20, 3, 1), PimConfig::default());
    let pim = PimServer::start_with_control(pim, any_port(), Control::Loopback)
        .await
        .unwrap();
    let target = destination(DestinationConfig::default()).await;
    let get = |name: &'static str| command_on(pim.url(), Method::GET, name, Value::Null);

    let entities = command_on(pim.url(), Method::POST, "entities", json!({})).await;
    assert_eq!(entities.as_array().unwrap().len(), 23);
    let uuid = entities[0]["product"].clone();
    let after = json!({ "after": entities[20]["product_model"].as_str().map(|code| json!({ "product_model": code })) });
    let rest = command_on(pim.url(), Method::POST, "entities", after).await;
    assert_eq!(rest.as_array().unwrap()[..], entities.as_array().unwrap()[21..]);
    let edits = json!([{ "product": uuid, "action": "touch" }, { "product_model": "extra", "action": "create" }]);
    let changes = command_on(pim.url(), Method::POST, "edits", edits).await;
    assert_eq!(
        (&changes[0]["kind"], &changes[1]["product_model"]),
        (&json!("updated"), &json!("extra"))
    );
    let changes = command_on(
        pim.url(),
        Method::POST,
        "edits/random",
        json!({ "count": 5, "seed": 2 }),
    )
    .await;
    assert!(changes.as_array().unwrap().len() >= 5);
    let missing = pim.with(|pim| target.with(|destination| differences(pim, destination, &Mapping::default())));
    assert!(missing.len() > 10);

    command_on(pim.url(), Method::PATCH, "config", json!({ "lag_ms": 5000 })).await;
    assert_eq!(pim.with(|pim| pim.config.lag_ms), 5000);
    let fault = json!({ "effect": "status", "status": 500, "times": 3 });
    command_on(pim.url(), Method::POST, "faults", fault).await;
    assert_eq!(get("faults").await[0]["times"], 3);
    assert!(
        command(&pim.url(), Method::PATCH, "config", &json!({ "unknown": 1 }))
            .await
            .is_err()
    );
    assert!(command(&pim.url(), Method::GET, "nothing", &Value::Null).await.is_err());
    command_on(target.url(), Method::POST, "rejections", json!({ "id": "a b" })).await;
    assert_eq!(
        target.with(|destination| destination.rejections.keys().next().cloned()),
        Some("/a%20b".to_owned())
    );
    assert_eq!(get("stats").await["seen"]["calls"], 0, "commands are no calls");
}

async fn command_on(origin: String, method: Method, name: &str, body: Value) -> Value {
    command(&origin, method, name, &body).await.unwrap()
}

#[tokio::test]
async fn without_control_its_paths_are_paths_like_any_other() {
    let pim = PimServer::start(Pim::new(Catalogue::default(), PimConfig::default()), any_port())
        .await
        .unwrap();
    assert!(command(&pim.url(), Method::GET, "stats", &Value::Null).await.is_err());
    assert_eq!(pim.with(|pim| pim.calls.len()), 1);
}
