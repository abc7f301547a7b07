//! How many deliveries ingest takes, as it is built for WASI 0.2 and for 0.3, beside what does less of it on the same
//! host: a component that answers at once, and one that only keeps what it is sent; and beside a receiver of Node.js with
//! Express and BullMQ.
//!
//! All take the same deliveries in turns, so that what else the machine does slows all of them. The worker has ticked
//! before, as it does wherever deliveries are taken: ingest then knows how much waits, and need not ask for how long it
//! has known.

use crate::args::{Args, Host};
use crate::running::{Running, next_seed};
use crate::table::{Table, Unit, bar};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use indicatif::ProgressBar;
use simulator::catalogue::Catalogue;
use simulator::deliveries::Delivery;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tests::application::{Setup, component, root};
use tests::redis_server::RedisServer;
use tests::world::{PLATFORM_SECRET, World, platform_deliveries};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How many connections deliveries come by.
const CONNECTIONS: [usize; 2] = [16, 64];

/// How often each receiver has its turn with so many connections. One more comes before, which does not count.
const TURNS: u32 = 3;

/// How many different deliveries there are, before they come again.
const DELIVERIES: usize = 40_000;

/// A build of ingest, and what is measured with it.
struct Build {
    /// What it is called in the table.
    name: &'static str,
    /// Its package.
    package: &'static str,
    /// What it is measured by: the package, what it is called in the table, and its route.
    references: &'static [(&'static str, &'static str, &'static str)],
}

/// The builds. Each is of an application of its own, since all have the same routes.
const BUILDS: [Build; 2] = [
    Build {
        name: "ingest",
        package: "ingest",
        references: &[
            (
                "reference-at-once",
                "a component that answers at once",
                "/reference/at-once",
            ),
            (
                "reference-one-set",
                "a component that does one `set`",
                "/reference/one-set",
            ),
        ],
    },
    Build {
        name: "ingest on WASI 0.3",
        package: "ingest-p3",
        references: &[(
            "reference-one-set-p3",
            "one that does one `set` on WASI 0.3",
            "/reference/one-set",
        )],
    },
];

/// What takes deliveries.
struct Receiver {
    name: &'static str,
    url: String,
    /// The path of deliveries; none is the one that they have.
    path: Option<&'static str>,
    /// How many deliveries it was sent: each is another one.
    sent: Arc<AtomicUsize>,
    /// How long each delivery took, in the turns with the present number of connections.
    took: Vec<Duration>,
}

impl Receiver {
    fn new(name: &'static str, url: &str, path: Option<&'static str>) -> Receiver {
        Receiver {
            name,
            url: url.to_owned(),
            path,
            sent: Arc::default(),
            took: Vec::new(),
        }
    }
}

/// Measures it on a host.
pub(crate) async fn measure(args: &Args, host: Host, table: &mut Table) -> Result<()> {
    let node = Node::start().await?;
    for connections in CONNECTIONS {
        let world = World::start(Catalogue::generate(1000, 0, 7)).await?;
        let (mut running, mut receivers) = (Vec::new(), Vec::new());
        for build in &BUILDS {
            let folder = TempDir::new()?;
            let setup = Setup {
                manifest: Some(manifest(folder.path(), build)?),
                ..world.setup()
            };
            let application = Running::start(host, setup).await?;
            application.tick().await?;
            receivers.push(Receiver::new(build.name, &application.url, None));
            let references = build.references.iter();
            receivers.extend(references.map(|(_, name, route)| Receiver::new(name, &application.url, Some(route))));
            running.push((application, folder));
        }
        let node = node.iter();
        receivers.extend(node.map(|node| Receiver::new("Express with BullMQ", &node.url, None)));
        let changes = world.touch_all()?;
        let repeated: Vec<_> = changes.iter().cycle().take(DELIVERIES).cloned().collect();
        let deliveries = Arc::new(platform_deliveries(&repeated, next_seed()));
        let turns = u64::from(TURNS + 1) * receivers.len() as u64;
        let bar = bar(&format!("deliveries over {connections} connections"), turns);
        take_turns(&mut receivers, &deliveries, connections, args.ingest_seconds, &bar).await?;
        bar.finish_and_clear();
        let names: Vec<&str> = BUILDS.iter().map(|build| build.name).collect();
        let (builds, others): (Vec<&Receiver>, Vec<&Receiver>) =
            receivers.iter().partition(|receiver| names.contains(&receiver.name));
        for build in builds.iter().rev() {
            let ours = figures(build, args.ingest_seconds)?;
            let beside = builds.iter().take_while(|it| it.name != build.name).chain(&others);
            for other in beside {
                let theirs = figures(other, args.ingest_seconds)?;
                let what = format!("{connections} connections: {}, {}", build.name, other.name);
                table.tell(&what, Some(host), Unit::PerSecond, (ours.0, theirs.0))?;
                let what = format!(
                    "{connections} connections: 99th percentile, {}, {}",
                    build.name, other.name
                );
                table.tell_times(&what, Some(host), ours.1, theirs.1)?;
            }
        }
    }
    Ok(())
}

/// Lets each receiver take deliveries in turns, for so many seconds each in all.
async fn take_turns(
    receivers: &mut [Receiver],
    deliveries: &Arc<Vec<Delivery>>,
    connections: usize,
    seconds: u64,
    bar: &ProgressBar,
) -> Result<()> {
    let turn = Duration::from_secs(seconds.max(1)) / TURNS;
    for number in 0..=TURNS {
        for receiver in receivers.iter_mut() {
            let took = load(receiver, deliveries, connections, turn).await?;
            if number == 0 {
                receiver.took.clear();
            } else {
                receiver.took.extend(took);
            }
            bar.inc(1);
        }
    }
    Ok(())
}

/// How many deliveries a receiver took a second, and within which time 99 of 100 were answered.
fn figures(receiver: &Receiver, seconds: u64) -> Result<(f64, Duration)> {
    let mut took = receiver.took.clone();
    took.sort_unstable();
    let high = took.get(took.len() * 99 / 100).copied();
    let high = high.with_context(|| format!("{} took nothing", receiver.name))?;
    Ok((took.len() as f64 / seconds.max(1) as f64, high))
}

/// Sends deliveries for a while over so many connections, one after another on each; gives how long each took.
async fn load(
    receiver: &Receiver,
    deliveries: &Arc<Vec<Delivery>>,
    connections: usize,
    time: Duration,
) -> Result<Vec<Duration>> {
    let address = receiver.url.trim_start_matches("http://").to_owned();
    let mut sending = Vec::new();
    let until = Instant::now() + time;
    for _ in 0..connections {
        let (address, path) = (address.clone(), receiver.path);
        let (deliveries, sent) = (deliveries.clone(), receiver.sent.clone());
        sending.push(tokio::spawn(async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let mut took = Vec::new();
            while Instant::now() < until {
                let delivery = &deliveries[sent.fetch_add(1, Ordering::Relaxed) % deliveries.len()];
                let begun = Instant::now();
                send(&mut sender, &address, path.unwrap_or(&delivery.path), delivery).await?;
                took.push(begun.elapsed());
            }
            anyhow::Ok(took)
        }));
    }
    let mut took = Vec::new();
    for each in sending {
        took.extend(each.await?.with_context(|| receiver.name)?);
    }
    Ok(took)
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, host: &str, path: &str, delivery: &Delivery) -> Result<()> {
    let mut request = Request::post(path).header("host", host);
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(delivery.body.clone()));
    sender.ready().await?;
    let answer = sender.send_request(request.body(body)?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// Writes the manifest of the application with this build, without its schedule and with the references beside; gives its
/// file.
fn manifest(folder: &Path, build: &Build) -> Result<PathBuf> {
    let mut manifest: toml::Table = std::fs::read_to_string(root().join("spin.toml"))?.parse()?;
    let part = |name: &str| format!("spin.toml has no {name}");
    let triggers = manifest["trigger"].as_table_mut().with_context(|| part("trigger"))?;
    triggers.remove("cron");
    let routes = triggers["http"].as_array_mut().with_context(|| part("trigger.http"))?;
    for (name, _, route) in build.references {
        let trigger = [("route", *route), ("component", *name)].map(|(key, value)| (key.to_owned(), value.into()));
        routes.push(toml::Table::from_iter(trigger).into());
    }
    let components = manifest["component"]
        .as_table_mut()
        .with_context(|| part("component"))?;
    for (id, component) in components.iter_mut() {
        // Two components may be of one file.
        let file = component.get("source").and_then(toml::Value::as_str).map(Path::new);
        let built = file.and_then(Path::file_stem).and_then(OsStr::to_str);
        let built = built.with_context(|| part("source of a component"))?;
        component["source"] = source(if id == "ingest" { build.package } else { built })?;
    }
    for (name, ..) in build.references {
        let stores: toml::Value = vec!["default".to_owned()].into();
        let parts = [("source", source(name)?), ("key_value_stores", stores)];
        let parts = parts.map(|(key, value)| (key.to_owned(), value));
        components.insert((*name).to_owned(), toml::Table::from_iter(parts).into());
    }
    let file = folder.join("spin.toml");
    std::fs::write(&file, manifest.to_string())?;
    Ok(file)
}

/// Where a component was built.
fn source(name: &str) -> Result<toml::Value> {
    let file = component(&name.replace('-', "_"));
    ensure!(
        file.exists(),
        "{} is not built: run `cargo xtask bench`",
        file.display()
    );
    let file = file.into_os_string().into_string();
    Ok(file.ok().context("the checkout's folder is not Unicode")?.into())
}

/// The receiver of Node.js with a Redis of its own. Dropping it ends it.
struct Node {
    url: String,
    _child: Child,
    _redis: RedisServer,
}

impl Node {
    /// Starts it; none where what it is made of was not brought.
    async fn start() -> Result<Option<Node>> {
        let Some(modules) = std::env::var_os("RECEIVER_MODULES") else {
            return Ok(None);
        };
        let redis = RedisServer::start().await?;
        let mut child = Command::new("node")
            .arg(root().join("tests/src/bench/receiver/receiver.js"))
            .env("NODE_PATH", modules)
            .env("NODE_ENV", "production")
            .envs([("REDIS_URL", redis.url.as_str()), ("SECRET", PLATFORM_SECRET)])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start node")?;
        let stdout = child.stdout.take().context("its output is piped")?;
        let line = BufReader::new(stdout).lines().next_line().await?.unwrap_or_default();
        let Some(url) = line.strip_prefix("listening on ") else {
            bail!("the receiver of Node.js did not start: {line}");
        };
        Ok(Some(Node {
            url: url.to_owned(),
            _child: child,
            _redis: redis,
        }))
    }
}
