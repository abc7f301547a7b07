//! Sends files: those that a batch's entities name and that the destination does not have yet go there first.
//!
//! It may assume that the content under a file's code never changes, so that a file goes once. What went is kept in
//! pages, by the digests of the files' paths at the destination; dying before a page is written sends its files once
//! more. An entity one of whose files did not arrive is not pushed. Content is passed on from one upstream to the
//! other, and neither sees the other one's token.

use crate::item::{Decided, Decision};
use crate::push::{Push, at_once};
use akeneo::pim;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use desk::books::Books;
use desk::stop::Stop;
use desk::tools::{Desk, Upstreams};
use destination::{Destination, class_of};
use http::{Response, StatusCode};
use model::entity::digest;
use model::failure::{Class, Failure};
use protocol::remote::Remote;
use protocol::request::Act;
use queue::key::{Key, MEDIA_PAGES};
use serde_json::{Map, Value, json};
use shape::{File, Media};
use upstream::governor::Call;
use upstream::wire;
use world::host::{self, Host, SendError, StoreError};

/// What the breakers for files are known by.
const CIRCUIT: &str = "media";

/// The format of a page. By the first one files lay in other pages, so a page of that format counts as empty.
const FORMAT: u32 = 2;

/// The number of the page that a digest belongs to, by its first 16 bits.
fn page_number(digest: &str) -> u16 {
    let bytes = URL_SAFE_NO_PAD.decode(digest.get(..4).unwrap_or_default());
    match bytes.as_deref() {
        Ok([first, second, ..]) => u16::from_be_bytes([*first, *second]) % MEDIA_PAGES,
        _ => 0,
    }
}

/// The files that the destination has, by the pages that were read so far. Each page holds digests of paths, and when
/// these files went, in seconds since the Unix epoch.
#[derive(Default)]
struct Sent {
    pages: Vec<Page>,
}

struct Page {
    number: u16,
    files: Map<String, Value>,
    is_changed: bool,
}

impl Sent {
    /// The page that a digest belongs to; it is read from the store unless it was read before.
    async fn page<H: Host>(&mut self, desk: &Desk<'_, H>, digest: &str) -> Result<&mut Page, StoreError> {
        let number = page_number(digest);
        let at = match self.pages.iter().position(|page| page.number == number) {
            Some(at) => at,
            None => {
                let key = desk.config.keys.encode(&Key::MediaPage(number));
                // A page of an unknown format counts as empty: its files go once more.
                let is_known = |value: &Value| value["v"].as_u64().is_some_and(|v| v <= FORMAT.into());
                let value = host::read_if(desk.host, &key, is_known).await?;
                let value = value.filter(|value| value["v"] == FORMAT);
                let files = match value.map(|mut value| value["files"].take()) {
                    Some(Value::Object(files)) => files,
                    _ => Map::new(),
                };
                self.pages.push(Page {
                    number,
                    files,
                    is_changed: false,
                });
                self.pages.len() - 1
            }
        };
        Ok(&mut self.pages[at])
    }

    async fn save<H: Host>(self, desk: &Desk<'_, H>) -> Result<(), StoreError> {
        for page in self.pages.into_iter().filter(|page| page.is_changed) {
            let key = desk.config.keys.encode(&Key::MediaPage(page.number));
            let value = json!({ "v": FORMAT, "files": page.files });
            host::write(desk.host, &key, &value).await?;
        }
        Ok(())
    }
}

/// A file that the destination does not have, and the first entity of the batch that waits for it.
struct Missing<'a> {
    file: &'a File,
    digest: String,
    /// When a forced push of the entity was last asked for, in seconds since the Unix epoch.
    forced_s: Option<u64>,
    name: &'a str,
    attempts: u32,
}

/// Sends the files of all entities that are to be upserted; an entity one of whose files does not arrive fails. A
/// forced push sends those files again that went before it was asked for.
pub(crate) async fn send_all<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    books: &mut Books,
    items: &mut [Decided],
) -> Result<(), Stop> {
    let (Some(media), Some(destination)) = (&desk.config.shape.media, &upstreams.destination) else {
        return Ok(());
    };
    // Files begin to go for half of the time that is left. The rest is for the entities whose files are all there, lest
    // a batch of many files pushes nothing.
    let files_until_ms = desk.host.monotonic_ms() + upstreams.destination_governor.left_ms() / 2;
    let mut sent = Sent::default();
    let mut failures: Vec<(String, Failure)> = Vec::new();
    {
        let missing = missing(desk, items, &mut sent).await?;
        let mut pushes: Vec<Push<'_>> = Vec::new();
        for (at, one) in missing.iter().enumerate() {
            pushes.push(Box::pin(async move {
                if desk.host.monotonic_ms() >= files_until_ms {
                    return (at, Err(upstreams.pim_governor.time_is_up()));
                }
                let sent = transfer(desk, upstreams, destination, media, one).await;
                (at, sent.map(|()| Remote::new()))
            }));
        }
        for (at, result) in at_once(pushes, upstreams.pim_at_once).await {
            let one = &missing[at];
            match result {
                Ok(_) => {
                    let page = sent.page(desk, &one.digest).await?;
                    page.files.insert(one.digest.clone(), json!(desk.now_s()));
                    page.is_changed = true;
                    books.report(|report| report.files += 1);
                }
                Err(failure) => failures.push((one.file.path.clone(), failure)),
            }
        }
    }
    if sent.pages.iter().any(|page| page.is_changed) {
        desk.check_lease()?;
        books.know_the_pair(desk).await?;
        sent.save(desk).await?;
    }
    fail(items, &failures);
    Ok(())
}

/// While no files may be sent, since their breaker is open or an upstream asked to wait, the entities that need one
/// fail at no cost and are held back. So others go on, and variants are not marked for them again and again.
pub(crate) async fn put_off<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    items: &mut [Decided],
) -> Result<(), StoreError> {
    let governors = [upstreams.destination_governor, upstreams.pim_governor];
    let held = governors.into_iter().find_map(|governor| governor.held(CIRCUIT));
    let Some(held) = held.filter(|held| held.class == Class::NotCalled) else {
        return Ok(());
    };
    if desk.config.shape.media.is_none() || upstreams.destination.is_none() {
        return Ok(());
    }
    let mut sent = Sent::default();
    let missing = missing(desk, items, &mut sent).await?;
    let failure = upstreams.destination_governor.failed(Class::Unavailable, held.reason);
    let failures: Vec<(String, Failure)> = missing
        .iter()
        .map(|one| (one.file.path.clone(), failure.clone()))
        .collect();
    fail(items, &failures);
    Ok(())
}

/// Lets every entity fail one of whose files did not arrive.
fn fail(items: &mut [Decided], failures: &[(String, Failure)]) {
    for item in items {
        let Decision::Upsert { upsert, hash, .. } = &item.what else {
            continue;
        };
        let is_its = |path: &String| upsert.files.iter().any(|file| file.path == *path);
        if let Some((_, failure)) = failures.iter().find(|(path, _)| is_its(path)) {
            // Nothing of the entity itself was sent, so only a dead letter needs the name of what was to be sent.
            let name = (failure.class == Class::Permanent).then(|| item.name_of_push(hash));
            item.fail(failure.clone(), name);
        }
    }
}

/// The files that the destination does not have, each once.
async fn missing<'a, H: Host>(
    desk: &Desk<'_, H>,
    items: &'a [Decided],
    sent: &mut Sent,
) -> Result<Vec<Missing<'a>>, StoreError> {
    let mut missing: Vec<Missing<'a>> = Vec::new();
    for item in items {
        let Decision::Upsert { upsert, .. } = &item.what else {
            continue;
        };
        for file in &upsert.files {
            let digest = digest(file.path.as_bytes());
            let sent_s = sent
                .page(desk, &digest)
                .await?
                .files
                .get(&digest)
                .and_then(Value::as_u64);
            let forced_s = item.waiting.forced_s();
            let is_there = sent_s.is_some_and(|sent_s| sent_s >= forced_s.unwrap_or(0));
            if !is_there && !missing.iter().any(|known| known.digest == digest) {
                let (name, attempts) = (item.name.as_str(), item.waiting.attempts());
                missing.push(Missing {
                    file,
                    digest,
                    forced_s,
                    name,
                    attempts,
                });
            }
        }
    }
    Ok(missing)
}

/// Passes one file on from the PIM to the destination; once more with a new token after a 401 of either, as contract
/// 4.2 has it for the PIM's.
async fn transfer<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    destination: &Destination<'_, H>,
    media: &Media,
    missing: &Missing<'_>,
) -> Result<(), Failure> {
    let code = &missing.file.code;
    let mut token = upstreams.pim.tokens.access().await?;
    let mut to_token = destination.token().await?;
    let (mut is_renewed, mut may_renew) = (false, destination.tokens.is_some());
    loop {
        let tokens = TransferTokens {
            from: &token,
            is_renewed,
            to: to_token.as_deref(),
            may_renew,
        };
        let passed = pass_on(desk, upstreams, destination, media, missing, tokens).await?;
        if may_renew && matches!(&passed.arrived, Err(failure) if failure.status == Some(401)) {
            to_token = destination.instead_of(&to_token).await?;
            may_renew = false;
            continue;
        }
        let status = match passed.told {
            Err(failure) if pim::is_unauthorized(&failure) => {
                token = match upstreams.pim.tokens.instead_of(&token).await? {
                    Some(other) => other,
                    None => return Err(upstreams.pim.revoked(CIRCUIT)),
                };
                is_renewed = true;
                continue;
            }
            Ok(status) => status,
            Err(mut failure) if passed.is_too_large => {
                failure.class = Class::Permanent;
                failure.reason = format!(
                    "the file {code} is larger than {} bytes: raise `max_bytes` of the shape's `media`, or make it smaller in the PIM; then replay the entity",
                    media.max_bytes
                );
                return Err(failure.settled());
            }
            Err(failure) => return Err(of_file(code, failure)),
        };
        if status == StatusCode::NOT_FOUND {
            let failure = upstreams.pim_failure(Class::Transient, "404: the PIM does not have its content");
            return Err(of_file(code, failure));
        }
        return passed.arrived.map_err(|failure| of_file(code, failure));
    }
}

/// The tokens of one try to pass a file on.
#[derive(Clone, Copy)]
struct TransferTokens<'a> {
    /// The PIM's, and whether it took the place of one that was refused.
    from: &'a str,
    is_renewed: bool,
    /// The destination's, and whether another one can take its place.
    to: Option<&'a str>,
    may_renew: bool,
}

/// What became of one try to pass a file on.
struct Passed {
    /// The PIM's status, or why its answer is no good.
    told: Result<StatusCode, Failure>,
    /// What the destination made of the file; good where the file did not get that far.
    arrived: Result<(), Failure>,
    is_too_large: bool,
}

/// Makes one try to pass a file on, which is one call of each upstream.
async fn pass_on<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    destination: &Destination<'_, H>,
    media: &Media,
    missing: &Missing<'_>,
    tokens: TransferTokens<'_>,
) -> Result<Passed, Failure> {
    let call = |request| Call {
        entity: Some(missing.name),
        attempts: missing.attempts,
        ..Call::of(CIRCUIT, request)
    };
    let from = call(upstreams.pim.file(CIRCUIT, &missing.file.code, tokens.from)?);
    let path = &missing.file.path;
    let wait = |response: &Response<Vec<u8>>| destination.wait_of_file(response);
    let to = destination.file(CIRCUIT, media.method(), path, missing.forced_s, tokens.to)?;
    let to = Call {
        wait: Some(&wait),
        ..call(to)
    };
    let at_destination = upstreams.destination_governor.enter(&to, 1).await?;
    let at_pim = match upstreams.pim_governor.enter(&from, 1).await {
        Ok(entered) => entered,
        Err(failure) => {
            upstreams.destination_governor.withdraw(at_destination);
            return Err(failure);
        }
    };
    let (get, put) = (from.request.clone(), to.request.clone());
    let became = wire::transfer(desk.host, get, put, at_pim.limits, media.max_bytes).await;
    let answers = &desk.config.shape.answers;
    let is_too_large = matches!(became.from, Err(SendError::TooLarge));
    let mut judge = |response: &Response<Vec<u8>>| match response.status().as_u16() {
        404 => None,
        // A 401 says nothing of the PIM before the token was renewed.
        401 if !tokens.is_renewed => Some(Class::NotCalled),
        401 => Some(Class::Misconfigured),
        _ => pim::judge(response.status()),
    };
    let told = upstreams.pim_governor.leave(&from, at_pim, became.from, &mut judge);
    let arrived = match became.to {
        Some(sent) => upstreams
            .destination_governor
            .leave(&to, at_destination, sent, &mut |response| match response.status() {
                StatusCode::UNAUTHORIZED if tokens.may_renew => Some(Class::NotCalled),
                status => class_of(Act::Upsert, answers.meaning_of_file(status.as_u16())),
            })
            .map(|_| ()),
        None => {
            upstreams.destination_governor.withdraw(at_destination);
            Ok(())
        }
    };
    Ok(Passed {
        told: told.map(|response| response.status()),
        arrived,
        is_too_large,
    })
}

/// A failure that names its file and, where no other try will help, says what does.
fn of_file(code: &str, mut failure: Failure) -> Failure {
    failure.reason = format!("the file {code}: {}", failure.reason);
    if failure.class == Class::Permanent {
        failure
            .reason
            .push_str("; make the destination take it, or replace it in the PIM; then replay the entity");
    }
    // Nothing was pushed of the entity itself, and a file that arrives late is the same file.
    failure.settled()
}
