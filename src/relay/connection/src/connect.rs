//! All of it: show what is there and what would be done, connect, resume, remove, make a new secret.

use crate::found::{Subscriber, Subscription};
use crate::management::{Management, Trouble};
use crate::memory::Memory;
use crate::plan::{self, Step};
use crate::proof;
use crate::wanted::{Secrets, Wanted};
use akeneo::pim::Pim;
use config::answer::Answer;
use config::{Credentials, EVENT_PLATFORM_SECRET, IngestConfig, NOTIFICATION_SECRET, Variables, WorkerConfig};
use preflight::calls;
use preflight::check::{governor, take_lease};
use queue::lease::Lease;
use serde_json::{Value, json};
use world::host::{Host, StoreError};

/// How long one call may take, in milliseconds.
const CALL_MS: u64 = 10_000;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// What is there, and what connecting would do.
    Show,
    /// What is wanted, at Akeneo.
    Connect,
    /// A suspended subscription, again.
    Resume,
    /// Nothing, at Akeneo.
    Remove,
    /// A new secret, to be set as a variable. It is kept nowhere.
    Secret,
}

impl Asked {
    /// What it is called in the journal; none where nothing is changed.
    pub fn changes(&self) -> Option<&'static str> {
        match self {
            Asked::Show | Asked::Secret => None,
            Asked::Connect => Some("connect to the Event Platform"),
            Asked::Resume => Some("resume the subscription"),
            Asked::Remove => Some("remove the subscription"),
        }
    }
}

/// Reads what is asked for: `do`, and for connecting the address of people, `email`.
///
/// # Errors
/// What is wrong with it.
pub fn read(body: &[u8]) -> Result<(Asked, Option<String>), String> {
    let document: Value = match body.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?,
    };
    let known = |name: &String| ["do", "email"].contains(&name.as_str());
    if let Some(unknown) = document
        .as_object()
        .and_then(|members| members.keys().find(|name| !known(name)))
    {
        return Err(format!("`{unknown}` is not understood: `do` and `email` are"));
    }
    let asked = match document.get("do").map(|asked| asked.as_str().unwrap_or_default()) {
        None | Some("show") => Asked::Show,
        Some("connect") => Asked::Connect,
        Some("resume") => Asked::Resume,
        Some("remove") => Asked::Remove,
        Some("secret") => Asked::Secret,
        Some(_) => return Err("`do` must be `show`, `connect`, `resume`, `remove` or `secret`".to_owned()),
    };
    let email = document.get("email").and_then(Value::as_str).map(str::to_owned);
    Ok((asked, email))
}

/// Does what is asked for; waits up to `wait_ms` milliseconds for the lease, under which the PIM is asked for a token.
pub async fn carry_out<H: Host>(
    host: &H,
    variables: &Variables<'_>,
    (asked, email): (Asked, Option<String>),
    wait_ms: u64,
) -> Answer {
    if asked == Asked::Secret {
        return Answer::json(200, &json!({ "secret": new_secret(host) }));
    }
    let result = match Setting::read(variables, email) {
        Ok(setting) => with_token(host, &setting, &asked, wait_ms).await,
        Err(remedy) => return Answer::problem(409, &remedy),
    };
    match result {
        Ok(document) => Answer::json(200, &document),
        Err(trouble) => Answer::problem(502, &format!("{}: {}", trouble.what, trouble.remedy)),
    }
}

/// 256 bits by chance, in hexadecimal digits.
fn new_secret(host: &impl world::host::Random) -> String {
    let halves = [host.bytes(), host.bytes()].map(u128::from_be_bytes);
    halves.map(|half| format!("{half:032x}")).concat()
}

/// What the variables say of a connection.
struct Setting {
    config: WorkerConfig,
    /// The management API's origin.
    api: String,
    client_id: String,
    wanted: Wanted,
}

impl Setting {
    /// Reads the variables.
    ///
    /// # Errors
    /// What is missing, and how to set it.
    fn read(variables: &Variables<'_>, email: Option<String>) -> Result<Setting, String> {
        let config = WorkerConfig::read(variables).map_err(|error| error.0)?;
        let missing = |name: &str, what: &str| format!("variable `{name}` is not set: {what}");
        let api = variables.event_platform_url().map_err(|error| error.0)?;
        let api = api.ok_or_else(|| {
            missing(
                "event_platform_url",
                "give the management API's origin, https://event.prd.sdk.akeneo.cloud",
            )
        })?;
        let public = variables.public_url().map_err(|error| error.0)?;
        let public = public.ok_or_else(|| {
            missing(
                "public_url",
                "give the origin at which Akeneo comes to the relay, such as https://relay.example.com",
            )
        })?;
        let client_id = match &config.pim.credentials {
            Credentials::Connection { client_id, .. } => client_id.clone(),
            Credentials::App(_) => variables.client_id().map_err(|error| error.0)?.ok_or_else(|| {
                missing(
                    "pim_client_id",
                    "the management API wants the App's client id beside its token",
                )
            })?,
        };
        let ingest = IngestConfig::read(variables).map_err(|error| error.0)?;
        let secret = |name: &'static &'static str| ingest.secrets(std::slice::from_ref(name)).next().transpose();
        let secret = |name| secret(name).map_err(|error| error.0);
        let [present, previous] = EVENT_PLATFORM_SECRET else {
            return Err(String::new());
        };
        let [notification] = NOTIFICATION_SECRET else {
            return Err(String::new());
        };
        let secrets = Secrets {
            primary: secret(present)?.ok_or_else(|| {
                missing(
                    "event_platform_secret",
                    "have one made by {\"do\": \"secret\"}, set it, and restart",
                )
            })?,
            secondary: secret(previous)?,
            notification: secret(notification)?,
        };
        let wanted = Wanted::of(&config, &public, email, secrets);
        Ok(Setting {
            config,
            api,
            client_id,
            wanted,
        })
    }
}

fn of_store(error: StoreError) -> Trouble {
    Trouble {
        what: error.to_string(),
        remedy: "ask again once the store is well: what was done at Akeneo is found again".to_owned(),
    }
}

/// Asks the PIM for a token under the lease, and then works at Akeneo without it.
async fn with_token<H: Host>(host: &H, setting: &Setting, asked: &Asked, wait_ms: u64) -> Result<Value, Trouble> {
    let config = &setting.config;
    let lease = take_lease(host, &config.keys, wait_ms).await.ok_or_else(|| Trouble {
        what: "ticks were at work all the time, so the PIM was not asked for a token".to_owned(),
        remedy: "ask again, with ?wait_seconds= for longer".to_owned(),
    })?;
    let token = {
        let governor = governor(host, config, &lease, akeneo::pim::limits(CALL_MS));
        let pim = Pim::new(host, &governor, &config.keys, &config.pim, true);
        lease.while_working(host, &config.keys, pim.tokens.access()).await
    };
    // A lease that is not given back passes by itself.
    drop(lease.give_back(host, &config.keys).await);
    let token = token.map_err(|failure| Trouble {
        what: format!("the PIM gives no token: {}", failure.reason),
        remedy: "see the connection by `cargo xtask preflight`".to_owned(),
    })?;
    let alone = Lease::alone();
    let governor = governor(host, config, &alone, calls::limits("event platform", CALL_MS));
    for secret in [
        Some(&setting.wanted.secrets.primary),
        setting.wanted.secrets.secondary.as_ref(),
        setting.wanted.secrets.notification.as_ref(),
    ] {
        secret.into_iter().for_each(|secret| governor.keep_secret(secret));
    }
    let management = Management::new(&governor, &setting.api, &config.pim.origin, (&setting.client_id, token));
    let mut memory = Memory::load(host, &config.keys).await.map_err(of_store)?;
    let there = There::read(&management, &setting.wanted, &memory).await?;
    match asked {
        Asked::Connect => {
            let done = connect(host, setting, &management, &mut memory, there, &governor).await?;
            Ok(json!({ "done": done }))
        }
        Asked::Resume => resume(&management, &there).await,
        Asked::Remove => remove(host, setting, &management, there).await,
        Asked::Show | Asked::Secret => Ok(there.shown(&setting.wanted, &memory)),
    }
}

/// What is there of this relay's.
struct There {
    subscriber: Option<Subscriber>,
    subscription: Option<Subscription>,
}

impl There {
    async fn read<H: Host>(management: &Management<'_, H>, wanted: &Wanted, memory: &Memory) -> Result<There, Trouble> {
        let subscribers: Vec<Subscriber> = management
            .subscribers()
            .await?
            .iter()
            .filter_map(Subscriber::read)
            .collect();
        let Some(subscriber) = plan::own_subscriber(wanted, memory, &subscribers).cloned() else {
            return Ok(There {
                subscriber: None,
                subscription: None,
            });
        };
        let subscriptions = management.subscriptions(&subscriber.id).await?;
        let subscriptions: Vec<Subscription> = subscriptions.iter().filter_map(Subscription::read).collect();
        Ok(There {
            subscription: plan::own_subscription(wanted, memory, &subscriptions).cloned(),
            subscriber: Some(subscriber),
        })
    }

    fn steps(&self, wanted: &Wanted, memory: &Memory) -> Vec<Step> {
        let of_subscriber = plan::for_subscriber(wanted, memory, self.subscriber.as_ref());
        let of_subscription = plan::for_subscription(wanted, memory, self.subscription.as_ref());
        of_subscriber.into_iter().chain(of_subscription).collect()
    }

    fn shown(&self, wanted: &Wanted, memory: &Memory) -> Value {
        let steps = self.steps(wanted, memory);
        json!({
            "subscriber": self.subscriber.as_ref().map(|subscriber| json!({
                "id": subscriber.id, "name": subscriber.name, "status": subscriber.status,
                "email": subscriber.email, "notifications": subscriber.notification_url,
            })),
            "subscription": self.subscription.as_ref().map(|subscription| json!({
                "id": subscription.id, "status": subscription.status, "url": subscription.url,
                "events": subscription.events,
            })),
            "would": steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

/// Carries the steps out, the subscriber's first. What is sent is remembered after each, so that whoever is killed between
/// two sends no more than one again.
async fn connect<H: Host>(
    host: &H,
    setting: &Setting,
    management: &Management<'_, H>,
    memory: &mut Memory,
    there: There,
    governor: &upstream::governor::Governor<'_, H>,
) -> Result<Vec<String>, Trouble> {
    let (wanted, keys) = (&setting.wanted, &setting.config.keys);
    let steps = there.steps(wanted, memory);
    if !steps.is_empty() {
        proof::prove(governor, wanted).await?;
    }
    let (mut subscriber, subscription) = (there.subscriber, there.subscription);
    for step in &steps {
        let id_of =
            |subscriber: &Option<Subscriber>| subscriber.as_ref().map(|known| known.id.clone()).unwrap_or_default();
        match step {
            Step::MakeSubscriber | Step::ChangeSubscriber(_) => {
                let email = subscriber.as_ref().and_then(|known| known.email.clone());
                if wanted.email.is_none() && email.is_none() {
                    return Err(Trouble {
                        what: "Akeneo wants an address of people to write to".to_owned(),
                        remedy: "give it once, as `email`".to_owned(),
                    });
                }
                let body = wanted.subscriber(email.as_deref());
                let said = match &subscriber {
                    None => management.make_subscriber(&body).await?,
                    Some(known) => management.change_subscriber(&known.id, &body).await?,
                };
                subscriber = Subscriber::read(&said).or(subscriber);
                memory.notification = wanted.mark_of_notification();
            }
            Step::MakeSubscription => {
                let said = management
                    .make_subscription(&id_of(&subscriber), &wanted.subscription())
                    .await?;
                memory.subscription = Subscription::read(&said).map(|made| made.id).unwrap_or_default();
                memory.secrets = wanted.mark_of_secrets();
            }
            Step::ChangeSubscription(_) => {
                let id = subscription.as_ref().map(|known| known.id.clone()).unwrap_or_default();
                management
                    .change_subscription(&id_of(&subscriber), &id, &wanted.subscription())
                    .await?;
                (memory.subscription, memory.secrets) = (id, wanted.mark_of_secrets());
            }
        }
        memory.subscriber = id_of(&subscriber);
        memory.save(host, keys).await.map_err(of_store)?;
    }
    Ok(steps.iter().map(ToString::to_string).collect())
}

async fn resume<H: Host>(management: &Management<'_, H>, there: &There) -> Result<Value, Trouble> {
    match (&there.subscriber, &there.subscription) {
        (Some(subscriber), Some(subscription)) if subscription.status == "suspended" => {
            management.resume(&subscriber.id, &subscription.id).await?;
            Ok(json!({ "done": ["resume the subscription"] }))
        }
        _ => Ok(json!({ "done": [] })),
    }
}

/// Deletes the subscription, and the subscriber if it has no other. The relay has to go on answering for a while: Akeneo
/// takes some minutes.
async fn remove<H: Host>(
    host: &H,
    setting: &Setting,
    management: &Management<'_, H>,
    there: There,
) -> Result<Value, Trouble> {
    let mut done = Vec::new();
    if let (Some(subscriber), Some(subscription)) = (&there.subscriber, &there.subscription) {
        management.delete_subscription(&subscriber.id, &subscription.id).await?;
        done.push("delete the subscription");
    }
    if let Some(subscriber) = &there.subscriber {
        let others = management.subscriptions(&subscriber.id).await?;
        if !others.iter().filter_map(Subscription::read).any(|other| other.lives()) {
            management.delete_subscriber(&subscriber.id).await?;
            done.push("delete the subscriber");
        }
    }
    let forgotten = host.delete(&setting.config.keys.connection()).await;
    forgotten.map_err(of_store)?;
    Ok(json!({ "done": done }))
}
