//! What a person asks the worker to do: the console leaves a key, a tick that holds the lease carries it out.
//!
//! A command waits until it was carried out, the oldest first. A value in a format that is not known is no command.

use crate::pair::Pair;
use queue::key::Key;
use queue::keyspace::Keyspace;
use queue::raise;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use world::host::{self, Clock, Random, Store, StoreError};
use world::record;

/// The commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Command {
    /// The index counts from now on as built for the configured PIM, destination and shape.
    Adopt {
        /// Whether what the index holds is forgotten, since the new destination has nothing of it.
        empty_index: bool,
        /// The pair that the person saw to be configured, and means: no other one is adopted. Commands of older
        /// versions do not say it, and are refused.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        configured: Option<Pair>,
    },
    /// Deletions that the brake holds back are let through, for an hour.
    ReleaseBrake,
    /// Waits that upstreams asked for end now, and so do rates that they lowered: a person knows better.
    EndWaits,
    /// Nothing is pushed, deleted or read until pushing is resumed; deliveries are taken all the same.
    Pause,
    /// Pushing goes on.
    Resume,
    /// Reconciliation begins now.
    Reconcile {
        /// What it reads.
        scan: ScanKind,
        /// From this moment on, in seconds since the Unix epoch; recent changes only.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        since_s: Option<u64>,
        /// Whether everything is pushed, changed or not; the whole catalogue only.
        #[serde(default)]
        force: bool,
    },
}

/// What reconciliation can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScanKind {
    /// What was updated lately.
    Recent,
    /// The whole catalogue.
    Full,
}

/// The format that a command is kept in.
const VERSION: u64 = 1;

/// What is kept of a command: itself, with the version of the format.
fn kept(command: &Command) -> Value {
    let mut kept = json!(command);
    kept["v"] = VERSION.into();
    kept
}

/// Reads a command; none in a format that is not known.
pub fn read(value: &[u8]) -> Option<Command> {
    let kept: Value = host::decoded(value)?;
    record::read(&kept).filter(|_| kept["v"] == VERSION)
}

/// Leaves a command for the worker, behind those that are there already.
pub async fn leave<H: Store + Clock + Random>(host: &H, keys: &Keyspace, command: &Command) -> Result<(), StoreError> {
    let key = keys.encode(&Key::Command(host.now_ms() / 1000, raise::fresh_id(host)));
    host::write(host, &key, &kept(command)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_back_and_others_do_not() {
        let pair = Pair {
            v: 1,
            pim: "https://pim.example".to_owned(),
            destination: "https://shop.example/v2".to_owned(),
            shape: "identity".to_owned(),
        };
        let adopt = |configured| Command::Adopt {
            empty_index: true,
            configured,
        };
        for command in [adopt(Some(pair)), adopt(None), Command::ReleaseBrake] {
            let value = kept(&command).to_string();
            assert_eq!(read(value.as_bytes()), Some(command), "{value}");
        }
        assert_eq!(read(br#"{"v":1,"do":"adopt","empty_index":true}"#), Some(adopt(None)));
        let command = Command::Reconcile {
            scan: ScanKind::Recent,
            since_s: Some((1 << 53) + 1),
            force: true,
        };
        let value = kept(&command).to_string();
        assert_eq!(read(value.as_bytes()), Some(command), "{value}");
        for foreign in [
            "",
            r#"{"v":2,"do":"release-brake"}"#,
            r#"{"v":1,"do":"sing"}"#,
            r#"{"v":1,"do":"adopt"}"#,
        ] {
            assert_eq!(read(foreign.as_bytes()), None, "{foreign}");
        }
    }
}
