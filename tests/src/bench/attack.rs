//! What honest deliveries and the host's memory feel of strangers who hold half-open requests and send large bodies, both
//! again and again: behind nginx as `deploy/nginx` says it, and without a proxy.

use crate::args::{Args, Host};
use crate::running::Running;
use crate::table::{Table, Unit, spinner};
use anyhow::{Context, Result};
use simulator::catalogue::{Action, Catalogue};
use simulator::deliveries::events_api_headers;
use simulator::times::now_ms;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tests::client::{announced, request, unmeasured};
use tests::servers::Nginx;
use tests::world::{World, platform_deliveries};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};

/// The addresses that strangers come from, by their last number. Honest deliveries come from 127.0.0.1: the proxy bounds the
/// connections of each address.
const STRANGERS: std::ops::RangeInclusive<u8> = 2..=20;

/// The route that takes the largest bodies.
const ROUTE: &str = "/webhooks/akeneo/events-api";

/// As large a body as proxy and route let through.
const BODY: usize = (16 << 20) - 1;

/// How long a stranger rests whose last attempt has ended.
const REST: Duration = Duration::from_secs(1);

/// The time between two honest deliveries.
const EVERY: Duration = Duration::from_millis(65);

/// How long an answer to one is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the host is to take at most, in megabytes.
const MEMORY_MAX_MB: f64 = 600.0;

/// Measures it on a host.
pub(crate) async fn measure(args: &Args, host: Host, table: &mut Table) -> Result<()> {
    match std::env::var_os("NGINX") {
        Some(_) => endure(args, host, true, table).await?,
        None => eprintln!("Left out: an attack behind nginx, since there is no nginx"),
    }
    endure(args, host, false, table).await
}

/// Delivers for a while in peace, and for as long under attack.
async fn endure(args: &Args, host: Host, is_behind_nginx: bool, table: &mut Table) -> Result<()> {
    let where_it_is = if is_behind_nginx {
        "behind nginx"
    } else {
        "without a proxy"
    };
    let world = World::start(Catalogue::generate(args.products, 0, 7)).await?;
    let running = Running::staying(host, &world, world.setup()).await?;
    let address: SocketAddr = running.url.trim_start_matches("http://").parse()?;
    let nginx = match is_behind_nginx {
        true => Some(Nginx::before(address.port()).await?),
        false => None,
    };
    let url = nginx.as_ref().map_or(&running.url, |nginx| &nginx.url);
    let time = Duration::from_secs(args.attack_seconds);
    let spinner = spinner(&format!("honest deliveries {where_it_is}, in peace and under attack"));
    let in_peace = deliver(&world, url, time).await?;
    let strangers = attack(args, url.trim_start_matches("http://").parse()?, time);
    let attacked = deliver(&world, url, time).await?;
    drop(strangers);
    spinner.finish_and_clear();

    let what = format!("attack {where_it_is}: honest deliveries taken, sent");
    let pair = (attacked.took.len() as f64, attacked.sent as f64);
    table.tell(&what, Some(host), Unit::Count, pair)?;
    let what = format!("attack {where_it_is}: their median, without attack");
    table.tell_times(&what, Some(host), attacked.median(), in_peace.median())?;
    let what = format!("attack {where_it_is}: the host's most memory, limit");
    let peak_mb = running.peak_bytes()? as f64 / 1e6;
    table.tell(&what, Some(host), Unit::Mb, (peak_mb, MEMORY_MAX_MB))
}

/// What became of honest deliveries.
struct Honest {
    sent: usize,
    /// How long those took that were answered 200, the shortest first.
    took: Vec<Duration>,
}

impl Honest {
    fn median(&self) -> Duration {
        // Where none was taken, all were waited for.
        self.took.get(self.took.len() / 2).copied().unwrap_or(PATIENCE)
    }
}

/// Edits products for a while, and delivers what is told of it, be the deliveries before answered or not.
async fn deliver(world: &World, url: &str, time: Duration) -> Result<Honest> {
    let (products, until) = (world.products(), Instant::now() + time);
    let (mut ticks, mut under_way) = (interval(EVERY), JoinSet::new());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (number, product) in (0u64..).zip(products.iter().cycle()) {
        if Instant::now() >= until {
            break;
        }
        ticks.tick().await;
        for delivery in platform_deliveries(&world.edit(product, Action::Touch)?, number) {
            let target = format!("{url}{}", delivery.path);
            under_way.spawn(async move {
                let begun = Instant::now();
                let answer = request(http::Method::POST, &target, &delivery.headers, delivery.body.clone());
                let answer = timeout(PATIENCE, answer).await.ok()?.ok()?;
                (answer.status == 200).then(|| begun.elapsed())
            });
        }
    }
    let sent = under_way.len();
    let mut took: Vec<Duration> = under_way.join_all().await.into_iter().flatten().collect();
    took.sort_unstable();
    Ok(Honest { sent, took })
}

/// What a stranger does with a connection.
#[derive(Clone)]
enum Deed {
    /// Announces a body behind what may be a signature, and sends none of it.
    Hold,
    /// Sends a large body that nobody signed.
    Send(Arc<Vec<u8>>),
}

/// Lets strangers come, and come again, for this time. Dropping what it gives ends them.
fn attack(args: &Args, target: SocketAddr, time: Duration) -> JoinSet<()> {
    let (body, until) = (Arc::new(vec![b' '; BODY]), Instant::now() + time);
    let holding = std::iter::repeat_n(Deed::Hold, args.half_open);
    let sending = std::iter::repeat_n(Deed::Send(body), args.bodies);
    let mut strangers = JoinSet::new();
    for (deed, last) in holding.chain(sending).zip(STRANGERS.cycle()) {
        let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
        strangers.spawn(async move {
            while Instant::now() < until {
                // Whatever comes of it: a stranger who is turned away comes again.
                drop(timeout_at(until, act(from, target, &deed)).await);
                sleep(REST).await;
            }
        });
    }
    strangers
}

async fn act(from: SocketAddr, target: SocketAddr, deed: &Deed) -> Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(from)?;
    let mut stream: TcpStream = socket.connect(target).await.context("not let in")?;
    let host = target.to_string();
    match deed {
        Deed::Hold => {
            let forged = events_api_headers(b"", "guessed", now_ms() / 1000);
            announced(&mut stream, ROUTE, &host, &forged, 5).await
        }
        Deed::Send(body) => unmeasured(&mut stream, ROUTE, &host, &[], body).await,
    }
}
