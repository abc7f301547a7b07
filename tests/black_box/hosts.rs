//! Several hosts with one store.

use futures_util::future::join_all;
use serde_json::Value;
use simulator::catalogue::{Action, Catalogue, Change, EntityId};
use simulator::fault::{Effect, Fault};
use tests::application::Application;
use tests::world::{World, deliver_all, platform_deliveries};

#[tokio::test]
async fn of_overlapping_ticks_on_two_hosts_one_works() {
    let world = World::start(Catalogue::generate(120, 0, 7)).await.unwrap();
    world
        .destination
        .with(|destination| destination.faults.add(Fault::always(Effect::Slow { ms: 20 })));
    let one = Application::start(world.setup()).await.unwrap();
    let other = Application::start_on(one.state(), world.setup()).await.unwrap();
    for (round, products) in world.products().chunks(60).enumerate() {
        let changes = touch(&world, products);
        let (first, second) = changes.split_at(30);
        for (host, changes) in [(&one, first), (&other, second)] {
            deliver_all(host, &platform_deliveries(changes, round as u64))
                .await
                .unwrap();
        }
        let reports = join_all([&one, &other, &one, &other, &one, &other].map(Application::tick)).await;
        let reports: Vec<Value> = reports.into_iter().map(Result::unwrap).collect();
        for report in &reports {
            println!(
                "{}: {} entities, {} ms",
                report["outcome"], report["entities"], report["ms"]
            );
        }
        let count = |outcome: &str| reports.iter().filter(|report| report["outcome"] == outcome).count();
        assert_eq!(count("worked"), 1, "{reports:?}");
        assert_eq!(count("busy") + count("idle"), 5, "{reports:?}");
    }
    assert_eq!(world.differences(), []);
    assert_eq!(world.pushes("PUT"), 120, "each entity once");
    within_limits(&world);
}

/// The limits of both upstreams were kept, and neither had to say so.
pub(crate) fn within_limits(world: &World) {
    let pim = world.pim.with(|pim| pim.meter.seen().clone());
    let destination = world.destination.with(|destination| destination.meter.seen().clone());
    println!("PIM {pim:?}; destination {destination:?}");
    assert!(pim.max_at_once <= 4 && destination.max_at_once <= 5);
    assert_eq!((pim.violations, destination.violations), (0, 0));
}

fn touch(world: &World, entities: &[EntityId]) -> Vec<Change> {
    entities
        .iter()
        .flat_map(|entity| world.edit(entity, Action::Touch).unwrap())
        .collect()
}
