//! What was measured, as a table, as JSON, and beside an earlier run.

use crate::args::Host;
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a figure counts.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// A time, in milliseconds.
    Ms,
    /// A time, in seconds.
    S,
    /// So many.
    Count,
    /// So many a second.
    PerSecond,
    /// A share, in percent.
    Percent,
    /// Memory, in megabytes.
    Mb,
}

impl Unit {
    /// Its name in JSON.
    fn name(self) -> &'static str {
        match self {
            Unit::Ms => "ms",
            Unit::S => "s",
            Unit::Count => "",
            Unit::PerSecond => "1/s",
            Unit::Percent => "%",
            Unit::Mb => "MB",
        }
    }

    fn shown(self, figure: f64) -> String {
        match self {
            Unit::Ms => format!("{figure:.3} ms"),
            Unit::S => format!("{figure:.1} s"),
            Unit::Count => format!("{figure:.2}"),
            Unit::PerSecond => format!("{figure:.0} /s"),
            Unit::Percent => format!("{figure:.2} %"),
            Unit::Mb => format!("{figure:.0} MB"),
        }
    }
}

/// The table. Each row has two figures: what was measured, and what it is measured by.
pub(crate) struct Table {
    rows: Vec<Value>,
    json: Option<PathBuf>,
    earlier: Option<Vec<Value>>,
}

impl Table {
    /// Begins it, and prints its head.
    pub(crate) fn begin(json: Option<PathBuf>, compare: Option<&Path>) -> Result<Table> {
        let earlier = compare.map(earlier).transpose()?;
        let beside = if earlier.is_some() { "to earlier" } else { "" };
        println!(
            "{:<80} {:>12} {:>12} {:>7} {beside}",
            "", "the first", "the second", "ratio"
        );
        Ok(Table {
            rows: Vec::new(),
            json,
            earlier,
        })
    }

    /// Adds a row and prints it: the first by the second, and by the first of an earlier run.
    pub(crate) fn tell(&mut self, what: &str, on: Option<Host>, unit: Unit, pair: (f64, f64)) -> Result<()> {
        let (first, second) = pair;
        let ratio = first / second.max(f64::EPSILON);
        let on = on.map(Host::name);
        let shown = match on {
            Some(host) => format!("{host}: {what}"),
            None => what.to_owned(),
        };
        let row = json!({
            "what": what, "on": on, "unit": unit.name(), "first": first, "second": second, "ratio": ratio
        });
        let (one, other) = (unit.shown(first), unit.shown(second));
        println!("{shown:<80} {one:>12} {other:>12} {ratio:>7.2} {}", self.beside(&row));
        self.rows.push(row);
        match &self.json {
            None => Ok(()),
            Some(file) => std::fs::write(file, format!("{:#}\n", json!({ "rows": self.rows })))
                .with_context(|| format!("cannot write {}", file.display())),
        }
    }

    /// Adds a row of two times.
    pub(crate) fn tell_times(&mut self, what: &str, on: Option<Host>, this: Duration, that: Duration) -> Result<()> {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        self.tell(what, on, Unit::Ms, (ms(this), ms(that)))
    }

    /// The ratio of a row to the same one of an earlier run; nothing without one.
    fn beside(&self, row: &Value) -> String {
        let Some(earlier) = &self.earlier else {
            return String::new();
        };
        let same = earlier
            .iter()
            .find(|it| it["what"] == row["what"] && it["on"] == row["on"]);
        let figures = same.and_then(|it| Some((row["first"].as_f64()?, it["first"].as_f64()?)));
        match figures {
            Some((now, then)) if then > 0.0 => format!("{:>10.2}", now / then),
            _ => format!("{:>10}", "-"),
        }
    }
}

fn earlier(file: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let read: Value = serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    let rows = read["rows"].as_array();
    rows.cloned()
        .with_context(|| format!("{} is not what --json writes", file.display()))
}

/// Shows that something goes on whose length is not known.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// Shows how much of something is done.
pub(crate) fn bar(what: &str, length: u64) -> ProgressBar {
    // The template is a constant; a wrong one costs the looks only.
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}");
    ProgressBar::new(length)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what.to_owned())
}
