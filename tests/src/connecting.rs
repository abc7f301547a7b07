//! Has a running application show, make, move or remove its subscription at Akeneo. `cargo xtask connect` builds and calls
//! this.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tests::administration::ask;
use tests::ending;

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
    /// Show what Akeneo has logged of the subscription
    #[arg(long)]
    logs: bool,
    /// The filter that the subscription gets; empty for none
    #[arg(long)]
    filter: Option<String>,
    /// Change secrets although deliveries may be refused meanwhile
    #[arg(long)]
    force: bool,
    /// Write a new secret to this file
    #[arg(long)]
    new_secret: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    ending::of(run(Cli::parse()).await.map(|()| ExitCode::SUCCESS))
}

async fn run(cli: Cli) -> Result<()> {
    if let Some(file) = &cli.new_secret {
        let made = ask_of(&cli, &json!({ "do": "secret" })).await?;
        return keep(file, made["secret"].as_str().context("no secret came")?);
    }
    if cli.logs {
        let logged = ask_of(&cli, &json!({ "do": "logs" })).await?;
        println!("{:#}", logged["logs"]);
        return Ok(());
    }
    let of_people = |mut body: Value| {
        for (name, value) in [("email", &cli.email), ("filter", &cli.filter)] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        body
    };
    let shown = ask_of(&cli, &of_people(json!({ "do": "show" }))).await?;
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
    let done = ask_of(&cli, &body).await?;
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

async fn ask_of(cli: &Cli, body: &Value) -> Result<Value> {
    let path = format!("/admin/connect?wait_seconds={}", cli.wait);
    let shown = "asking the relay, which asks the PIM and Akeneo";
    ask(&cli.url, &path, &body.to_string(), shown).await
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
