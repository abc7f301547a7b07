//! The main job, run and proved: signed deliveries in, and at the end a destination that equals the PIM.
//!
//! `cargo xtask demo` builds everything and calls this with the command that runs the application.

use anyhow::{Context, Result, bail};
use boon::{Compiler, Schemas};
use clap::Parser;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use shape::Shape;
use simulator::catalogue::{Action, Catalogue, Change, Edit, EntityId};
use simulator::deliveries::{Delivery, Format, Plan, Secrets, Sender, Sent};
use simulator::destination::{Check, Destination, DestinationConfig};
use simulator::pim::{Pim, PimConfig};
use simulator::server::{Control, DestinationServer, PimServer};
use simulator::times::now_ms;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tests::shaped::differences;
use tests::world::{DESTINATION_TOKEN, LEGACY_SECRET, PLATFORM_SECRET, secrets};
use tests::{client, ending, playground};
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// Runs the connector between a simulated PIM and a simulated destination
#[derive(Parser)]
struct Cli {
    /// Products in the PIM
    #[arg(long)]
    products: usize,
    /// Deliveries to send, at least
    #[arg(long)]
    deliveries: usize,
    /// Decides the catalogue, the edits, and the disorder of the deliveries
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Stay up afterwards, with a console and faults to play with, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Where the application listens
    #[arg(long)]
    listen: String,
    /// Where it keeps its store and its logs
    #[arg(long)]
    state_dir: PathBuf,
    /// The command that runs it, to which variables are added
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Opens the console; the application listens on this machine only.
const ADMIN_TOKEN: &str = "demonstration";

/// What the destination is sent. It is nothing like what the PIM gives.
const SHAPE: &str = include_str!("demo/shape.json");

/// What the destination takes.
const SCHEMA: &str = include_str!("demo/schema.json");

/// How long nothing may change before the demonstration gives up: many times what any retry takes.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::main]
async fn main() -> ExitCode {
    let is_equal = run(&Cli::parse()).await;
    ending::of(is_equal.map(|is_equal| if is_equal { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

async fn run(cli: &Cli) -> Result<bool> {
    let any = "127.0.0.1:0".parse()?;
    let catalogue = Catalogue::generate(cli.products, cli.products / 10, cli.seed);
    let pim = PimServer::start_with_control(Pim::new(catalogue, PimConfig::default()), any, Control::Loopback).await?;
    let config = DestinationConfig {
        token: Some(DESTINATION_TOKEN.to_owned()),
        token_header: Some("x-shop-token".to_owned()),
        ..DestinationConfig::default()
    };
    let mut destination = Destination::new(config);
    destination.check = Some(check()?);
    let destination = DestinationServer::start_with_control(destination, any, Control::Loopback).await?;
    let mut application = start(cli, &pim, &destination)?;
    let url = format!("http://{}", cli.listen);
    eprintln!("PIM          {}", pim.url());
    eprintln!("destination  {}", destination.url());
    eprintln!("application  {url}");
    let result = prove(cli, &url, &pim, &destination, &mut application).await;
    end(&mut application).await?;
    result
}

/// Refuses every body that is not as the schema says.
fn check() -> Result<Check> {
    const NAME: &str = "demo.schema.json";
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    let wrong = |error: boon::CompileError| anyhow::anyhow!("the schema: {error}");
    compiler
        .add_resource(NAME, serde_json::from_str(SCHEMA)?)
        .map_err(wrong)?;
    let schema = compiler.compile(NAME, &mut schemas).map_err(wrong)?;
    Ok(Check(Arc::new(move |body| {
        schemas.validate(body, schema).map_err(|error| error.to_string())
    })))
}

/// Delivers, waits, compares, and says what it found; whether all is equal.
async fn prove(
    cli: &Cli,
    url: &str,
    pim: &PimServer,
    destination: &DestinationServer,
    application: &mut Child,
) -> Result<bool> {
    wait_until_healthy(url, application).await?;
    let deliveries = pim.with(|pim| plan(pim, cli))?;
    let sent = send(url, &deliveries).await;
    let found = settle(pim, destination).await?;
    report(cli, pim, destination, &sent);
    for difference in found.iter().take(50) {
        println!("  {difference}");
    }
    if found.len() > 50 {
        println!("  and {} more", found.len() - 50);
    }
    println!(
        "destination equals PIM: {}",
        if found.is_empty() { "yes" } else { "no" }
    );
    if cli.keep {
        keep(cli, url, pim, destination).await?;
    }
    Ok(found.is_empty())
}

/// Stays up with something to see, until somebody ends it.
async fn keep(cli: &Cli, url: &str, pim: &PimServer, destination: &DestinationServer) -> Result<()> {
    println!("\nEverything stays up until Ctrl-C, and from now on:");
    for fault in playground::FAULTS {
        println!("  - {fault}");
    }
    println!("\nconsole      {url}/console");
    println!("admin token  {ADMIN_TOKEN}\n");
    println!("The simulators take commands below /_control/ (see `simulator --help`);");
    println!("the application's log is in {}.", cli.state_dir.join("logs").display());
    tokio::select! {
        ended = tokio::signal::ctrl_c() => Ok(ended?),
        ended = playground::play(url, pim, destination, cli.seed) => ended,
    }
}

/// Ends the application, politely where the system can: Spin's triggers are processes of their own, which outlive a
/// parent that is killed.
async fn end(application: &mut Child) -> Result<()> {
    if let (true, Some(id)) = (cfg!(unix), application.id())
        && Command::new("kill").arg(id.to_string()).status().await?.success()
        && tokio::time::timeout(Duration::from_secs(10), application.wait())
            .await
            .is_ok()
    {
        return Ok(());
    }
    Ok(application.kill().await?)
}

fn start(cli: &Cli, pim: &PimServer, destination: &DestinationServer) -> Result<Child> {
    let credentials = pim.with(|pim| pim.config.clone());
    let setup = secrets()
        .with("pim_url", &pim.url())
        .with("pim_client_id", &credentials.client_id)
        .with("pim_client_secret", &credentials.client_secret)
        .with("pim_username", &credentials.username)
        .with("pim_password", &credentials.password)
        .with("destination_url", &destination.url())
        .with("destination_token", DESTINATION_TOKEN)
        .with("destination_calls_per_second", "500")
        .with("admin_token", ADMIN_TOKEN)
        .with("shape", SHAPE);
    // Without a look around, only what the deliveries tell is to arrive.
    let setup = if cli.keep {
        setup
    } else {
        setup.with("recent_seconds", "0").with("walk_hours", "0")
    };
    let (program, args) = cli.command.split_first().context("no command was given")?;
    let mut command = Command::new(program);
    command.args(args);
    for (name, value) in setup.variables {
        command.arg("--variable").arg(format!("{name}={value}"));
    }
    // What it prints is in its log files as well.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().with_context(|| format!("cannot start {program}"))
}

async fn wait_until_healthy(url: &str, application: &mut Child) -> Result<()> {
    let bar = spinner("waiting for the application, which takes a while to compile its components the first time");
    loop {
        if let Ok(answer) = client::request(Method::GET, &format!("{url}/healthz"), &[], "").await
            && answer.status == 200
        {
            bar.finish_and_clear();
            return Ok(());
        }
        if let Some(status) = application.try_wait()? {
            bail!("the application ended ({status}); run `cargo xtask up` to see why");
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Announces every entity once, then edits until there are deliveries enough.
fn plan(pim: &mut Pim, cli: &Cli) -> Result<Vec<Delivery>> {
    let entities: Vec<EntityId> = pim
        .catalogue
        .truth()
        .entities()
        .map(|entity| entity.id.clone())
        .collect();
    let mut changes: Vec<Change> = Vec::new();
    for entity in entities {
        changes.extend(pim.edit(&Edit::new(entity, Action::Touch), now_ms())?);
    }
    // Another sequence than the catalogue's own, whose ids it would repeat.
    let mut random = fastrand::Rng::with_seed(cli.seed.wrapping_add(1));
    let mut deliveries = disorder(&changes, cli.seed);
    while deliveries.len() < cli.deliveries {
        for _ in 0..cli.products.max(10) / 10 {
            let edit = pim.catalogue.random_edit(&mut random);
            changes.extend(pim.edit(&edit, now_ms())?);
        }
        deliveries = disorder(&changes, cli.seed);
    }
    Ok(deliveries)
}

/// Both formats, a tenth twice, none in order, the legacy ones with ten events each.
fn disorder(changes: &[Change], seed: u64) -> Vec<Delivery> {
    let format = Format::Both(Secrets::primary(PLATFORM_SECRET), LEGACY_SECRET.to_owned());
    let plan = Plan {
        repeat_share: 0.1,
        shuffle_window: 200,
        ..Plan::new(format, now_ms() / 1000, seed)
    };
    plan.deliveries(changes)
}

async fn send(url: &str, deliveries: &[Delivery]) -> Vec<Sent> {
    let bar = bar("deliveries acknowledged", deliveries.len());
    let sender = Sender::new(url);
    let mut sent = Vec::new();
    for part in deliveries.chunks(50) {
        sent.extend(sender.send_all(part, 16).await);
        advance(&bar, sent.len());
    }
    bar.finish();
    sent
}

/// Waits until the destination equals the PIM, or nothing has changed for long.
async fn settle(pim: &PimServer, destination: &DestinationServer) -> Result<Vec<String>> {
    let shape = Shape::read(SHAPE).map_err(|mistakes| anyhow::anyhow!("{mistakes:?}"))?;
    let compare = || pim.with(|pim| destination.with(|destination| differences(pim, destination, &shape)));
    let mut found = compare();
    let total = pim.with(|pim| pim.catalogue.truth().entities().count());
    let bar = bar("entities equal", total);
    let mut unchanged = Duration::ZERO;
    const PAUSE: Duration = Duration::from_millis(500);
    while !found.is_empty() && unchanged < PATIENCE {
        advance(&bar, total.saturating_sub(found.len()));
        sleep(PAUSE).await;
        let now = compare();
        unchanged = if now == found {
            unchanged + PAUSE
        } else {
            Duration::ZERO
        };
        found = now;
    }
    advance(&bar, total.saturating_sub(found.len()));
    bar.finish();
    Ok(found)
}

fn report(cli: &Cli, pim: &PimServer, destination: &DestinationServer, sent: &[Sent]) {
    let acknowledged = sent.iter().filter(|sent| sent.delivered()).count();
    let mut latencies: Vec<Duration> = sent
        .iter()
        .filter(|sent| sent.delivered())
        .map(|sent| sent.latency)
        .collect();
    latencies.sort();
    let at = |share: f64| {
        let index = (latencies.len().saturating_sub(1)) as f64 * share;
        latencies.get(index.round() as usize).map_or("-".to_owned(), |latency| {
            format!("{:.1} ms", latency.as_secs_f64() * 1000.0)
        })
    };
    let ticks = ticks(cli);
    let sum = |member: &str| ticks.iter().filter_map(|tick| tick[member].as_u64()).sum::<u64>();
    let (calls, violations) = pim.with(|pim| (pim.calls.len(), pim.meter.seen().violations));
    let method = |method: &str| {
        destination.with(|destination| {
            destination
                .log
                .iter()
                .filter(|request| request.method == method)
                .count()
        })
    };
    let refused =
        destination.with(|destination| destination.log.iter().filter(|request| request.status == 422).count());
    println!();
    for (what, figure) in [
        ("deliveries sent", sent.len().to_string()),
        ("deliveries acknowledged", acknowledged.to_string()),
        (
            "entities in the PIM",
            pim.with(|pim| pim.catalogue.truth().entities().count()).to_string(),
        ),
        ("PIM calls", calls.to_string()),
        ("PIM limits broken", violations.to_string()),
        ("upserts", (method("PUT") + method("POST")).to_string()),
        ("refused by the schema", refused.to_string()),
        ("deletes", method("DELETE").to_string()),
        ("skipped as unchanged", sum("unchanged").to_string()),
        ("dead letters", sum("dead_letters").to_string()),
        ("acknowledgement, median", at(0.5)),
        ("acknowledgement, p99", at(0.99)),
    ] {
        println!("{what:<26}{figure:>12}");
    }
    println!();
}

/// The reports of all ticks, from the log of the worker that the schedule starts.
fn ticks(cli: &Cli) -> Vec<Value> {
    let log = std::fs::read_to_string(cli.state_dir.join("logs/schedule_stdout.txt")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["log"] == "tick").collect()
}

fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    if !std::io::stderr().is_terminal() {
        eprintln!("{what}");
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn bar(what: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<26}{bar:30} {pos}/{len} ({elapsed})")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total as u64).with_style(style).with_message(what);
    if !std::io::stderr().is_terminal() {
        eprintln!("{what}: 0/{total}");
    }
    bar
}

/// Moves the bar on; where there is no terminal, a line for every quarter.
fn advance(bar: &ProgressBar, position: usize) {
    let (position, total) = (position as u64, bar.length().unwrap_or(1).max(1));
    let quarter = |position: u64| position * 4 / total;
    if !std::io::stderr().is_terminal() && quarter(position) > quarter(bar.position()) {
        eprintln!("{}: {position}/{total}", bar.message());
    }
    bar.set_position(position);
}
