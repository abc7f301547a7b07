//! `simulator send`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::Change;
use simulator::control::command;
use simulator::deliveries::{Channel, Delivery, Format, Plan, Secrets, Sender, Sent};
use simulator::{payloads, times};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Origin of the receiver.
    #[arg(long)]
    to: String,
    /// Origin of the simulated PIM in which to make the edits.
    #[arg(long, default_value = "http://127.0.0.1:8081")]
    pim: String,
    /// How many random edits to make.
    #[arg(long, default_value_t = 10)]
    edits: u64,
    /// A file with a JSON list of edits to make instead, such as [{"product": "<uuid>", "action": "touch"}].
    ///
    /// An edit has a `product` (a UUID), a `product_model` or a `category` (a code), and an `action`: `touch`; `delete`;
    /// `create`, with `identifier`, `family`, `parent` and `categories` if wanted; `set_value`, with `attribute`, `data`, and
    /// its `locale` and `scope` if it has them; `enable` with `enabled`, `set_family` with `family`, `set_parent` with
    /// `parent`, or `set_categories` with `categories`. With `"silent": true` the PIM tells nobody.
    #[arg(long, conflicts_with = "edits")]
    edits_file: Option<PathBuf>,
    /// Deliver one body of every kind instead, without any edit.
    #[arg(long, conflicts_with_all = ["edits", "edits_file"])]
    samples: bool,
    /// Secret of the Event Platform; without it nothing is sent in its format.
    #[arg(long, env = "EVENT_PLATFORM_SECRET", hide_env_values = true)]
    event_platform_secret: Option<String>,
    /// Second secret of the Event Platform, during a rotation.
    #[arg(
        long,
        env = "EVENT_PLATFORM_SECRET_SECONDARY",
        hide_env_values = true,
        requires = "event_platform_secret"
    )]
    event_platform_secret_secondary: Option<String>,
    /// Secret of the legacy Events API; without it nothing is sent in its format.
    #[arg(long, env = "EVENTS_API_SECRET", hide_env_values = true)]
    events_api_secret: Option<String>,
    /// Secret of notifications, for --samples.
    #[arg(long, env = "NOTIFICATION_SECRET", hide_env_values = true)]
    notification_secret: Option<String>,
    /// Updates as `updated` rather than `updated.delta`.
    #[arg(long)]
    without_delta: bool,
    /// Share of deliveries sent twice, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    repeat_share: f64,
    /// Share of deliveries lost, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    lose_share: f64,
    /// How many places a delivery may come too late.
    #[arg(long, default_value_t = 0)]
    shuffle_window: usize,
    /// Events in a legacy delivery, 1 to 10.
    #[arg(long, default_value_t = 10)]
    batch_size: usize,
    /// Deliveries at the same time.
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// Decides the edits, losses, repeats and order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Options {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let deliveries = if self.samples {
            self.samples()?
        } else {
            self.edited().await?
        };
        let sent = Sender::new(&self.to).send_all(&deliveries, self.at_once).await;
        report(&sent);
        Ok(if sent.iter().all(Sent::delivered) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn secrets(&self) -> Option<Secrets> {
        let primary = self.event_platform_secret.clone()?;
        Some(Secrets {
            primary,
            secondary: self.event_platform_secret_secondary.clone(),
        })
    }

    async fn edited(&self) -> Result<Vec<Delivery>> {
        let format = match (self.secrets(), self.events_api_secret.clone()) {
            (Some(secrets), Some(secret)) => Format::Both(secrets, secret),
            (Some(secrets), None) => Format::EventPlatform(secrets),
            (None, Some(secret)) => Format::EventsApi(secret),
            (None, None) => bail!("give --event-platform-secret or --events-api-secret"),
        };
        let (name, body) = match &self.edits_file {
            None => ("edits/random", json!({ "count": self.edits, "seed": self.seed })),
            Some(file) => {
                let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
                (
                    "edits",
                    serde_json::from_slice::<Value>(&text).context("the file is not JSON")?,
                )
            }
        };
        let changes = command(&self.pim, Method::POST, name, &body).await?;
        let changes: Vec<Change> = serde_json::from_value(changes)?;
        println!("{} changes in the PIM", changes.len());
        let plan = Plan {
            delta: !self.without_delta,
            repeat_share: self.repeat_share,
            lose_share: self.lose_share,
            shuffle_window: self.shuffle_window,
            batch_size: self.batch_size,
            ..Plan::new(format, times::now_ms() / 1000, self.seed)
        };
        Ok(plan.deliveries(&changes))
    }

    // Those of the channels whose secret is given.
    fn samples(&self) -> Result<Vec<Delivery>> {
        let mut deliveries = Vec::new();
        for payload in payloads::all() {
            let secrets = match payload.channel {
                Channel::EventPlatform => self.secrets(),
                Channel::EventsApi => self.events_api_secret.as_deref().map(Secrets::primary),
                Channel::Notifications => self.notification_secret.as_deref().map(Secrets::primary),
            };
            deliveries.extend(secrets.map(|secrets| payload.sign(&secrets, times::now_ms() / 1000)));
        }
        if deliveries.is_empty() {
            bail!("give the secret of at least one channel");
        }
        Ok(deliveries)
    }
}

fn report(sent: &[Sent]) {
    let mut by_status: BTreeMap<String, usize> = BTreeMap::new();
    for each in sent {
        let status = each.status.as_ref().map_or_else(Clone::clone, u16::to_string);
        *by_status.entry(status).or_default() += 1;
    }
    for (status, count) in by_status {
        println!("{count:>7}  {status}");
    }
    let slowest = sent.iter().map(|each| each.latency).max().unwrap_or(Duration::ZERO);
    println!("{} deliveries, the slowest in {} ms", sent.len(), slowest.as_millis());
}
