//! `simulator compare`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::catalogue::EntityId;
use simulator::compare::{Comparison, Mapping};
use simulator::control::command;
use simulator::destination::Stored;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Origin of the simulated PIM.
    #[arg(long, default_value = "http://127.0.0.1:8081")]
    pim: String,
    /// Origin of the simulated destination.
    #[arg(long, default_value = "http://127.0.0.1:8082")]
    destination: String,
    /// Path at the destination below which the entities are.
    #[arg(long, default_value = "")]
    destination_path: String,
    /// Path segment of products.
    #[arg(long, default_value_t = Mapping::default().products)]
    products_segment: String,
    /// Path segment of product models.
    #[arg(long, default_value_t = Mapping::default().models)]
    models_segment: String,
    /// Print at most this many differences.
    #[arg(long, default_value_t = 20)]
    most: usize,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(flatten)]
    id: EntityId,
    body: Value,
}

impl Options {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let mut held: Vec<(String, String)> = Vec::new();
        loop {
            let after = held.last().map(|(path, _)| path);
            let page = json!({ "after": after });
            let page = command(&self.destination, Method::POST, "state", &page).await?;
            let page: Vec<(String, Stored)> = serde_json::from_value(page)?;
            if page.is_empty() {
                break;
            }
            held.extend(page.into_iter().map(|(path, stored)| (path, stored.json)));
        }
        let prefix = self.destination_path.trim_end_matches('/').to_owned();
        let mapping = Mapping {
            prefix,
            products: self.products_segment,
            models: self.models_segment,
            categories: None,
        };
        let mut comparison = Comparison::new(held.into_iter(), mapping);
        let (mut count, mut last) = (0, None);
        loop {
            let page = command(&self.pim, Method::POST, "entities", &json!({ "after": last })).await?;
            let page: Vec<Shown> = serde_json::from_value(page)?;
            let Some(end) = page.last() else { break };
            last = Some(end.id.clone());
            count += page.len();
            page.into_iter()
                .for_each(|shown| comparison.entity(&shown.id, shown.body));
        }
        let found = comparison.finish();
        for difference in found.iter().take(self.most) {
            println!("{difference}");
        }
        println!("{count} entities in the PIM, {} differences", found.len());
        Ok(if found.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
