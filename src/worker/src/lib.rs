//! The component that works: one tick, by the cron trigger or by authenticated HTTP. What it decides is in `relay`.

use host::{Console, SpinHost, VARIABLES};
use relay::answer::{Answer, authorize_tick};
use relay::config::{AdminConfig, WorkerConfig};
use relay::host::StoreError;
use relay::{Report, worker};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

/// The export of the cron trigger, in the form that every version of its plugin runs.
mod cron {
    wit_bindgen::generate!({ path: "wit", world: "spin-cron" });
    export!(Worker);

    struct Worker;

    impl Guest for Worker {
        fn handle_cron_event(_: Metadata) -> Result<(), Error> {
            let tick = async { super::tick().await.map(|_| ()) };
            // The tick's own line has told everything that went wrong inside it.
            host::run(tick).map_err(|error| Error::Other(super::without_store(&error)))
        }
    }
}

async fn tick() -> Result<Report, StoreError> {
    let config = match WorkerConfig::read(&VARIABLES) {
        Ok(config) => config,
        Err(error) => return Ok(worker::misconfigured(&Console, &error)),
    };
    let host = SpinHost::open()?;
    Ok(worker::tick(&host, &config).await)
}

fn without_store(error: &StoreError) -> String {
    format!("the tick cannot begin: {error}")
}

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let head = host::head(&request);
    drop(request);
    let answer = match authorize_tick(&AdminConfig::read(&VARIABLES), &head.method, &head.query, &head.headers) {
        Err(refusal) => refusal,
        Ok(()) => match host::eager(tick()).await {
            Ok(report) => Answer::json(report.status(), &worker::answer(&report)),
            Err(error) => Answer::problem(503, &without_store(&error)),
        },
    };
    host::respond(out, answer).await;
}
