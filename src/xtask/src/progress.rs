//! What is shown while somebody waits: a bar on a terminal, a few plain lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How far apart the plain lines of a long step are, in percent.
const PLAIN_EVERY_PERCENT: u64 = 25;

/// One step that takes a while. Dropped without [`Step::end`] it has failed, and the error says the rest.
pub(crate) struct Step {
    what: String,
    started: Instant,
    bar: ProgressBar,
    /// The last percentage told in a plain line.
    told_percent: u64,
}

impl Step {
    /// Starts with a spinner: how much there is to do is not known before the first [`Step::percent`].
    pub(crate) fn begin(what: impl Into<String>) -> Self {
        let what = what.into();
        let bar = ProgressBar::new(100)
            .with_style(style("{spinner} {msg} ({elapsed})"))
            .with_message(what.clone());
        if bar.is_hidden() {
            eprintln!("{what} ...");
        } else {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self {
            what,
            started: Instant::now(),
            bar,
            told_percent: 0,
        }
    }

    /// Shows how much of the step is done.
    pub(crate) fn percent(&mut self, percent: u64) {
        if self.bar.is_hidden() {
            if percent < 100 && percent >= self.told_percent + PLAIN_EVERY_PERCENT {
                eprintln!("{}: {percent}%", self.what);
                self.told_percent = percent;
            }
        } else {
            if self.bar.position() == 0 && percent > 0 {
                self.bar.set_style(style("{spinner} {msg} [{bar:30}] {percent:>3}%"));
            }
            self.bar.set_position(percent.min(100));
        }
    }

    /// Ends the step with a line that says how long it took.
    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
        eprintln!(
            "{}: done in {:.0} s",
            self.what,
            self.started.elapsed().as_secs_f64().ceil()
        );
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one costs the looks only.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
