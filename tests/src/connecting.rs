//! Has a running application show, make, move or remove its subscription at Akeneo. `cargo xtask connect` builds and calls
//! this.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use http::Method;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::client::{bearer, request};

/// Shows or changes the subscription of a running application
#[derive(Parser)]
struct Cli {
    /// The application's origin
    #[arg(long)]
    url: String,
    /// How long a tick under way is waited for, in seconds
    #[arg(long)]
    wait: u64,
    /// Where Akeneo writes to people
    #[arg(long)]
    email: Option<String>,
    /// Do what is shown
    #[arg(long)]
    yes: bool,
    /// Resume a suspended subscription
    #[arg(long)]
    resume: bool,
    /// Delete the subscription, for good
    #[arg(long)]
    remove: bool,
    /// Change secrets although deliveries may be refused meanwhile
    #[arg(long)]
    force: bool,
    /// Write a new secret to this file
    #[arg(long)]
    new_secret: Option<PathBuf>,
}

/// The variable that has the administration's token.
const TOKEN: &str = "SPIN_VARIABLE_ADMIN_TOKEN";

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let token = std::env::var(TOKEN).with_context(|| format!("set {TOKEN} to the administration's token"))?;
    if let Some(file) = &cli.new_secret {
        let made = ask(&cli, &token, &json!({ "do": "secret" })).await?;
        return keep(file, made["secret"].as_str().context("no secret came")?);
    }
    let of_people = |mut body: Value| {
        if let Some(email) = &cli.email {
            body["email"] = json!(email);
        }
        body
    };
    let shown = ask(&cli, &token, &of_people(json!({ "do": "show" }))).await?;
    println!("{shown:#}");
    let is_idle = shown["would"].as_array().is_none_or(Vec::is_empty);
    let is_well = shown["subscription"]["status"] == "active";
    if is_idle && !cli.resume && !cli.remove {
        ensure!(is_well, "nothing can be done by connecting: see the warnings");
        println!("nothing is to be done");
        return Ok(());
    }
    if !cli.yes {
        println!("nothing was done: run this again with --yes");
        return Ok(());
    }
    let what = match (cli.resume, cli.remove) {
        (true, _) => "resume",
        (_, true) => "remove",
        _ => "connect",
    };
    let mut body = of_people(json!({ "do": what }));
    if cli.force {
        body["force"] = json!(true);
    }
    let done = ask(&cli, &token, &body).await?;
    let done = done["done"].as_array().cloned().unwrap_or_default();
    for step in &done {
        println!("done: {}", step.as_str().unwrap_or_default());
    }
    if done.is_empty() {
        println!("nothing was to be done");
        return Ok(());
    }
    println!("Akeneo takes some minutes to act on it");
    Ok(())
}

async fn ask(cli: &Cli, token: &str, body: &Value) -> Result<Value> {
    let origin = cli.url.trim_end_matches('/');
    ensure!(
        origin.starts_with("http://"),
        "only http:// is spoken here: for an address with TLS use curl -X POST -H 'Authorization: Bearer ...' -d '{body}' {origin}/admin/connect"
    );
    let progress = ProgressBar::new_spinner().with_message("asking the relay, which asks the PIM and Akeneo");
    progress.enable_steady_tick(Duration::from_millis(100));
    let url = format!("{origin}/admin/connect?wait_seconds={}", cli.wait);
    let answer = request(Method::POST, &url, &[bearer(token.trim())], body.to_string()).await;
    progress.finish_and_clear();
    let answer = answer.with_context(|| format!("nobody answers at {origin}: is the application running?"))?;
    match answer.status.as_u16() {
        200 => Ok(answer.json()),
        status => bail!(
            "it answers {status}: {}",
            answer.json()["detail"].as_str().unwrap_or("no more is said")
        ),
    }
}

/// Writes a secret to a new file that nobody else may read.
fn keep(file: &Path, secret: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut to = options
        .open(file)
        .with_context(|| format!("cannot make {}", file.display()))?;
    to.write_all(secret.as_bytes())?;
    println!(
        "a new secret is in {}: set event_platform_secret to it (and event_platform_secret_previous to the old one) or notification_secret, restart, and connect",
        file.display()
    );
    Ok(())
}
