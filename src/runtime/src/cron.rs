//! The cron trigger: calls components on their schedules.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use chrono::{DateTime, Timelike, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use crate::application::{Application, Component};
use crate::bindings::fermyon::spin_cron::cron_types::{Error, Metadata};
use crate::manifest::CronTrigger;

/// When which component is called.
#[derive(Debug)]
pub struct Schedule {
    /// The component's id.
    pub component: String,
    times: Cron,
}

impl Schedule {
    /// Reads a trigger's expression: six fields, seconds first, in UTC.
    ///
    /// # Errors
    /// When it is no such expression.
    pub fn new(trigger: &CronTrigger) -> Result<Self> {
        let expression = &trigger.cron_expression;
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .dom_and_dow(true)
            .build();
        let times = parser.parse(expression).with_context(|| {
            format!(
                "the cron expression {expression:?} of {:?}: six fields are needed, seconds first",
                trigger.component
            )
        })?;
        Ok(Self {
            component: trigger.component.clone(),
            times,
        })
    }

    /// The first time after another.
    ///
    /// # Errors
    /// When there is none.
    pub fn next(&self, after: DateTime<Utc>) -> Result<DateTime<Utc>> {
        // The library carries fractions of a second over.
        let after = after.with_nanosecond(0).unwrap_or(after);
        Ok(self.times.find_next_occurrence(&after, false)?)
    }
}

/// Starts all schedules of an application. A call that is late or still running does not hold up the next one, and
/// one whose time has passed is not made up for.
pub fn start(application: &Arc<Application>) {
    for index in 0..application.schedules.len() {
        let application = Arc::clone(application);
        tokio::spawn(async move {
            let schedule = &application.schedules[index];
            if let Err(error) = run(&application, schedule).await {
                eprintln!("{}: its schedule ended: {error:#}", schedule.component);
            }
        });
    }
}

async fn run(application: &Application, schedule: &Schedule) -> Result<()> {
    let component = application
        .component(&schedule.component)
        .context("a schedule without its component")?;
    let mut last = Utc::now();
    loop {
        let due = schedule.next(last.max(Utc::now()))?;
        // Timers may be early by their resolution.
        while let Ok(left) = (due - Utc::now()).to_std() {
            tokio::time::sleep(left).await;
        }
        last = due;
        let component = Arc::clone(component);
        tokio::spawn(async move {
            if let Err(error) = call(&component, Utc::now()).await {
                eprintln!("{}: error in the cron handler: {error:#}", component.id());
            }
        });
    }
}

/// Calls a component's cron handler in a fresh instance.
///
/// # Errors
/// When it has none, traps, or returns an error.
pub async fn call(component: &Component, now: DateTime<Utc>) -> Result<()> {
    let pre = component
        .scheduled
        .as_ref()
        .context("the component has no cron handler")?;
    let mut store = component.instance_store();
    let scheduled = pre.instantiate_async(&mut store).await?;
    let metadata = Metadata {
        timestamp: u64::try_from(now.timestamp()).unwrap_or_default(),
    };
    match scheduled.call_handle_cron_event(&mut store, metadata).await? {
        Ok(()) => Ok(()),
        Err(Error::Other(text)) => Err(anyhow!(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(expression: &str) -> Result<Schedule> {
        Schedule::new(&CronTrigger {
            component: "worker".to_owned(),
            cron_expression: expression.to_owned(),
        })
    }

    #[test]
    fn the_next_time_is_after_the_last_one() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect(text);
        let schedule = schedule("*/10 * * * * *").expect("a schedule");
        assert_eq!(
            schedule.next(at("2026-01-01T00:00:00Z")).expect("more"),
            at("2026-01-01T00:00:10Z")
        );
        assert_eq!(
            schedule.next(at("2026-01-01T00:00:51.5Z")).expect("more"),
            at("2026-01-01T00:01:00Z")
        );
    }

    #[test]
    fn seconds_are_required() {
        let error = schedule("* * * * *").expect_err("five fields");
        assert!(format!("{error:#}").contains("six fields"), "{error:#}");
    }
}
