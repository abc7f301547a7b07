//! What a world of chance is made of. Most of it is ordinary in most worlds; each dimension is at its edges in some of
//! them, whatever the others are.

use super::identities::Identities;
use super::protocol::{Farewell, Protocol};
use super::run::variable;
use config::{Variables, WorkerConfig};
use fastrand::Rng;
use simulator::door::Manners;

/// What can be out of the ordinary. Whether it is, and how, follows from the seed and from nothing else, so that a
/// dimension can be taken away from a world to see whether it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Upstreams and the store take long.
    Latency,
    /// Workers stand still for up to a day, or their machines do.
    Pauses,
    /// Clocks of hosts are up to an hour apart.
    Clocks,
    /// The PIM's clock jumps.
    PimClock,
    /// Families of models, edited all at once.
    Families,
    /// Pages of the PIM's lists are as large as what is read at most, and larger.
    Bodies,
    /// Entities fail alone, with any status, at either upstream.
    Alone,
    /// A proxy answers with pages of HTML.
    Pages,
    /// Edits go back to what was, under a shape that sends little.
    Reverts,
    /// Two edits within a second.
    Hasty,
    /// As many events wait as may.
    Brim,
    /// Configured values lie at their edges, and what provides them fails now and then.
    Settings,
    /// The store takes values of 400 KB at most, and has one that is nearly as large.
    Values,
    /// Writes of the store land up to a minute late.
    LateWrites,
    /// Reconciliation is at work beside the events.
    Reconciliation,
    /// Many products lie on one page of the index, as those whose UUIDs are of version 7 do.
    Crowded,
    /// The PIM answers reads by id with another entity than was asked for, now and then.
    Strange,
    /// A person lets go what the brake withholds while the next walk is under way.
    Purge,
    /// What others wrote a moment ago is not read yet, as in a store that is replicated.
    StaleReads,
    /// The destination is a shop: it makes and changes, gives ids, finds late, says errors inside of a 200.
    Protocol,
    /// A shop has customs of its own: what it calls things by, how they go, how it asks to wait.
    Customs,
    /// The destination wants tokens that end, and takes some away before.
    Tokens,
    /// The destination calls products by their SKUs, which change, go from one product to another and are given twice.
    Identities,
    /// Ticks stay and wait for news.
    Staying,
    /// Pages of the index split at a handful of entries.
    Splits,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Dimension; 25] = [
        Dimension::Latency,
        Dimension::Pauses,
        Dimension::Clocks,
        Dimension::PimClock,
        Dimension::Families,
        Dimension::Bodies,
        Dimension::Alone,
        Dimension::Pages,
        Dimension::Reverts,
        Dimension::Hasty,
        Dimension::Brim,
        Dimension::Settings,
        Dimension::Values,
        Dimension::LateWrites,
        Dimension::Reconciliation,
        Dimension::Crowded,
        Dimension::Strange,
        Dimension::Purge,
        Dimension::StaleReads,
        Dimension::Protocol,
        Dimension::Customs,
        Dimension::Tokens,
        Dimension::Identities,
        Dimension::Staying,
        Dimension::Splits,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Latency => "latency",
            Dimension::Pauses => "pauses",
            Dimension::Clocks => "clocks",
            Dimension::PimClock => "pim-clock",
            Dimension::Families => "families",
            Dimension::Bodies => "bodies",
            Dimension::Alone => "alone",
            Dimension::Pages => "pages",
            Dimension::Reverts => "reverts",
            Dimension::Hasty => "hasty",
            Dimension::Brim => "brim",
            Dimension::Settings => "settings",
            Dimension::Values => "values",
            Dimension::LateWrites => "late-writes",
            Dimension::Reconciliation => "reconciliation",
            Dimension::Crowded => "crowded",
            Dimension::Strange => "strange",
            Dimension::Purge => "purge",
            Dimension::StaleReads => "stale-reads",
            Dimension::Protocol => "protocol",
            Dimension::Customs => "customs",
            Dimension::Tokens => "tokens",
            Dimension::Identities => "identities",
            Dimension::Staying => "staying",
            Dimension::Splits => "splits",
        }
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Dimension> {
        Dimension::ALL.into_iter().find(|dimension| dimension.name() == name)
    }

    /// In one of how many worlds it is at its edges: what costs much time to play is rare.
    fn one_in(self) -> u64 {
        match self {
            Dimension::Families => 60,
            Dimension::Staying => 30,
            Dimension::Brim | Dimension::Purge => 120,
            Dimension::Values => 60,
            Dimension::Bodies | Dimension::PimClock | Dimension::Strange | Dimension::StaleReads => 10,
            Dimension::Pauses | Dimension::Clocks | Dimension::Pages | Dimension::Reconciliation => 6,
            Dimension::Tokens => 6,
            Dimension::Identities => 4,
            Dimension::Splits => 3,
            Dimension::Latency | Dimension::Settings | Dimension::LateWrites | Dimension::Crowded => 5,
            Dimension::Customs => 2,
            Dimension::Alone | Dimension::Reverts | Dimension::Hasty | Dimension::Protocol => 3,
        }
    }

    /// Chance of its own: what one dimension draws changes nothing of another.
    fn random(self, seed: u64) -> Rng {
        let name = self.name().bytes();
        let hash = name.fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Rng::with_seed(hash)
    }
}

/// How long an upstream takes to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// At least, in milliseconds.
    pub least_ms: u64,
    /// At most, in milliseconds.
    pub most_ms: u64,
    /// For every entity on a page besides, in milliseconds.
    pub per_entity_ms: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Latency {
            least_ms: 1,
            most_ms: 30,
            per_entity_ms: 0,
        }
    }
}

impl Latency {
    fn up_to(self, most_ms: u64) -> Latency {
        Latency {
            least_ms: self.least_ms.min(most_ms - 1),
            most_ms: self.most_ms.min(most_ms),
            ..self
        }
    }
}

/// How long a worker stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// At most, in milliseconds.
    pub most_ms: u64,
    /// Whether the whole machine is suspended, and its monotonic clock with it.
    pub is_suspension: bool,
}

impl Pause {
    /// The shortest: a lease's length, so that it makes a difference.
    pub const LEAST_MS: u64 = 61_000;

    /// A length, in milliseconds: short ones are as likely as long ones.
    pub fn length_ms(&self, random: &mut Rng) -> u64 {
        log_uniform(random, Pause::LEAST_MS, self.most_ms)
    }
}

/// Values of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `tick_seconds`.
    pub tick_s: u64,
    /// `watch_seconds`.
    pub watch_s: u64,
    /// How many entries a page of the index has at most.
    pub page_entries: usize,
    /// `call_timeout_seconds`.
    pub call_timeout_s: u64,
    /// `destination_calls_per_second`.
    pub destination_rate: usize,
    /// `high_water_mark`.
    pub high_water: u64,
    /// `recent_seconds`.
    pub recent_s: u64,
    /// `recent_overlap_seconds`.
    pub overlap_s: u64,
}

/// What a world is made of.
#[derive(Debug, Clone)]
pub struct Nature {
    seed: u64,
    /// What is out of the ordinary.
    pub dimensions: Vec<Dimension>,
    /// How it is configured.
    pub settings: Settings,
    /// How long the PIM takes.
    pub pim: Latency,
    /// How long the destination takes.
    pub destination: Latency,
    /// How long the store takes at most, in milliseconds.
    pub store_ms: u64,
    /// How long workers stand still.
    pub pause: Pause,
    /// How far from the truth clocks of hosts are at most, in milliseconds.
    pub clocks_ms: i64,
    /// Which share of the store's failed writes lands all the same, up to a minute later.
    pub late_writes: f64,
    /// How many times as large as it is an answer of the PIM counts.
    pub bulk: f64,
    /// For how long a value may be read as it was before, in milliseconds, by whoever did not write it.
    pub stale_ms: u64,
    /// In what share of ticks a variable cannot be read.
    pub unread_variables: f64,
    /// The one tick of the first host, by its number, in which its clock is a year ahead.
    pub year_ahead: Option<u64>,
    /// How the destination is spoken to; none is by plain upserts.
    pub protocol: Option<Protocol>,
    /// How the destination's door is, where its tokens end.
    pub door: Option<Manners>,
    /// How products change what they are called; none where the destination calls them by their UUIDs.
    pub identities: Option<Identities>,
}

/// How the application is configured in most worlds.
const SETTINGS: Settings = Settings {
    tick_s: 20,
    watch_s: 0,
    page_entries: config::PAGE_ENTRIES,
    call_timeout_s: 15,
    destination_rate: 100,
    high_water: 400_000,
    recent_s: 300,
    overlap_s: 600,
};

impl Nature {
    /// Nothing out of the ordinary.
    pub fn ordinary() -> Nature {
        Nature {
            seed: 0,
            dimensions: Vec::new(),
            settings: SETTINGS,
            pim: Latency::default(),
            destination: Latency::default(),
            store_ms: 4,
            pause: Pause {
                most_ms: 240_000,
                is_suspension: false,
            },
            clocks_ms: 2000,
            late_writes: 0.0,
            bulk: 1.0,
            stale_ms: 0,
            unread_variables: 0.0,
            year_ahead: None,
            protocol: None,
            door: None,
            identities: None,
        }
    }

    /// What a seed says, some dimensions left ordinary.
    pub fn of(seed: u64, without: &[Dimension]) -> Nature {
        let mut nature = Nature {
            seed,
            ..Nature::ordinary()
        };
        for dimension in Dimension::ALL {
            let is_out = dimension.random(seed).u64(..dimension.one_in()) == 0;
            if is_out && !without.contains(&dimension) {
                nature.dimensions.push(dimension);
            }
        }
        // Settings first: what an upstream may take depends on them.
        if let Some(mut random) = nature.random(Dimension::Settings) {
            nature.settings = settings(&mut random);
            nature.unread_variables = random.f64() * 0.3;
        }
        if let Some(mut random) = nature.random(Dimension::Staying) {
            nature.settings.watch_s = [10, 50, 50, 300][random.usize(..4)];
        }
        if let Some(mut random) = nature.random(Dimension::Splits) {
            // An index of thousands has as many pages then that the store alone takes an hour.
            if !nature.has(Dimension::Values) {
                nature.settings.page_entries = random.usize(1..6);
            }
        }
        if let Some(mut random) = nature.random(Dimension::Latency) {
            nature.draw_latency(&mut random);
        }
        if let Some(mut random) = nature.random(Dimension::Pauses) {
            nature.pause.most_ms = log_uniform(&mut random, 240_000, 86_400_000);
            nature.pause.is_suspension = random.bool();
        }
        if let Some(mut random) = nature.random(Dimension::Clocks) {
            nature.clocks_ms = log_uniform(&mut random, 10_000, 1_800_000) as i64;
            nature.year_ahead = random.bool().then(|| random.u64(2..20));
        }
        if let Some(mut random) = nature.random(Dimension::Families) {
            // However slow it is, all of them are to arrive.
            let least_ms = random.u64(50..500);
            if nature.pim.most_ms < least_ms {
                (nature.pim.least_ms, nature.pim.most_ms) = (least_ms, least_ms + 100);
            }
        }
        nature.protocol = nature
            .random(Dimension::Protocol)
            .map(|mut random| Protocol::of(&mut random));
        nature.identities = nature
            .random(Dimension::Identities)
            .map(|mut random| Identities::of(&mut random));
        if let (Some(protocol), Some(identities)) = (&mut nature.protocol, nature.identities) {
            protocol.by_sku = Some(identities);
        }
        let customs = nature.random(Dimension::Customs);
        if let (Some(protocol), Some(mut random)) = (&mut nature.protocol, customs) {
            protocol.draw_customs(&mut random);
            // What a person lets go is to go.
            if nature.dimensions.contains(&Dimension::Purge) && protocol.keeps_all() {
                protocol.farewell = Farewell::Delete;
            }
        }
        nature.door = nature
            .random(Dimension::Tokens)
            .map(|mut random| Manners::of(&mut random));
        if let Some(mut random) = nature.random(Dimension::StaleReads) {
            nature.stale_ms = log_uniform(&mut random, 50, 3000);
        }
        if let Some(mut random) = nature.random(Dimension::LateWrites) {
            nature.late_writes = random.f64();
        }
        nature
    }

    fn draw_latency(&mut self, random: &mut Rng) {
        for latency in [&mut self.pim, &mut self.destination] {
            if random.bool() {
                latency.most_ms = log_uniform(random, 30, 20_000);
                latency.least_ms = random.u64(1..latency.most_ms);
            }
        }
        if random.u8(..3) == 0 {
            self.store_ms = random.u64(4..30);
        }
        if random.u8(..3) == 0 && self.settings.tick_s >= 10 {
            (self.pim, self.destination) = (Latency::default(), Latency::default());
            // As long as a page may take that is read in a tick and leaves a little of it.
            let page_ms = (self.settings.tick_s * 1000 - 2500).min(self.settings.call_timeout_s * 1000) * 9 / 10;
            self.pim.per_entity_ms = log_uniform(random, 10, page_ms / 20);
        }
    }

    /// Whether something is out of the ordinary.
    pub fn has(&self, dimension: Dimension) -> bool {
        self.dimensions.contains(&dimension)
    }

    /// A dimension's own chance, if it is out of the ordinary.
    pub fn random(&self, dimension: Dimension) -> Option<Rng> {
        // Not the number that said that it is.
        let random = |dimension: Dimension| dimension.random(self.seed.wrapping_add(1 << 40));
        self.has(dimension).then(|| random(dimension))
    }

    /// The world is well from now on: upstreams are as slow as they may be for work to be done at all, which is read, read
    /// by id, mark and push within a tick.
    pub fn heal(&mut self) {
        let most_ms = (self.settings.tick_s * 1000).saturating_sub(2000) / 6;
        let most_ms = most_ms.min(self.settings.call_timeout_s * 500).max(30);
        self.pim = self.pim.up_to(most_ms);
        self.destination = self.destination.up_to(most_ms);
        self.late_writes = 0.0;
        self.unread_variables = 0.0;
        self.door.iter_mut().for_each(Manners::heal);
    }
}

/// The first of some values that a variable may have.
fn least(name: &str, values: &[u64]) -> u64 {
    let is_taken = |value: &&u64| {
        let given = |asked: &str| match asked {
            asked if asked == name => Ok(Some(value.to_string())),
            asked => variable(asked),
        };
        WorkerConfig::read(&Variables(&given)).is_ok()
    };
    *values.iter().find(is_taken).expect("one of them is good")
}

fn settings(random: &mut Rng) -> Settings {
    let mut one_of = |choices: &[u64]| choices[random.usize(..choices.len())];
    Settings {
        tick_s: one_of(&[least("tick_seconds", &[1, 2, 3]), 5, 10, 20, 25]),
        watch_s: SETTINGS.watch_s,
        page_entries: SETTINGS.page_entries,
        call_timeout_s: one_of(&[1, 3, 15, 25]),
        destination_rate: one_of(&[1, 5, 100, 1000]) as usize,
        high_water: one_of(&[least("high_water_mark", &[400, 10_000]), 1_000_000]),
        recent_s: one_of(&[1, 60, 300, 3600]),
        overlap_s: one_of(&[60, 600, 86_400]),
    }
}

/// A number between two, its magnitude being as likely as any other.
pub fn log_uniform(random: &mut Rng, least: u64, most: u64) -> u64 {
    let (low, high) = ((least.max(1) as f64).ln(), (most.max(1) as f64).ln());
    ((low + (high - low) * random.f64()).exp() as u64).clamp(least, most.max(least))
}
