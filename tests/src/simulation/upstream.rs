//! Calls of upstreams: how long they take, what stands between, and what is learned of them.

use super::effort::ALIKE_MAX;
use super::host::{SKEW_MAX_MS, SimHost};
use super::identities::{Deletion, named};
use super::rules::keys::Sent;
use super::shared::{Shared, Wait};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::Value;
use simulator::fault::Reply;
use world::host::{CallLimits, Http, SendError};

impl SimHost {
    /// Checks a call against what was asked for before, and learns from its answer.
    fn watch_waits(&self, upstream: &'static str, begun_ms: u64, response: Option<&Response<Bytes>>) {
        let now_ms = self.executor.now_ms();
        let mut shared = self.shared.borrow_mut();
        match response {
            None => {
                // Whoever was killed or paused over it may have told nobody, or something older may have landed since.
                let untold = shared.killed > 0 || shared.is_disturbed() || shared.has_far_clocks;
                let waits =
                    |wait: &Wait| wait.upstream == upstream && begun_ms < wait.until_ms && begun_ms > wait.told_ms;
                if !untold && shared.waits.iter().any(waits) {
                    shared.violations.push(format!(
                        "{upstream} was called at {begun_ms} although it had asked to wait"
                    ));
                }
            }
            Some(response) => {
                let header = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok());
                if let Some(seconds) = header.and_then(|value| value.parse::<u64>().ok()) {
                    let until_ms = (now_ms + seconds * 1000).saturating_sub(SKEW_MAX_MS);
                    shared.waits.push(Wait {
                        upstream,
                        until_ms,
                        told_ms: now_ms,
                    });
                }
            }
        }
    }

    /// Lets the upstream have a request, unless something stands between. The call is open until its answer has come.
    fn reply(&self, request: &Request<Bytes>, is_pim: bool, decided_ms: u64) -> (Reply, Option<Open<'_>>) {
        let now_ms = self.executor.now_ms();
        let shared = &mut *self.shared.borrow_mut();
        if let (true, Some(manners)) = (request.uri().host() == Some("login.test"), shared.nature.door) {
            return (
                shared
                    .doors
                    .destination
                    .log_in(manners, request, now_ms, &mut shared.random),
                None,
            );
        }
        shared.effort.call();
        if is_pim {
            shared.doors.note_of_pim(request);
        } else if shared.doors.is_of_pim(request) {
            shared
                .violations
                .push(format!("the destination was shown a token of the PIM at {now_ms}"));
        }
        if is_pim {
            let target = request.uri().to_string();
            shared.fetches.push((now_ms, request.body().to_vec(), target));
        }
        let share = if shared.proxies.is_empty() {
            0.0
        } else {
            shared.random.f64()
        };
        let stands = |proxy: &&super::faults::Proxy| proxy.stands(is_pim, now_ms, share);
        if let Some(proxy) = shared.proxies.iter().find(stands) {
            return (Reply::now(proxy.answer()), None);
        }
        let plain = match is_pim {
            true => request.clone(),
            false => shared.destination.plainly(request),
        };
        let by_id = shared.by_id(&plain);
        if let Some(lone) = shared
            .lone
            .iter()
            .find(|lone| lone.is_asked_for(is_pim, &by_id, now_ms))
        {
            return (Reply::now(lone.answer()), None);
        }
        let door = shared.nature.door.filter(|_| !is_pim);
        let refusal = door.and_then(|door| {
            shared
                .doors
                .destination
                .refusal(door, request, now_ms, &mut shared.random)
        });
        if let Some(refusal) = refusal {
            return (Reply::now(refusal), None);
        }
        if !is_pim {
            let (known, landing) = (shared.destination.log.len(), shared.destination.landing());
            let lies_there = shared.product_at(plain.uri().path());
            let reply = shared.destination.handle(request, now_ms);
            // A worker that stood still between its decision and its request for longer than a call may last makes what
            // another one has made since, and nothing can keep it from that.
            let stood_still = now_ms - decided_ms > shared.nature.settings.call_timeout_s * 1000;
            // To a clock that is a year ahead every wait is over, also that for a creation whose answer was lost.
            let is_excused = stood_still || self.is_far_ahead();
            let lands_later = shared.destination.landing() > landing;
            if let Some(shop) = shared.destination.shop.as_mut().filter(|_| is_excused) {
                shop.doubled.retain(|path| path != plain.uri().path());
                if lands_later {
                    shared.held_up.push(plain.uri().path().to_owned());
                }
            }
            // What was turned away is nothing that an idempotency key is remembered for.
            let is_turned_away = shared.destination.log.get(known).is_some_and(|push| !push.applied);
            if !is_turned_away && *plain.method() != Method::GET {
                let sent = shared.sent.entry(plain.uri().path().to_owned()).or_default();
                sent.push(Sent::of(&plain, decided_ms));
            }
            note_taken(shared, known, now_ms);
            note_deleted(shared, known, lies_there.filter(|_| !stood_still));
            return (reply, Some(Open { host: self, is_pim }));
        }
        let mut reply = shared.pim.handle(request, now_ms);
        let shown = reply.response.as_ref();
        if let Some(lone) = shown.and_then(|shown| shared.lone.iter().find(|lone| lone.is_shown(shown, now_ms))) {
            reply.response = Some(lone.answer());
        }
        (reply, Some(Open { host: self, is_pim }))
    }

    /// How long an answer is under way, in milliseconds.
    fn latency_ms(&self, is_pim: bool, response: Option<&Response<Bytes>>) -> u64 {
        let mut shared = self.shared.borrow_mut();
        let latency = if is_pim {
            shared.nature.pim
        } else {
            shared.nature.destination
        };
        let entities = if latency.per_entity_ms > 0 {
            response.map_or(0, entities)
        } else {
            0
        };
        shared.random.u64(latency.least_ms..latency.most_ms) + latency.per_entity_ms * entities
    }
}

/// Ends a call at its upstream whatever becomes of the caller.
struct Open<'a> {
    host: &'a SimHost,
    is_pim: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut shared = self.host.shared.borrow_mut();
        if self.is_pim {
            shared.pim.finish()
        } else {
            shared.destination.finish()
        }
    }
}

/// Takes note of what the destination has just been given.
fn note_taken(shared: &mut Shared, known: usize, now_ms: u64) {
    if let Some(push) = shared.destination.log.get(known).filter(|push| push.applied) {
        let what = if push.method == "DELETE" { "" } else { &push.body_sha256 };
        // Where clocks are far apart, what was in flight is looked at by a host whose clock is ahead, and an hour later once
        // more.
        let most = if shared.has_far_clocks {
            2 * ALIKE_MAX
        } else {
            ALIKE_MAX
        };
        let too_often = shared.effort.taken(&push.path, what, most, now_ms);
        shared.violations.extend(too_often);
    }
}

/// Takes note of what the destination has just deleted, where it calls products by their SKUs.
fn note_deleted(shared: &mut Shared, known: usize, lay_there: Option<String>) {
    let push = shared.destination.log.get(known);
    let push = push.filter(|push| push.applied && push.method == "DELETE");
    if let Some((push, product)) = push.zip(lay_there) {
        shared.names.deletions.push(Deletion {
            at_ms: push.at_ms,
            path: push.path.clone(),
            product,
        });
    }
}

/// How many entities an answer holds.
fn entities(response: &Response<Bytes>) -> u64 {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let items = body.pointer("/_embedded/items").and_then(Value::as_array);
    items.map_or(1, |items| items.len() as u64)
}

impl Http for SimHost {
    async fn send(&self, request: Request<Vec<u8>>, limits: CallLimits) -> Result<Response<Vec<u8>>, SendError> {
        let request = self.mistaken_request(request.map(Bytes::from));
        let is_pim = request.uri().host() == Some("pim.test");
        let upstream = if is_pim { "pim" } else { "destination" };
        // Whoever stands still from here on cannot know what others do before the request goes.
        let decided_ms = self.executor.now_ms();
        self.watch_waits(upstream, decided_ms, None);
        if !is_pim {
            self.pause_where_it_matters().await;
        }
        let what = || {
            // What is searched for is in the body.
            let body = String::from_utf8_lossy(request.body());
            let whose = named(request.body()).unwrap_or_default();
            let search = if is_pim {
                body.get(..200).unwrap_or(&body)
            } else {
                &whose
            };
            format!("{} {} {search}", request.method(), request.uri())
        };
        self.call(what, async || {
            let begun_ms = self.executor.now_ms();
            let (reply, open) = self.reply(&request, is_pim, decided_ms);
            let Reply {
                after_ms,
                response,
                is_cut,
            } = reply;
            let took_ms = after_ms + self.latency_ms(is_pim, response.as_ref());
            self.executor.sleep_ms(took_ms.min(limits.total_ms)).await;
            drop(open);
            if took_ms >= limits.total_ms {
                self.note(|| "  no answer in time".to_owned());
                return Err(SendError::Timeout);
            }
            let Some(response) = response else {
                self.note(|| "  cut off".to_owned());
                return Err(SendError::Lost("cut off".to_owned()));
            };
            self.note(|| format!("  {}", response.status()));
            let protocol = self.shared.borrow().nature.protocol.clone().filter(|_| !is_pim);
            let mut response = response;
            if let Some(protocol) = &protocol {
                protocol.spend(&mut response, &mut self.shared.borrow_mut().random);
            }
            self.watch_waits(upstream, begun_ms, Some(&response));
            let mut response = self.mistaken_answer(is_pim, &request, response);
            if let Some(protocol) = &protocol {
                protocol.tell_wait(&mut response, !is_cut, self.executor.now_ms());
            }
            let bulk = if is_pim { self.shared.borrow().nature.bulk } else { 1.0 };
            let status = response.status();
            let (is_needed, most) = (limits.needs_body_of(status), limits.most_bytes(status));
            let length = response.body().len();
            let came = if is_cut { length / 2 } else { length };
            if is_needed && came as f64 * bulk > most as f64 {
                self.note(|| "  too large".to_owned());
                return Err(SendError::TooLarge);
            }
            if is_needed && is_cut && length > 0 {
                self.note(|| "  cut off in its body".to_owned());
                return Err(SendError::Lost("cut off in its body".to_owned()));
            }
            Ok(response.map(|body| body[..came.min(most)].to_vec()))
        })
        .await
    }
}
