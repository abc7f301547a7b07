//! Two hosts with one application's store in Redis, and another application beside them.

use crate::hosts::within_limits;
use crate::load::{Load, Sent, announce_all};
use futures_util::future::join_all;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use simulator::catalogue::{Action, Catalogue};
use simulator::fault::{Effect, Fault};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tests::application::{Application, Setup};
use tests::redis_server::RedisServer;
use tests::world::{World, deliver_all, platform_deliveries};
use tokio::sync::watch;
use tokio::time::sleep;

/// How many ticks of an application are to find work under load.
const WORKED: usize = 8;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server: `cargo xtask test --full`"]
async fn two_hosts_on_one_redis_lose_nothing_and_stay_within_the_limits() {
    let server = RedisServer::start().await.unwrap();
    let mut redis = connect(&server).await;
    let () = redis.set("somebody.else", "theirs").await.unwrap();
    let () = redis.set("r1.fourth.e.broken", "theirs too").await.unwrap();
    let () = redis.rpush("a list of somebody", &["1", "2"]).await.unwrap();
    let (shared, third) = (world(5).await, world(6).await);
    let one = Application::start(setup(&server, &shared)).await.unwrap();
    let other = Application::start(setup(&server, &shared)).await.unwrap();
    let beside = Application::start(setup(&server, &third).with("instance", "beside"))
        .await
        .unwrap();

    let (both, alone) = ([&one, &other], [&beside]);
    let (sent, sent_beside) = tokio::join!(run(&shared, &both), run(&third, &alone));
    for (world, host, sent, instance) in [(&shared, &one, sent, "main"), (&third, &beside, sent_beside, "beside")] {
        // What was deleted before it was ever pushed is held by the brake, beyond a few.
        host.release_brake().await.unwrap();
        believe_what_is_doubted(&server, host, instance).await;
        world.settle(host, 0).await.unwrap();
        host.tick_until_idle().await.unwrap();
        let lost: Vec<String> = world.destination.with(|destination| {
            let lost = sent
                .changes
                .iter()
                .filter_map(|change| change.missing_at(world, destination));
            lost.collect()
        });
        assert_eq!(lost, Vec::<String>::new());
        within_limits(world);
    }
    let theirs: (String, String, Vec<String>) = (
        redis.get("somebody.else").await.unwrap(),
        redis.get("r1.fourth.e.broken").await.unwrap(),
        redis.lrange("a list of somebody", 0, -1).await.unwrap(),
    );
    assert_eq!(
        theirs,
        ("theirs".into(), "theirs too".into(), vec!["1".into(), "2".into()])
    );
    let waiting: Vec<String> = redis.keys("r1.*.[ed].*").await.unwrap();
    assert_eq!(waiting, ["r1.fourth.e.broken"]);
}

/// A worker that is stopped in the middle of a batch for longer than anything of it counts as under way; another one works on
/// meanwhile, and it wakes up then.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes twenty-five minutes and needs redis-server: `cargo xtask test --full for_eleven_minutes`"]
async fn a_worker_stopped_for_eleven_minutes_leaves_nothing_old_behind() {
    const STOPPED: Duration = Duration::from_secs(11 * 60);
    let server = RedisServer::start().await.unwrap();
    let mut redis = connect(&server).await;
    let world = world(9).await;
    let one = Arc::new(Application::start(setup(&server, &world)).await.unwrap());
    let other = Application::start(setup(&server, &world)).await.unwrap();
    announce_all(&world, &one).await;
    one.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);

    let touched = world.touch_all().unwrap();
    deliver_all(&one, &platform_deliveries(&touched, 1)).await.unwrap();
    let (pushes, ticking) = (world.pushes("PUT"), one.clone());
    let tick = tokio::spawn(async move { ticking.tick().await });
    while world.pushes("PUT") < pushes + 10 {
        sleep(Duration::from_millis(5)).await;
    }
    one.signal("STOP").unwrap();
    let stopped = Instant::now();
    println!("stopped after {} pushes of its batch", world.pushes("PUT") - pushes);

    // All that it was about to push changes again, and some of it goes.
    let mut changes = world.touch_all().unwrap();
    for product in world.products().iter().step_by(20) {
        changes.extend(world.edit(product, Action::Delete).unwrap());
    }
    deliver_all(&other, &platform_deliveries(&changes, 2)).await.unwrap();
    while stopped.elapsed() < STOPPED {
        other.tick().await.unwrap();
        sleep(Duration::from_secs(2)).await;
    }
    println!("{} differ before it wakes up", world.differences().len());
    one.signal("CONT").unwrap();
    println!(
        "what it came to: {:?}",
        tick.await.unwrap().map(|report| report.to_string())
    );
    println!("{} differ after its tick has ended", world.differences().len());

    // What it pushed late is looked at again ten minutes later.
    loop {
        let in_flight: Vec<String> = redis.keys("r1.*.f.*").await.unwrap();
        if in_flight.is_empty() && world.differences().is_empty() {
            break;
        }
        assert!(
            stopped.elapsed() < STOPPED * 3,
            "{in_flight:?}, {:?}",
            world.differences()
        );
        for host in [&one, &other] {
            host.tick().await.unwrap();
        }
        sleep(Duration::from_secs(2)).await;
    }
    println!("equal {} s after it woke up", (stopped.elapsed() - STOPPED).as_secs());
}

async fn world(seed: u64) -> Arc<World> {
    let world = World::start(Catalogue::generate(150, 15, seed)).await.unwrap();
    // So that work lasts long enough for another host to ask meanwhile.
    world
        .destination
        .with(|destination| destination.faults.add(Fault::always(Effect::Slow { ms: 20 })));
    Arc::new(world)
}

/// Ticks on all hosts at once while deliveries come in at all of them.
async fn run(world: &Arc<World>, hosts: &[&Application]) -> Sent {
    let origins = hosts.iter().map(|host| host.url.clone()).collect();
    let (_keep, watched) = watch::channel(origins);
    announce_all(world, hosts[0]).await;
    let load = Load::start(world, &watched, 5);
    let worked = AtomicUsize::new(0);
    let outcomes = join_all(hosts.iter().map(|host| tick_often(host, &worked))).await;
    let sent = load.stop().await;
    println!(
        "ticks {outcomes:?}; {} deliveries with {} changes",
        sent.deliveries,
        sent.changes.len()
    );
    assert_eq!(sent.unanswered, 0, "both hosts take deliveries all the time");
    sent
}

async fn tick_often(host: &Application, worked: &AtomicUsize) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    while worked.load(Ordering::Relaxed) < WORKED {
        let report = host.tick().await.unwrap();
        let outcome = report["outcome"].as_str().unwrap_or_default().to_owned();
        assert!(["worked", "busy", "idle"].contains(&outcome.as_str()), "{report}");
        worked.fetch_add(usize::from(outcome == "worked"), Ordering::Relaxed);
        *outcomes.entry(outcome).or_default() += 1;
        // The schedule's pause, shortened.
        sleep(Duration::from_millis(200)).await;
    }
    outcomes
}

/// Ticks until no entity waits for the minute after which it is believed that it is gone, though a list still had it.
async fn believe_what_is_doubted(server: &RedisServer, host: &Application, instance: &str) {
    let mut redis = connect(server).await;
    for _ in 0..900 {
        let doubted: Vec<String> = redis.keys(format!("r1.{instance}.r.*.[0-9]d.*")).await.unwrap();
        if doubted.is_empty() {
            return;
        }
        host.tick().await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    panic!("what is doubted is not believed within hundreds of ticks");
}

async fn connect(server: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(server.url.as_str()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// The setup of an application in this world that keeps its store in this Redis.
fn setup(server: &RedisServer, world: &World) -> Setup {
    Setup {
        runtime_config: Some(server.runtime_config()),
        ..world.setup()
    }
}
