//! All of it: show what is there and what would be done, connect, resume, remove, tell what is logged, make a new secret.

use crate::asked::{Asked, What};
use crate::filter;
use crate::found::{Subscriber, Subscription, address};
use crate::logs;
use crate::management::{Management, Trouble};
use crate::memory::Memory;
use crate::plan::{self, Step};
use crate::proof;
use crate::wanted::{Secrets, Wanted};
use akeneo::pim::Pim;
use config::answer::Answer;
use config::{Credentials, EVENT_PLATFORM_SECRET, IngestConfig, NOTIFICATION_SECRET, Variables, WorkerConfig};
use preflight::calls;
use preflight::check::governor;
use preflight::variables::is_open;
use queue::handover;
use queue::lease::Lease;
use serde_json::{Value, json};
use upstream::governor::Governor;
use world::host::{Host, StoreError};

/// How long one call may take, in milliseconds.
const CALL_MS: u64 = 10_000;

/// Does what is asked for; waits up to `wait_ms` milliseconds for the lease, under which the PIM is asked for a token.
pub async fn carry_out<H: Host>(host: &H, variables: &Variables<'_>, asked: Asked, wait_ms: u64) -> Answer {
    if asked.what == What::Secret {
        return Answer::json(200, &json!({ "secret": new_secret(host) }));
    }
    let result = match Setting::read(variables, &asked) {
        Ok(setting) => at_akeneo(host, &setting, &asked, wait_ms).await,
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
    fn read(variables: &Variables<'_>, asked: &Asked) -> Result<Setting, String> {
        let config = WorkerConfig::read(variables).map_err(|error| error.0)?;
        let missing = |name: &str, what: &str| format!("variable `{name}` is not set: {what}");
        let api = variables.event_platform_url().map_err(|error| error.0)?;
        let api = api.ok_or_else(|| {
            missing(
                "event_platform_url",
                "give the management API's origin, https://event.prd.sdk.akeneo.cloud",
            )
        })?;
        if is_open(&api) {
            return Err(
                "variable `event_platform_url` has no TLS, and secrets are sent there: give it as https://".to_owned(),
            );
        }
        let public = variables.public_url().map_err(|error| error.0)?;
        let public = public.ok_or_else(|| {
            missing(
                "public_url",
                "give the origin at which Akeneo comes to the relay, such as https://relay.example.com",
            )
        })?;
        if is_open(&public) {
            return Err(
                "variable `public_url` has no TLS, and Akeneo delivers to https alone: give it as https://".to_owned(),
            );
        }
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
        let [present, previous] = [&EVENT_PLATFORM_SECRET[0], &EVENT_PLATFORM_SECRET[1]];
        let secrets = Secrets {
            primary: secret(present)?.ok_or_else(|| {
                missing(
                    "event_platform_secret",
                    "have one made by {\"do\": \"secret\"}, set it, and restart",
                )
            })?,
            secondary: secret(previous)?,
            notification: secret(&NOTIFICATION_SECRET[0])?,
        };
        let mut wanted = Wanted::of(&config, &public, secrets);
        (wanted.email, wanted.filter) = (asked.email.clone(), asked.filter.clone());
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

/// Works at Akeneo under the lease, so that two that ask at once make nothing twice.
async fn at_akeneo<H: Host>(host: &H, setting: &Setting, asked: &Asked, wait_ms: u64) -> Result<Value, Trouble> {
    let keys = &setting.config.keys;
    let taken = handover::take(host, keys, wait_ms).await.ok().flatten();
    let lease = taken.ok_or_else(|| Trouble {
        what: "ticks were at work all the time, or the store fails, so nobody was asked".to_owned(),
        remedy: "ask again, with ?wait_seconds= for longer".to_owned(),
    })?;
    let work = under_lease(host, setting, asked, &lease);
    let result = lease.while_working(host, keys, work).await;
    // A lease that is not given back passes by itself.
    drop(lease.give_back(host, keys).await);
    result
}

async fn under_lease<H: Host>(host: &H, setting: &Setting, asked: &Asked, lease: &Lease) -> Result<Value, Trouble> {
    let config = &setting.config;
    let of_pim = governor(host, config, lease, akeneo::pim::limits(CALL_MS));
    let pim = Pim::new(host, &of_pim, &config.keys, &config.pim, true);
    let token = calls::fresh_token(host, &pim.tokens).await.map_err(|failure| Trouble {
        what: format!("the PIM gives no token: {}", failure.reason),
        remedy: "see the connection by `cargo xtask preflight`".to_owned(),
    })?;
    let of_akeneo = governor(host, config, lease, calls::limits("event platform", CALL_MS));
    let Secrets {
        primary,
        secondary,
        notification,
    } = &setting.wanted.secrets;
    for secret in [Some(primary), secondary.as_ref(), notification.as_ref()]
        .into_iter()
        .flatten()
    {
        of_akeneo.keep_secret(secret);
    }
    let client = (setting.client_id.as_str(), token);
    let management = Management::new(&of_akeneo, &setting.api, &config.pim.origin, client);
    let at = At {
        host,
        setting,
        management: &management,
        governor: &of_akeneo,
    };
    let memory = Memory::load(host, &config.keys).await.map_err(of_store)?;
    let there = There::read(&management, &setting.wanted, &memory).await?;
    match asked.what {
        What::Connect => at.connect(memory, there, asked).await,
        What::Resume => at.resume(&memory, &there).await,
        What::Remove => at.remove(&there).await,
        What::Logs => at.logs(&memory, &there).await,
        What::Show | What::Secret => Ok(there.shown(&setting.wanted, &memory)),
    }
}

/// What is there of this relay's.
struct There {
    subscriber: Option<Subscriber>,
    subscription: Option<Subscription>,
    /// What was made once and is no more, for people.
    ended: Vec<String>,
}

impl There {
    async fn read<H: Host>(management: &Management<'_, H>, wanted: &Wanted, memory: &Memory) -> Result<There, Trouble> {
        let mut found = Vec::new();
        let subscribers = management.subscribers().await?;
        for subscriber in subscribers.iter().filter_map(Subscriber::read) {
            if subscriber.status == "active" {
                let subscriptions = management.subscriptions(&subscriber.id).await?;
                found.push((
                    subscriber,
                    subscriptions.iter().filter_map(Subscription::read).collect(),
                ));
            }
        }
        let own = plan::own_subscriber(wanted, memory, &found);
        let mut there = There {
            subscriber: own.map(|(subscriber, _)| subscriber.clone()),
            subscription: own.and_then(|(_, of_it)| plan::own_subscription(wanted, memory, of_it).cloned()),
            ended: Vec::new(),
        };
        there.look_for_lost(management, wanted, memory).await?;
        Ok(there)
    }

    /// Asks by its id for what is remembered and in no list: that tells what was deleted from what was revoked, and no
    /// list that lags has anything made twice.
    async fn look_for_lost<H: Host>(
        &mut self,
        management: &Management<'_, H>,
        wanted: &Wanted,
        memory: &Memory,
    ) -> Result<(), Trouble> {
        let is_listed = |own: Option<&str>, id: &str| id.is_empty() || own == Some(id);
        if !is_listed(self.subscriber.as_ref().map(|own| own.id.as_str()), &memory.subscriber) {
            let said = management.subscriber(&memory.subscriber).await?;
            let lost = said.as_ref().and_then(Subscriber::read);
            match lost {
                Some(lives) if lives.status == "active" && lives.subject == address(&wanted.subject) => {
                    (self.subscriber, self.subscription) = (Some(lives), None);
                }
                lost => {
                    self.ended.push(ended("subscriber", lost.map(|lost| lost.status)));
                    return Ok(());
                }
            }
        }
        if !is_listed(
            self.subscription.as_ref().map(|own| own.id.as_str()),
            &memory.subscription,
        ) {
            let said = management
                .subscription(&memory.subscriber, &memory.subscription)
                .await?;
            match said.as_ref().and_then(Subscription::read) {
                Some(lives) if lives.lives() => self.subscription = Some(lives),
                lost => self.ended.push(ended("subscription", lost.map(|lost| lost.status))),
            }
        }
        Ok(())
    }

    fn steps(&self, wanted: &Wanted, memory: &Memory) -> Vec<Step> {
        let of_subscriber = plan::for_subscriber(wanted, memory, self.subscriber.as_ref());
        let of_subscription = plan::for_subscription(wanted, memory, self.subscription.as_ref());
        of_subscriber.into_iter().chain(of_subscription).collect()
    }

    /// What nobody but people can mend.
    fn warnings(&self, wanted: &Wanted) -> Vec<String> {
        let mut warnings = self.ended.clone();
        let filter = wanted.filter_over(self.subscription.as_ref());
        if let Some(filter) = filter.filter(|filter| !filter.is_empty()) {
            warnings.extend(filter::traps(filter, &wanted.events));
        }
        let Some(subscription) = &self.subscription else {
            return warnings;
        };
        if subscription.status != "active" {
            warnings.push(format!(
                "the subscription is {}, and what happens meanwhile is never sent: mend the reason, then resume it",
                subscription.status
            ));
        }
        if !subscription.headers.is_empty() {
            warnings.push(format!(
                "the subscription adds the headers {}: Akeneo tells no values, so set them anew after a change",
                subscription.headers.join(", ")
            ));
        }
        warnings
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
                "events": subscription.events, "filter": subscription.filter,
            })),
            "would": told(&steps),
            "warnings": self.warnings(wanted),
        })
    }
}

/// What was made once and is no more, by the status that Akeneo tells of it; none where it tells of nothing.
fn ended(what: &str, status: Option<String>) -> String {
    match status.as_deref() {
        Some("revoked") => format!(
            "the {what} that was made is revoked: its connection or App was removed or lost its permission, or it was resumed too often. See the connection in the PIM, then connect: another one is made or taken"
        ),
        None | Some("deleted") => {
            format!(
                "the {what} that was made is deleted, or is another connection's or PIM's: connecting makes or takes another one"
            )
        }
        Some(status) => format!("the {what} that was made is {status}: connecting makes or takes another one"),
    }
}

fn told(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

fn refused<T>(what: impl Into<String>, remedy: &str) -> Result<T, Trouble> {
    Err(Trouble {
        what: what.into(),
        remedy: remedy.to_owned(),
    })
}

/// What works at Akeneo works with this.
struct At<'a, H> {
    host: &'a H,
    setting: &'a Setting,
    management: &'a Management<'a, H>,
    governor: &'a Governor<'a, H>,
}

impl<H: Host> At<'_, H> {
    /// Carries the steps out, the subscriber's first. What is sent is remembered after each, so that whoever is killed
    /// between two sends no more than one again.
    async fn connect(&self, mut memory: Memory, there: There, asked: &Asked) -> Result<Value, Trouble> {
        let (wanted, keys) = (&self.setting.wanted, &self.setting.config.keys);
        let steps = there.steps(wanted, &memory);
        if asked.seen.as_ref().is_some_and(|seen| *seen != told(&steps)) {
            return refused(
                "what would be done is something else by now than what was shown",
                "look again, and ask again",
            );
        }
        let (mut subscriber, subscription) = (there.subscriber.clone(), &there.subscription);
        let known_email = subscriber.as_ref().and_then(|known| known.email.clone());
        if !steps.is_empty() && wanted.email.is_none() && known_email.is_none() {
            return refused(
                "Akeneo wants an address of people to write to",
                "give it once, as `email`",
            );
        }
        let now_s = self.host.now_ms() / 1000;
        let too_early = plan::too_early(wanted, &memory, now_s).filter(|_| subscription.is_some() && !asked.force);
        if let Some(why) = too_early {
            return refused(why, "or ask with `force`, if deliveries may be refused meanwhile");
        }
        if !steps.is_empty() {
            proof::prove(self.governor, wanted).await?;
        }
        let id_of = |known: &Option<Subscriber>| known.as_ref().map(|known| known.id.clone()).unwrap_or_default();
        for step in &steps {
            match step {
                Step::MakeSubscriber | Step::ChangeSubscriber(_) => {
                    let body = wanted.subscriber(known_email.as_deref());
                    let said = match &subscriber {
                        None => self.management.make_subscriber(&body).await?,
                        Some(known) => self.management.change_subscriber(&known.id, &body).await?,
                    };
                    subscriber = Subscriber::read(&said).or(subscriber);
                    memory.notification = wanted.mark_of_notification();
                }
                Step::MakeSubscription | Step::ChangeSubscription(_) => {
                    let (of, body) = (id_of(&subscriber), wanted.subscription(subscription.as_ref()));
                    let id = match subscription {
                        None => {
                            let said = self.management.make_subscription(&of, &body).await?;
                            Subscription::read(&said).map(|made| made.id).unwrap_or_default()
                        }
                        Some(known) => {
                            self.management.change_subscription(&of, &known.id, &body).await?;
                            known.id.clone()
                        }
                    };
                    memory.subscription = id;
                    (memory.primary, memory.secondary) = wanted.marks();
                    memory.sent_s = now_s;
                }
            }
            memory.subscriber = id_of(&subscriber);
            memory.save(self.host, keys).await.map_err(of_store)?;
        }
        Ok(json!({ "done": told(&steps), "warnings": there.warnings(wanted) }))
    }

    /// Resumes what is suspended, once the address takes what is signed: who resumes a broken one again and again is
    /// revoked.
    async fn resume(&self, memory: &Memory, there: &There) -> Result<Value, Trouble> {
        let wanted = &self.setting.wanted;
        let (Some(subscriber), Some(subscription)) = (&there.subscriber, &there.subscription) else {
            return Ok(json!({ "done": [] }));
        };
        if subscription.status != "suspended" {
            return Ok(json!({ "done": [] }));
        }
        let steps = there.steps(wanted, memory);
        if !steps.is_empty() {
            return refused(
                format!("first has to be done: {}", told(&steps).join("; ")),
                "connect, then resume",
            );
        }
        proof::prove(self.governor, wanted).await?;
        self.management.resume(&subscriber.id, &subscription.id).await?;
        Ok(json!({ "done": ["resume the subscription"] }))
    }

    /// What Akeneo has logged of this relay's subscription.
    async fn logs(&self, memory: &Memory, there: &There) -> Result<Value, Trouble> {
        let said = self.management.logs().await?;
        let Some(entries) = logs::entries(&said) else {
            return refused(
                "the management API's logs have no list where one was expected",
                "ask Akeneo's support for them: how they are read is not public",
            );
        };
        // What was revoked or deleted lives no more, and its logs are what people want to see.
        let subscribers = [there.subscriber.as_ref().map(|own| &own.id), Some(&memory.subscriber)];
        let subscriptions = [
            there.subscription.as_ref().map(|own| &own.id),
            Some(&memory.subscription),
        ];
        let own = entries
            .iter()
            .filter(|entry| logs::is_of(entry, &subscribers, &subscriptions));
        let cut = |text: &str| self.governor.excerpt(text.as_bytes(), 200);
        Ok(json!({ "logs": logs::told(own.collect(), cut) }))
    }

    /// Deletes the subscription, and the subscriber if it has no other. The relay has to go on answering for a while:
    /// Akeneo takes some minutes.
    async fn remove(&self, there: &There) -> Result<Value, Trouble> {
        let mut done = Vec::new();
        if let (Some(subscriber), Some(subscription)) = (&there.subscriber, &there.subscription) {
            self.management
                .delete_subscription(&subscriber.id, &subscription.id)
                .await?;
            done.push("delete the subscription");
        }
        if let Some(subscriber) = &there.subscriber {
            let others = self.management.subscriptions(&subscriber.id).await?;
            let is_over = |known: &Value| {
                let status = known.get("status").and_then(Value::as_str);
                matches!(status, Some("revoked" | "deleted"))
            };
            if others.iter().all(is_over) {
                self.management.delete_subscriber(&subscriber.id).await?;
                done.push("delete the subscriber");
            }
        }
        let forgotten = self.host.delete(&self.setting.config.keys.connection()).await;
        forgotten.map_err(of_store)?;
        Ok(json!({ "done": done }))
    }
}
