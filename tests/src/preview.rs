//! What a shape makes of entities, without sending anything. `cargo xtask shape` builds and calls this.

use akeneo::paging::List;
use akeneo::pim::{Pim, limits};
use anyhow::{Context, Result, bail};
use clap::Parser;
use config::{PimConfig, Variables, WorkerConfig};
use indicatif::ProgressBar;
use model::entity::Kind;
use model::failure::Failure;
use model::json;
use preview::request::{Shown, of_files, of_removal, of_upsert};
use queue::keyspace::Keyspace;
use queue::lease::Lease;
use serde_json::Value;
use shape::{Farewell, Lookups, Shape, Shaped};
use simulator::catalogue::Catalogue;
use simulator::server::PimServer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tests::ending;
use tests::native::Native;
use upstream::governor::{Deadlines, Governor};
use upstream::governor_state::GovernorState;
use world::log::LogLevel;

/// Shows what a shape makes of entities
#[derive(Parser)]
struct Cli {
    /// File of the shape
    #[arg(long)]
    shape: PathBuf,
    /// File of one entity
    entity: Option<PathBuf>,
    /// Sum up a whole catalogue
    #[arg(long)]
    catalogue: bool,
}

/// How long a catalogue may take, in milliseconds: a day.
const PATIENCE_MS: u64 = 86_400_000;

/// The longest that a call may take, in milliseconds.
const CALL_MS: u64 = 60_000;

#[tokio::main]
async fn main() -> ExitCode {
    ending::of(run(Cli::parse()).await.map(|()| ExitCode::SUCCESS))
}

async fn run(cli: Cli) -> Result<()> {
    let shape = read_shape(&cli.shape)?;
    match &cli.entity {
        Some(file) => {
            show(&shape, &document(&cli.shape)?, file)?;
            show_login(&shape);
            println!(
                "limits: when to come back is told by {}",
                shape.limits.told().join("; by ")
            );
            Ok(())
        }
        None => sum_up(&shape).await,
    }
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn read_shape(file: &Path) -> Result<Shape> {
    Shape::read(&read(file)?).map_err(|mistakes| {
        let told: Vec<String> = mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect();
        anyhow::anyhow!("{} makes no sense:{}", file.display(), told.concat())
    })
}

/// The document as it was written, which says what things are called in it.
fn document(file: &Path) -> Result<Value> {
    serde_json::from_str(&read(file)?).with_context(|| format!("{} is no JSON", file.display()))
}

/// How a token is had, with the names of the variables in place of what they hold.
fn show_login(shape: &Shape) {
    let Some(login) = &shape.login else { return };
    let request = login.request("LOGIN_ID", "LOGIN_SECRET");
    println!("login: POST {}\ncontent-type: {}", login.path, request.content_type);
    if request.is_basic {
        println!("authorization: Basic LOGIN_ID:LOGIN_SECRET");
    }
    println!("\n{}\n", String::from_utf8_lossy(&request.body));
}

/// One entity, without a PIM to look anything up in.
fn show(shape: &Shape, document: &Value, file: &Path) -> Result<()> {
    let entity = json::read(read(file)?.as_bytes()).with_context(|| format!("{} is no JSON", file.display()))?;
    let entity = entity.value;
    let (kind, code) = match (entity["uuid"].as_str(), entity["code"].as_str()) {
        (Some(uuid), _) => (Kind::Product, uuid),
        // Every model has a variant of a family.
        (None, Some(code)) if shape.kinds().contains(&Kind::Category) && entity["family_variant"].is_null() => {
            (Kind::Category, code)
        }
        (None, Some(code)) => (Kind::ProductModel, code),
        (None, None) => bail!(
            "{} is neither a product (it has a `uuid`) nor a product model or a category (a `code`)",
            file.display()
        ),
    };
    if !shape.needs(kind).is_empty() {
        eprintln!("Without a PIM nothing is looked up: codes stand for labels, and a category lies in itself alone");
    }
    match shape.apply(kind, code, &entity, &Lookups::default()) {
        Shaped::Wanted(upsert) => {
            show_files(&of_files(shape, &upsert.files));
            for request in of_upsert(shape, kind, &upsert, None) {
                show_request(&request)?;
            }
        }
        Shaped::Unwanted(refusal) => println!("not wanted: {}\n", refusal.name()),
        Shaped::Unsendable(why) => println!("cannot be sent: {why}\n"),
    }
    match shape.farewell(kind, code, Some("{identity}")) {
        Some(Farewell::Sent(removal)) => show_request(&of_removal(shape, (kind, document), &removal, None)),
        Some(Farewell::Silent) => {
            println!("delete: nothing is sent, it stays there\n");
            Ok(())
        }
        None => Ok(()),
    }
}

/// The files that go before an entity, and what every answer to one means.
fn show_files(files: &[Shown]) {
    for file in files {
        let code = file.file.as_deref().unwrap_or_default();
        println!("file: {} {} with the file {code}", file.method, file.path);
    }
    if let Some(file) = files.first() {
        show_head(file);
        println!();
        show_answers(file);
    }
}

/// A request of the shape, and what every answer to it means.
fn show_request(request: &Shown) -> Result<()> {
    println!("{}: {} {}", request.what, request.method, request.path);
    show_head(request);
    if let Some(body) = &request.body {
        println!("\n{}", json::unmarked(&serde_json::to_string_pretty(body)?));
    }
    println!();
    show_answers(request);
    Ok(())
}

fn show_head(request: &Shown) {
    let (name, token) = &request.authentication;
    println!("authentication: {name}: {token}");
    for (name, value) in &request.headers {
        println!("{name}: {value}");
    }
}

fn show_answers(request: &Shown) {
    for line in &request.answers {
        println!("  {line}");
    }
    println!();
}

/// A whole catalogue.
async fn sum_up(shape: &Shape) -> Result<()> {
    let variable = |name: &str| std::env::var(format!("SPIN_VARIABLE_{}", name.to_uppercase())).ok();
    let simulated;
    let config = if variable("pim_url").is_some() {
        WorkerConfig::read(&Variables(&|name| Ok(variable(name))))?.pim
    } else {
        eprintln!("SPIN_VARIABLE_PIM_URL is not set: a simulated PIM is read");
        let pim = simulator::pim::Pim::new(Catalogue::generate(1000, 100, 1), Default::default());
        simulated = PimServer::start(pim, "127.0.0.1:0".parse()?).await?;
        of_simulated(&simulated)?
    };
    let host = Native::default();
    let lease = Lease::alone();
    let deadlines = Deadlines {
        lease: &lease,
        begin_ms: PATIENCE_MS,
        end_ms: PATIENCE_MS,
    };
    let state = GovernorState::default();
    let governor = Governor::new(
        &host,
        limits(CALL_MS),
        LogLevel::Failures,
        "trackingid",
        deadlines,
        state,
        String::new(),
    );
    let mut pim = Pim::new(&host, &governor, &Keyspace::new("preview"), &config, true);
    pim.completenesses = shape.asks_completenesses();
    for kind in shape.kinds() {
        sum_up_kind(shape, &mut pim, *kind).await.map_err(told)?;
    }
    Ok(())
}

fn told(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("the PIM: {}", failure.reason)
}

fn of_simulated(server: &PimServer) -> Result<PimConfig> {
    let known = server.with(|pim| pim.config.clone());
    let variable = |name: &str| {
        Ok(Some(match name {
            "pim_url" => server.url(),
            "pim_client_id" => known.client_id.clone(),
            "pim_client_secret" => known.client_secret.clone(),
            "pim_username" => known.username.clone(),
            "pim_password" => known.password.clone(),
            _ => return Ok(None),
        }))
    };
    Ok(WorkerConfig::read(&Variables(&variable))?.pim)
}

async fn sum_up_kind(shape: &Shape, pim: &mut Pim<'_, Native>, kind: Kind) -> Result<(), Failure> {
    let mut lookups = Lookups::default();
    for (need, locales) in shape.needs(kind) {
        let elements = desk::lookups::elements(pim, &need, &locales).await?;
        lookups.lists.push((need, elements));
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut bytes, mut largest, mut cursor) = (0, 0, None);
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(100));
    loop {
        let page = pim.page_of(kind, List::All, cursor.as_deref()).await?;
        for item in &page.items {
            let code = item["uuid"].as_str().or(item["code"].as_str()).unwrap_or_default();
            let what = match shape.apply(kind, code, item, &lookups) {
                Shaped::Wanted(upsert) => {
                    let length = json::write(upsert.body()).len();
                    (bytes, largest) = (bytes + length, largest.max(length));
                    "sent".to_owned()
                }
                Shaped::Unwanted(refusal) => format!("not wanted: {}", refusal.name()),
                Shaped::Unsendable(why) => format!("cannot be sent: {why}"),
            };
            *counts.entry(what).or_default() += 1;
            progress.inc(1);
        }
        progress.set_message(format!("{}: {} read", kind.name(), progress.position()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    progress.finish_and_clear();
    println!("{}: {bytes} bytes to send, {largest} the largest", kind.name());
    for (what, count) in counts {
        println!("  {count:>8}  {what}");
    }
    Ok(())
}
