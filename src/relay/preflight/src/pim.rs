//! The PIM: its address, login, version, clock and rights (the contract's part on kinds, 4.1 to 4.3).
//!
//! What is asked reads only. Roles alone show in the answers: rights on categories, attribute groups and locales do not.

use crate::calls::{self, ask, led_to};
use crate::channels;
use crate::finding::Findings;
use crate::variables::Taken;
use akeneo::pim::Pim;
use config::{Credentials, PimConfig, WorkerConfig};
use http::{Request, Response, header};
use model::entity::Kind;
use model::json;
use serde_json::Value;
use shape::{Need, Shape};
use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;
use upstream::governor::Governor;
use world::host::Host;

/// How far the clocks may differ before it is told, in seconds.
const CLOCK_S: u64 = 30;

/// What was seen of the PIM.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its version, as it says; empty where it does not.
    pub version: String,
    /// Its edition, as it says; empty where it does not.
    pub edition: String,
    /// The lists that may be read.
    pub readable: BTreeSet<String>,
}

/// A list, the right that it needs, and whether the relay cannot work without it.
type List = (String, &'static str, bool);

/// Looks at the PIM; gives what was seen, or none where nothing more can be asked.
pub async fn look<H: Host>(
    host: &H,
    pim: &Pim<'_, H>,
    (config, shape): (&WorkerConfig, &Shape),
    lists_named: &BTreeSet<&'static str>,
    (taken, findings): (Taken, &mut Findings),
) -> Option<Seen> {
    let (governor, is_app) = (pim.governor, matches!(config.pim.credentials, Credentials::App(_)));
    let config = &config.pim;
    if !is_there(governor, config, (taken.tolerance_s, findings)).await {
        return None;
    }
    let token = match calls::fresh_token(host, &pim.tokens).await {
        Ok(token) => token,
        Err(failure) => {
            let refuses = failure
                .status
                .is_some_and(|status| (400..500).contains(&status) && status != 429);
            findings.error(
                "pim",
                format!("the PIM gives no token: {}", failure.reason),
                match refuses {
                    true => "see pim_client_id, pim_client_secret, pim_username and pim_password as the connection's page shows them; behind Apache, see that the header Authorization reaches the PIM",
                    false => "see that the PIM is well, and ask again",
                },
            );
            return None;
        }
    };
    let get = |path: &str| {
        let request = Request::get(format!("{}/api/rest/v1/{path}", config.origin));
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        ask(
            governor,
            request.header(header::ACCEPT, "application/json").body(Vec::new()),
        )
    };
    let mut seen = Seen::default();
    match get("system-information").await {
        Ok(answer) if answer.status() == 200 => {
            let said = json::read(answer.body()).map(|read| read.value).unwrap_or_default();
            let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            (seen.version, seen.edition) = (text("version"), text("edition"));
            channels::judge(&seen.edition, taken, governor.now_ms() / 1000, findings);
        }
        Ok(answer) if answer.status() == 404 => findings.note(
            "pim",
            "the PIM does not tell its version, so it is older than 6.0",
            "see docs/connect-a-pim.md for the versions that are known to work",
        ),
        _ => {}
    }
    for (list, right, is_needed) in lists(shape, lists_named) {
        let answer = match get(&format!("{list}?limit=1")).await {
            Ok(answer) => answer,
            Err(reason) => {
                findings.error(
                    "pim",
                    format!("the list of {list} cannot be read: {reason}"),
                    "ask again once the PIM answers",
                );
                continue;
            }
        };
        match answer.status().as_u16() {
            200 => drop(seen.readable.insert(list)),
            401 => {
                let (what, remedy) = match is_app {
                    true => (
                        "the PIM takes the App's token no more",
                        "have the App connected again, and give its new token as pim_app_token",
                    ),
                    false => (
                        "the PIM answers 401 although it has just given the token",
                        "see that the connection's user is enabled, and that pim_url and the connection are of one PIM",
                    ),
                };
                findings.error("pim", what, remedy);
                return Some(seen);
            }
            403 if !is_akeneos(&answer) => findings.error(
                "pim",
                format!("something before the PIM answers 403 to the list of {list}"),
                "let the relay's requests below /api/ through: see what stands before the PIM",
            ),
            403 if is_about_the_api(&answer) => {
                findings.error(
                    "rights",
                    "the connection's role may not use the web API at all",
                    "tick `Overall Web API access` in the role's Web API permissions",
                );
                return Some(seen);
            }
            403 if is_needed => findings.error(
                "rights",
                format!("the connection may not read the list of {list}"),
                grant(right, is_app),
            ),
            403 => findings.warning(
                "rights",
                format!(
                    "the connection may not read the list of {list}, so what the shape names of it was not looked at"
                ),
                grant(right, is_app),
            ),
            404 if list == "products-uuid" => findings.error(
                "pim",
                "the PIM has no products by UUID, so it is older than 7.0",
                "see docs/connect-a-pim.md for the versions that are known to work",
            ),
            404 if let Some(attribute) = of_options(&list) => findings.error(
                "shape",
                format!(
                    "the shape asks for labels of the options of the attribute `{attribute}`, which has none in the PIM"
                ),
                "let `as` be `label` for attributes of a select alone, and see the attribute's code",
            ),
            status => {
                let what = format!("the PIM answers {status} to the list of {list}");
                let remedy = "see the PIM's log, and what stands between";
                match is_needed {
                    true => findings.error("pim", what, remedy),
                    false => findings.warning("pim", what, remedy),
                }
            }
        }
    }
    Some(seen)
}

/// Whether a PIM answers at the address; tells how far its clock is from this host's.
async fn is_there<H: Host>(
    governor: &Governor<'_, H>,
    config: &PimConfig,
    (tolerance_s, findings): (Option<u64>, &mut Findings),
) -> bool {
    let request = Request::get(format!("{}/api/rest/v1", config.origin));
    let answer = match ask(
        governor,
        request.header(header::ACCEPT, "application/json").body(Vec::new()),
    )
    .await
    {
        Ok(answer) => answer,
        Err(reason) => {
            findings.error(
                "pim_url",
                format!("the PIM cannot be reached: {reason}"),
                "see pim_url, the network between, and the PIM's certificate",
            );
            return false;
        }
    };
    tell_of_clock(governor.now_ms() / 1000, &answer, (tolerance_s, findings));
    if answer.status().is_redirection() {
        findings.error(
            "pim_url",
            format!(
                "what answers at pim_url leads to {}, and no redirect is followed",
                led_to(answer.headers()).unwrap_or_else(|| "another path".to_owned())
            ),
            "give that as pim_url, if it is the PIM",
        );
        return false;
    }
    if answer.status().is_server_error() {
        findings.error(
            "pim",
            format!("the PIM answers {}", answer.status().as_u16()),
            "see that the PIM is well, and no maintenance is under way",
        );
        return false;
    }
    let is_root = |root: Value| root.get("routes").or(root.get("authentication")).is_some();
    if answer.status() != 200 || !json::read(answer.body()).is_some_and(|read| is_root(read.value)) {
        findings.error(
            "pim_url",
            format!("what answers {} at pim_url is no Akeneo PIM's API", answer.status().as_u16()),
            "give the origin at which people open the PIM in their browser; the API must not stand behind another login",
        );
        return false;
    }
    true
}

fn tell_of_clock(now_s: u64, answer: &Response<Vec<u8>>, (tolerance_s, findings): (Option<u64>, &mut Findings)) {
    let date = answer.headers().get(header::DATE).and_then(|value| value.to_str().ok());
    let theirs = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let Some(theirs) = theirs.and_then(|theirs| theirs.duration_since(UNIX_EPOCH).ok()) else {
        return;
    };
    let apart_s = now_s.abs_diff(theirs.as_secs());
    let what = format!("the clocks of the PIM and of this host are {apart_s} seconds apart");
    let remedy = "set the host's clock by NTP, and have the PIM's looked at";
    if tolerance_s.is_some_and(|tolerance_s| apart_s >= tolerance_s) {
        findings.error(
            "clock",
            format!("{what}, and the Events API's deliveries are refused for it"),
            remedy,
        );
    } else if apart_s >= CLOCK_S {
        findings.warning("clock", what, remedy);
    }
}

/// How a right is given.
fn grant(right: &str, is_app: bool) -> String {
    match is_app {
        true => format!("give the App the scope with which it may do as by `{right}`, and have it connected again"),
        false => format!("tick `{right}` in the role's Web API permissions"),
    }
}

/// The lists that the relay reads, or that say whether what the shape names is there.
fn lists(shape: &Shape, named: &BTreeSet<&'static str>) -> Vec<List> {
    let mut needed: BTreeSet<&'static str> = BTreeSet::new();
    let mut options: BTreeSet<String> = BTreeSet::new();
    for kind in shape.kinds() {
        needed.insert(match kind {
            Kind::Product => "products-uuid",
            Kind::ProductModel => "product-models",
            Kind::Category => "categories",
        });
        for (need, _) in shape.needs(*kind) {
            match need {
                Need::Categories => drop(needed.insert("categories")),
                Need::Families => drop(needed.insert("families")),
                Need::Attributes => drop(needed.insert("attributes")),
                Need::Options(attribute) => drop(options.insert(attribute)),
            }
        }
    }
    let all = [
        ("products-uuid", "List products"),
        ("product-models", "List products"),
        ("categories", "List categories"),
        ("families", "List families"),
        ("attributes", "List attributes"),
        ("channels", "List channels"),
        ("locales", "List locales"),
        ("currencies", "List currencies"),
    ];
    let read = all
        .into_iter()
        .filter(|(list, _)| needed.contains(list) || named.contains(list));
    let mut lists: Vec<List> = read
        .map(|(list, right)| (list.to_owned(), right, needed.contains(list)))
        .collect();
    let of = |attribute: &String| format!("attributes/{}/options", model::path::path_segment(attribute));
    lists.extend(
        options
            .iter()
            .map(|attribute| (of(attribute), "List attribute options", true)),
    );
    lists
}

/// The attribute whose options a list has.
fn of_options(list: &str) -> Option<&str> {
    list.strip_prefix("attributes/")?.strip_suffix("/options")
}

/// Whether Akeneo itself refuses, in its own form.
fn is_akeneos(answer: &Response<Vec<u8>>) -> bool {
    json::read(answer.body()).is_some_and(|read| read.value.get("code").is_some())
}

/// Whether a refusal is of the whole API: Akeneo names it so.
fn is_about_the_api(answer: &Response<Vec<u8>>) -> bool {
    let body = String::from_utf8_lossy(answer.body());
    body.contains("access the web API")
}
