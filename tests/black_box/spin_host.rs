//! The application on Spin itself.

use serde_json::json;
use simulator::catalogue::{Action, Catalogue, Change};
use simulator::deliveries::{Delivery, Sender};
use simulator::destination::sha256;
use simulator::encode_segment;
use simulator::pim::content;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tests::application::root;
use tests::client;
use tests::world::{World, legacy_deliveries, platform_deliveries};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long to wait for what Spin's schedule does: some of its ten-second periods.
const PATIENCE: Duration = Duration::from_secs(120);

/// A file of the PIM's, and how large it is, in bytes.
const FILE: (&str, usize) = ("0/1/2/3/0123_lamp on.jpg", 3_000_017);

#[tokio::test]
#[ignore = "needs Spin: `SPIN=<its program> cargo xtask test on_spin`"]
async fn on_spin_the_schedule_makes_the_destination_equal_and_a_kill_forgets_nothing() {
    let world = World::start(Catalogue::generate(60, 6, 7)).await.unwrap();
    let state = TempDir::new().unwrap();
    let spin = Spin::start(&world, state.path()).await;
    let packshot = Action::SetValue {
        attribute: "packshot".to_owned(),
        locale: None,
        scope: None,
        data: json!(FILE.0),
    };
    world
        .pim
        .with(|pim| pim.config.media = [(FILE.0.to_owned(), FILE.1)].into());
    world.edit(&world.products()[0], packshot).unwrap();
    let entities: Vec<_> = world.models().into_iter().chain(world.products()).collect();
    let changes: Vec<Change> = entities
        .iter()
        .flat_map(|entity| world.edit(entity, Action::Touch).unwrap())
        .collect();
    let (first, second) = changes.split_at(changes.len() / 2);
    spin.deliver(&platform_deliveries(first, 1)).await;
    wait_until_differences(&world, second.len()).await;
    spin.deliver(&legacy_deliveries(second, 2)).await;
    drop(spin);
    let _spin = Spin::start(&world, state.path()).await;
    wait_until_differences(&world, 0).await;
    let seen = world.pim.with(|pim| pim.meter.seen().clone());
    println!("{} entities, PIM {seen:?}", entities.len());
    assert_eq!(seen.violations, 0);
    assert!(world.pushes("PUT") > entities.len());
    let log = world.destination.with(|destination| destination.log.clone());
    let unmeasured = log.iter().filter(|request| request.header("content-length").is_none());
    assert_eq!(unmeasured.count(), 0);
    let path = format!("/media/{}", encode_segment(FILE.0));
    let file = world
        .destination
        .with(|destination| destination.media.get(&path).cloned());
    assert_eq!(file.unwrap().sha256, sha256(&content(FILE.0, FILE.1)));
}

/// Waits until the destination differs in so many entities at most.
async fn wait_until_differences(world: &World, most: usize) {
    let begun = Instant::now();
    while world.differences().len() > most {
        assert!(begun.elapsed() < PATIENCE, "{:?}", world.differences());
        sleep(Duration::from_millis(200)).await;
    }
}

/// Spin as a group of processes: one for each kind of trigger, which outlive a killed parent. Dropping it kills all.
struct Spin {
    child: Child,
    group: u32,
    url: String,
}

impl Drop for Spin {
    fn drop(&mut self) {
        let group = format!("-{}", self.group);
        let killed = std::process::Command::new("kill")
            .args(["-KILL", "--", &group])
            .status();
        assert!(killed.unwrap().success());
    }
}

impl Spin {
    /// Starts Spin on a state folder and waits until it answers.
    async fn start(world: &World, state: &Path) -> Spin {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = socket.local_addr().unwrap().to_string();
        drop(socket);
        let mut command = Command::new(std::env::var_os("SPIN").expect("SPIN names Spin's program"));
        command.arg("up").arg("--from").arg(root().join("spin.toml"));
        command.args(["--listen", &listen]).arg("--state-dir").arg(state);
        for (name, value) in world.setup().with("shape", "{\"media\":{}}").variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        let log = std::fs::File::create(state.join("spin.log")).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        let child = command.spawn().unwrap();
        let group = child.id().unwrap();
        let url = format!("http://{listen}");
        let mut spin = Spin { child, group, url };
        while !spin.is_healthy().await {
            let printed = std::fs::read_to_string(state.join("spin.log")).unwrap();
            assert_eq!(spin.child.try_wait().unwrap(), None, "{printed}");
            sleep(Duration::from_millis(100)).await;
        }
        spin
    }

    async fn is_healthy(&self) -> bool {
        let url = format!("{}/healthz", self.url);
        let answer = client::request(http::Method::GET, &url, &[], "").await;
        answer.is_ok_and(|answer| answer.status == 200)
    }

    async fn deliver(&self, deliveries: &[Delivery]) {
        let sent = Sender::new(&self.url).send_all(deliveries, 16).await;
        let refused: Vec<_> = sent.iter().filter(|sent| !sent.delivered()).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}
