//! The component that works: one tick, by the cron trigger or by authenticated HTTP. What it decides is in the room
//! `tick`, and the rooms below it.

use config::access::{AdminConfig, authorize_tick};
use config::answer::{Answer, watch_s};
use config::{Telling, WorkerConfig};
use host::{Console, Head, SpinHost, VARIABLES};
use people::admin::guess;
use records::report::Report;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use tick::standstill;
use tick::worker;
use world::host::StoreError;

/// The export of the cron trigger, in the form that every version of its plugin runs.
mod cron {
    wit_bindgen::generate!({ path: "wit", world: "spin-cron" });
    export!(Worker);

    struct Worker;

    impl Guest for Worker {
        fn handle_cron_event(_: Metadata) -> Result<(), Error> {
            let tick = async { super::tick(None).await.map(|_| ()) };
            // The tick's own line has told everything that went wrong inside it.
            host::run(tick).map_err(|error| Error::Other(super::without_store(&error)))
        }
    }
}

/// A tick that stays for so many seconds; for as long as is configured where none are given.
async fn tick(watch_s: Option<u64>) -> Result<Report, StoreError> {
    let error = match WorkerConfig::read(&VARIABLES) {
        Ok(config) => {
            let watch_s = watch_s.unwrap_or(config.watch_s);
            return Ok(worker::tick(&SpinHost::open()?, &WorkerConfig { watch_s, ..config }).await);
        }
        Err(error) => error,
    };
    let report = standstill::misconfigured(&Console, &error);
    if let Ok(telling) = Telling::read(&VARIABLES) {
        standstill::count_and_tell(&SpinHost::open()?, &telling, &error).await;
    }
    Ok(report)
}

fn without_store(error: &StoreError) -> String {
    format!("the tick cannot begin: {error}")
}

/// Lets a caller in, and says for how many seconds its tick stays.
fn authorize(head: &Head) -> Result<u64, Answer> {
    let config = AdminConfig::read(&VARIABLES).map_err(|error| Answer::misconfigured(&error))?;
    authorize_tick(&config, &head.method, &head.query, &head.headers)?;
    watch_s(&head.query)
}

async fn tell_guess(path: &str) {
    if let (Ok(host), Ok(telling)) = (SpinHost::open(), Telling::read(&VARIABLES)) {
        guess::tell(&host, &telling.keys, path).await;
    }
}

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let head = host::head(&request);
    drop(request);
    let answer = match authorize(&head) {
        Err(refusal) => {
            if guess::is_one(&refusal, &head.query, &head.headers) {
                host::eager(tell_guess(&head.path)).await;
            }
            refusal
        }
        Ok(watch_s) => match host::eager(tick(Some(watch_s))).await {
            Ok(report) => Answer::json(report.status(), &worker::answer(&report)),
            Err(error) => Answer::problem(503, &without_store(&error)),
        },
    };
    host::respond(out, answer).await;
}
