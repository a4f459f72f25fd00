//! Events, from whoever publishes to whoever listens.

use streamit_bus::subscription::WAITING;
use streamit_bus::{Notice, Rooms};

use super::support::*;

both_buses! {
    async fn what_is_published_after_subscribing_is_heard(bus: Bus) {
        for n in 0..50 {
            let room = room();
            let mut heard = bus.rooms.subscribe(room).await.unwrap();
            bus.other.publish(room, &news(n)).await.unwrap();
            assert_eq!(id_of(&hear(&mut heard).await), Some(n));
        }
    }

    async fn many_subscribe_at_once(bus: Bus) {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..600 {
            let (rooms, other, room) = (bus.rooms.clone(), bus.other.clone(), room());
            tasks.spawn(async move {
                let mut heard = rooms.subscribe(room).await.unwrap();
                other.publish(room, &news(n)).await.unwrap();
                assert_eq!(id_of(&hear(&mut heard).await), Some(n));
            });
        }
        tasks.join_all().await;
    }

    async fn news_of_one_room_reaches_all_who_listen_and_nobody_else(bus: Bus) {
        let (here, elsewhere) = (room(), room());
        let mut listeners = Vec::new();
        for rooms in [&bus.rooms, &bus.rooms, &bus.other] {
            listeners.push(rooms.subscribe(here).await.unwrap());
        }
        let mut stranger = bus.rooms.subscribe(elsewhere).await.unwrap();
        bus.rooms.publish(here, &news(7)).await.unwrap();
        for listener in &mut listeners {
            assert_eq!(id_of(&hear(listener).await), Some(7));
        }
        nothing_heard(&bus.rooms, elsewhere, &mut stranger).await;
    }

    async fn news_comes_in_the_order_of_publishing(bus: Bus) {
        let room = room();
        let mut heard = bus.other.subscribe(room).await.unwrap();
        for n in 0..200 {
            bus.rooms.publish(room, &news(n)).await.unwrap();
        }
        for n in 0..200 {
            assert_eq!(id_of(&hear(&mut heard).await), Some(n));
        }
    }

    async fn what_concerns_everybody_reaches_every_node(bus: Bus) {
        let mut here = bus.rooms.subscribe_all().await.unwrap();
        let mut there = bus.other.subscribe_all().await.unwrap();
        // Other tests may use the same channel, so this looks for its own.
        let mark = u64::from(user().as_bytes()[0]) << 32 | 0xABCD;
        bus.rooms.publish_all(&news(mark)).await.unwrap();
        for heard in [&mut here, &mut there] {
            while id_of(&hear(heard).await) != Some(mark) {}
        }
    }

    async fn who_is_slow_is_told_that_news_was_lost(bus: Bus) {
        let room = room();
        let mut slow = bus.rooms.subscribe(room).await.unwrap();
        let mut quick = bus.rooms.subscribe(room).await.unwrap();
        let all = u64::try_from(WAITING).unwrap() + 50;
        for n in 0..all {
            bus.other.publish(room, &news(n)).await.unwrap();
            assert_eq!(id_of(&hear(&mut quick).await), Some(n), "a slow listener does not stop a quick one");
        }
        let mut got = Vec::new();
        let mut lost = 0;
        // What waits is bounded, and its end is known: one more event, which there is room for by then.
        while got.last() != Some(&u64::MAX) {
            match hear(&mut slow).await {
                Notice::Lost => lost += 1,
                notice => got.extend(id_of(&notice)),
            }
            if got.len() == WAITING {
                bus.other.publish(room, &news(u64::MAX)).await.unwrap();
            }
        }
        assert!(lost > 0);
        assert_eq!(got.len(), WAITING + 1);
        assert!(got.is_sorted());
    }

    async fn who_stops_listening_disturbs_nobody_and_may_come_back(bus: Bus) {
        let room = room();
        let first = bus.rooms.subscribe(room).await.unwrap();
        let mut second = bus.rooms.subscribe(room).await.unwrap();
        drop(first);
        bus.other.publish(room, &news(1)).await.unwrap();
        assert_eq!(id_of(&hear(&mut second).await), Some(1));
        drop(second);
        for n in 0..50 {
            // Each comes while the one before may still be leaving.
            let mut again = bus.rooms.subscribe(room).await.unwrap();
            bus.other.publish(room, &news(n)).await.unwrap();
            assert_eq!(id_of(&hear(&mut again).await), Some(n));
        }
    }

    async fn room_time_is_shared_and_runs_forward(bus: Bus) {
        let mut last = bus.rooms.now();
        for _ in 0..1_000 {
            let now = bus.rooms.now();
            assert!(now >= last);
            last = now;
        }
        let (here, there) = (bus.rooms.now(), bus.other.now());
        assert!((there.0 - here.0).abs() < 100, "two nodes are {} ms apart", there.0 - here.0);
    }
}

#[tokio::test]
async fn redis_forgets_a_channel_when_the_last_listener_has_gone() {
    let server = Server::start().await;
    let rooms = alert_node(&server.url()).await;
    let mut operator = server.operator().await;
    let mut subscribers = async |room: streamit_domain::RoomId| {
        let channel = format!("s1:{{{room}}}:news");
        let mut asked = redis::cmd("PUBSUB");
        let counts: (String, u64) =
            asked.arg("NUMSUB").arg(&channel).query_async(&mut operator).await.unwrap();
        counts.1
    };
    let room = room();
    let first = rooms.subscribe(room).await.unwrap();
    let second = rooms.subscribe(room).await.unwrap();
    assert_eq!(subscribers(room).await, 1, "a node subscribes once for all who listen on it");
    drop(first);
    drop(second);
    until("the channel is forgotten", async || subscribers(room).await == 0).await;
}
