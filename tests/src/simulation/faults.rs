//! What goes wrong in a world of chance.

use super::host::{Chances, Shared};
use fastrand::Rng;
use simulator::fault::{Effect, Fault};

/// Decides what goes wrong; says whether nothing does that would excuse a broken limit.
pub(super) fn go_wrong(shared: &mut Shared, random: &mut Rng) -> bool {
    let mut maybe = |chance: f64| if random.bool() { random.f64() * chance } else { 0.0 };
    let chances = Chances {
        kill: maybe(0.02),
        pause: maybe(0.004),
        store: maybe(0.02),
        half: maybe(0.05),
    };
    shared.chances = chances;
    for of_pim in [true, false] {
        for _ in 0..random.usize(..3) {
            let fault = any_fault(random);
            if of_pim {
                shared.pim.faults.add(fault)
            } else {
                shared.destination.faults.add(fault)
            }
        }
    }
    if random.u8(..8) == 0 {
        let down = if random.bool() {
            Fault::status(503)
        } else {
            Effect::Hang { ms: 60_000 }
        };
        shared.destination.faults.add(Fault::always(down));
    }
    let refused = shared
        .pim
        .catalogue
        .truth()
        .products(None)
        .next()
        .map(|product| product.id.key());
    if let (Some(refused), true) = (refused, random.u8(..3) == 0) {
        shared.destination.reject(&refused, "refused until somebody mends it");
    }
    chances.kill == 0.0 && chances.pause == 0.0 && chances.store == 0.0
}

fn any_fault(random: &mut Rng) -> Fault {
    let wait = |random: &mut Rng| Effect::Status {
        status: if random.bool() { 429 } else { 503 },
        headers: vec![("retry-after".to_owned(), random.u64(1..60).to_string())],
        body: None,
    };
    let effect = match random.u8(..9) {
        0 => Fault::status(500),
        1 => Fault::status(503),
        2 => Fault::status(408),
        3 => Fault::status(429),
        4 => wait(random),
        5 => Effect::Hang {
            ms: random.u64(1000..120_000),
        },
        6 => Effect::Slow {
            ms: random.u64(100..30_000),
        },
        7 => Effect::Cut { applied: random.bool() },
        _ => Effect::LandLate {
            after_ms: random.u64(1000..400_000),
        },
    };
    Fault::share(random.f64() * 0.4, effect)
}
