//! The application behind a proxy that is set up as `deploy/` says.

use bytes::Bytes;
use http::Method;
use simulator::catalogue::{Action, Catalogue};
use simulator::deliveries::Delivery;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tests::application::{Application, root};
use tests::client;
use tests::servers::{Nginx, Server, answers, free_port, open_folder, program};
use tests::store::Store;
use tests::world::{World, platform_deliveries};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

/// How often the application is restarted.
const RESTARTS: usize = 10;

/// The time between two deliveries: fifty come in a second.
const EVERY: Duration = Duration::from_millis(20);

async fn status(method: Method, url: &str) -> u16 {
    let answer = client::request(method, url, &[], Bytes::new()).await.unwrap();
    answer.status.as_u16()
}

/// A proxy before the application, as `deploy/` says it but for TLS.
struct Proxy {
    url: String,
    /// What it answers below `/webhooks` for an application that is down, but on the Event Platform's route.
    down: u16,
    _running: Running,
}

/// What ends with the proxy.
enum Running {
    Nginx { _nginx: Nginx },
    Caddy { _caddy: Server, _folder: TempDir },
}

async fn nginx_before(port: u16) -> Proxy {
    let nginx = Nginx::before(port).await.unwrap();
    Proxy {
        url: nginx.url.clone(),
        down: 503,
        _running: Running::Nginx { _nginx: nginx },
    }
}

async fn caddy_before(port: u16) -> Proxy {
    let (folder, at) = (open_folder().unwrap(), free_port().unwrap());
    let url = format!("http://127.0.0.1:{at}");
    let mut text = std::fs::read_to_string(root().join("deploy/Caddyfile")).unwrap();
    for (from, to) in [
        ("https://relay.example.com {", format!("{url} {{")),
        ("127.0.0.1:3000", format!("127.0.0.1:{port}")),
        ("auto_https disable_redirects", "auto_https off\n\tadmin off".to_owned()),
    ] {
        assert!(text.contains(from), "deploy/Caddyfile has no {from}");
        text = text.replace(from, &to);
    }
    std::fs::write(folder.path().join("Caddyfile"), text).unwrap();
    let mut command = program("CADDY", "caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]);
    command.arg(folder.path().join("Caddyfile"));
    for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(variable, folder.path());
    }
    let mut caddy = Server::start(command, folder.path()).unwrap();
    caddy.wait_for(|| answers(at)).await.unwrap();
    Proxy {
        url,
        down: 502,
        _running: Running::Caddy {
            _caddy: caddy,
            _folder: folder,
        },
    }
}

/// Begins to send fifty changes a second until it is told to stop, be the ones before answered or not; gives how many were
/// answered 200, what was not, and all statuses.
async fn send(
    world: Arc<World>,
    url: String,
    sent: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
) -> (usize, Vec<Delivery>, BTreeSet<u16>) {
    let (products, mut ticks, mut under_way) = (world.products(), interval(EVERY), JoinSet::new());
    for (number, product) in (0u64..).zip(products.iter().cycle()) {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        ticks.tick().await;
        let changes = world.edit(product, Action::Touch).unwrap();
        for delivery in platform_deliveries(&changes, number) {
            let target = format!("{url}{}", delivery.path);
            under_way.spawn(async move {
                let answer = client::request(Method::POST, &target, &delivery.headers, delivery.body.clone()).await;
                (answer.map_or(0, |answer| answer.status.as_u16()), delivery)
            });
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (mut taken, mut again, mut statuses) = (0, Vec::new(), BTreeSet::new());
    for (status, delivery) in under_way.join_all().await {
        statuses.insert(status);
        match status {
            200 => taken += 1,
            _ => again.push(delivery),
        }
    }
    (taken, again, statuses)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx: `cargo xtask test --full`"]
async fn restarts_behind_nginx_lose_nothing_and_are_no_reason_to_suspend() {
    let statuses = restarts_behind(nginx_before).await;
    assert_eq!(statuses, [200, 429].into());
}

/// Newer ones bridge a restart; that of Debian 12 holds what comes, and answers 429 to it in the end.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Caddy: `cargo xtask test --full`"]
async fn restarts_behind_caddy_lose_nothing_and_are_no_reason_to_suspend() {
    let statuses = restarts_behind(caddy_before).await;
    assert!(statuses.is_subset(&[200, 429].into()), "{statuses:?}");
}

/// Restarts the application behind a proxy under deliveries, and gives the statuses of the answers to these: what was
/// acknowledged is kept, and what was not arrives once it is sent again.
async fn restarts_behind(before: impl AsyncFnOnce(u16) -> Proxy) -> BTreeSet<u16> {
    let world = Arc::new(World::start(Catalogue::generate(100, 0, 9)).await.unwrap());
    let port = free_port().unwrap();
    let address = format!("127.0.0.1:{port}");
    let state = Arc::new(TempDir::new().unwrap());
    let mut application = Application::start_at(&address, state.clone(), world.setup())
        .await
        .unwrap();
    let proxy = before(port).await;
    let (sent, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let sending = tokio::spawn(send(world.clone(), proxy.url.clone(), sent.clone(), is_over.clone()));
    for restart in 1..=RESTARTS {
        while sent.load(Ordering::Relaxed) < restart * 30 {
            sleep(EVERY).await;
        }
        let (state, setup) = application.kill().await.unwrap();
        let before = sent.load(Ordering::Relaxed);
        // Some come while nobody is there.
        while sent.load(Ordering::Relaxed) < before + 5 {
            sleep(EVERY).await;
        }
        application = Application::start_at(&address, state, setup).await.unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    let (taken, again, statuses) = sending.await.unwrap();
    let kept = Store::open(state.path()).keys("r1.main.e.").len();
    assert!(kept >= taken, "{kept} of {taken} that were acknowledged are kept");
    println!(
        "{RESTARTS} restarts under fifty deliveries a second: {taken} acknowledged and kept, {} answered 429",
        again.len()
    );
    // The Event Platform sends again what was answered 429.
    for delivery in again {
        assert_eq!(application.deliver(&delivery).await.unwrap().status, 200);
    }
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
    statuses
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx: `cargo xtask test --full`"]
async fn below_webhooks_behind_nginx_nothing_is_missing_or_elsewhere() {
    nothing_is_missing_or_elsewhere_behind(nginx_before).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Caddy: `cargo xtask test --full`"]
async fn below_webhooks_behind_caddy_nothing_is_missing_or_elsewhere() {
    nothing_is_missing_or_elsewhere_behind(caddy_before).await;
}

/// Asks for paths below the webhooks and elsewhere through a proxy, while the application runs and while it is down.
async fn nothing_is_missing_or_elsewhere_behind(before: impl AsyncFnOnce(u16) -> Proxy) {
    let world = World::start(Catalogue::generate(1, 0, 9)).await.unwrap();
    let port = free_port().unwrap();
    let state = Arc::new(TempDir::new().unwrap());
    let address = format!("127.0.0.1:{port}");
    let application = Application::start_at(&address, state, world.setup()).await.unwrap();
    let proxy = before(port).await;
    let asked = async |method: Method, path: &str| status(method, &format!("{}{path}", proxy.url)).await;
    for path in [
        "/webhooks",
        "/webhooks/",
        "/webhooks/akeneo",
        "/webhooks/akeneo/other",
        "/webhooks//akeneo/events-api",
    ] {
        let status = asked(Method::POST, path).await;
        assert!(![301, 302, 307, 308, 404].contains(&status), "{path}: {status}");
    }
    assert_eq!(asked(Method::GET, "/webhooks/akeneo/event-platform").await, 405);
    assert_eq!(asked(Method::POST, "/webhooks/akeneo/event-platform").await, 401);
    assert_eq!(asked(Method::GET, "/healthz").await, 200);
    assert_eq!(asked(Method::GET, "/console").await, 200);
    assert_eq!(asked(Method::GET, "/admin/status").await, 401);
    for path in ["/", "/.well-known/spin/info", "/administrator", "//worker/tick"] {
        let status = asked(Method::GET, path).await;
        assert!([401, 403].contains(&status), "{path}: {status}");
    }
    application.kill().await.unwrap();
    for (path, expected) in [
        ("/webhooks/akeneo/event-platform", 429),
        ("/webhooks/akeneo/event-platform/", 429),
        ("/webhooks/akeneo/events-api", proxy.down),
        ("/webhooks/akeneo/notifications", proxy.down),
        ("/webhooks", proxy.down),
    ] {
        assert_eq!(asked(Method::POST, path).await, expected, "{path}");
    }
}
