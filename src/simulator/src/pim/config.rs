//! How the PIM is set up.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::catalogue::EntityId;
use crate::meter::Limits;

/// How `POST /products-uuid/search` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostSearch {
    /// As on SaaS.
    #[default]
    Available,
    /// 405, as a PIM without that route whose `{uuid}` route takes other methods only.
    MethodNotAllowed,
    /// 404 without a route.
    NotFound,
}

/// How the PIM is set up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct PimConfig {
    /// Credentials of the connection (contract 4.2).
    pub client_id: String,
    /// Credentials of the connection.
    pub client_secret: String,
    /// Credentials of the connection's user.
    pub username: String,
    /// Credentials of the connection's user.
    pub password: String,
    /// A token that never expires, as an App has one.
    pub app_token: Option<String>,
    /// `expires_in` of access tokens, in seconds.
    pub access_lifetime_s: u64,
    /// Lifetime of refresh tokens, in seconds.
    pub refresh_lifetime_s: u64,
    /// Scheme and host in links. Not the PIM's real one: clients must keep their own origin (contract 4.4).
    pub link_origin: String,
    /// Whether searching by POST works.
    pub post_search: PostSearch,
    /// How far lists lag behind reads by id, in milliseconds (contract 4.1).
    pub lag_ms: u64,
    /// The PIM's clock minus the clock handed in, in milliseconds.
    pub clock_skew_ms: i64,
    /// Offset of `created` and `updated` in bodies, in minutes east of UTC.
    pub body_offset_minutes: i32,
    /// Zone in which the filters read their times, in minutes east of UTC; SaaS uses UTC (contract 4.5).
    pub filter_offset_minutes: i32,
    /// Calls at once and a second.
    pub limits: Limits,
    /// Share of the catalogue that the connection may not see, 0 to 1, picked by id: neither listed nor read.
    pub hidden_share: f64,
    /// Entities that the connection may not see, besides the share.
    pub hidden: BTreeSet<EntityId>,
    /// Entities that break every answer that would hold them: 500.
    pub unreadable: BTreeSet<EntityId>,
    /// The most entities that a page may be asked for: more are refused with 422. None is the PIM's own limit.
    pub page_max: Option<usize>,
    /// How long each entity of a page takes, in milliseconds.
    pub entity_ms: u64,
    /// The files that it has: sizes in bytes, by code.
    pub media: BTreeMap<String, usize>,
    /// Files are sent without a `content-length`.
    pub media_in_chunks: bool,
    /// Decides tokens and which calls a share of faults strikes.
    pub seed: u64,
}

impl Default for PimConfig {
    fn default() -> Self {
        Self {
            client_id: "1_simulated".to_owned(),
            client_secret: "simulated-client-secret".to_owned(),
            username: "relay_0001".to_owned(),
            password: "simulated-password".to_owned(),
            app_token: None,
            access_lifetime_s: 3600,
            refresh_lifetime_s: 14 * 86_400,
            link_origin: "http://pim.example.test".to_owned(),
            post_search: PostSearch::Available,
            lag_ms: 0,
            clock_skew_ms: 0,
            body_offset_minutes: 0,
            filter_offset_minutes: 0,
            limits: Limits::of_a_pim(),
            hidden_share: 0.0,
            hidden: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            page_max: None,
            entity_ms: 0,
            media: BTreeMap::new(),
            media_in_chunks: false,
            seed: 0,
        }
    }
}
