//! How long round trips to a room's members take, as its nodes tell each other.

use std::time::Duration;

use streamit_bus::SharedRooms;
use streamit_domain::{Incarnation, RoomId};

use super::support::*;

/// Tells `took` milliseconds as the node of this life; returns what holds then.
async fn tell(rooms: &SharedRooms, room: RoomId, node: Incarnation, took: Option<u64>) -> Option<u64> {
    let live = rooms.refresh(node, &[(room, took.map(Duration::from_millis))]).await.unwrap()[0];
    live.round_trip.map(|took| u64::try_from(took.as_millis()).unwrap())
}

/// A room with somebody in it, and two nodes.
async fn lives(bus: &Bus) -> (RoomId, Incarnation, Incarnation) {
    let (room, near, far) = (room(), life(), life());
    bus.rooms.enter(room, &[entry(near, 1, user(), "Ana")], 0).await.unwrap();
    (room, near, far)
}

both_buses! {
    async fn the_longest_round_trip_of_all_nodes_holds(bus: Bus) {
        let (room, near, far) = lives(&bus).await;
        assert_eq!(tell(&bus.rooms, room, near, None).await, None);
        assert_eq!(tell(&bus.rooms, room, near, Some(20)).await, Some(20));
        assert_eq!(tell(&bus.other, room, far, Some(300)).await, Some(300));
        assert_eq!(tell(&bus.rooms, room, near, Some(30)).await, Some(300));
        assert_eq!(tell(&bus.rooms, room, near, Some(99)).await, Some(300), "compared as numbers");
        assert_eq!(tell(&bus.rooms, room, near, None).await, Some(300));
        assert_eq!(refresh(&*bus.other, room).await.round_trip, Some(Duration::from_millis(300)));
    }

    async fn the_longest_round_trip_sinks_when_its_node_tells_less(bus: Bus) {
        let (room, near, far) = lives(&bus).await;
        tell(&bus.other, room, far, Some(300)).await;
        assert_eq!(tell(&bus.other, room, far, Some(10)).await, Some(10));
        assert_eq!(tell(&bus.rooms, room, near, Some(40)).await, Some(40), "the other node has the longest now");
        assert_eq!(tell(&bus.other, room, far, Some(300)).await, Some(300));
        assert_eq!(tell(&bus.other, room, far, None).await, None, "nobody is left on that node");
        assert_eq!(tell(&bus.rooms, room, near, Some(40)).await, Some(40));
    }

    async fn a_round_trip_of_a_node_that_is_silent_is_forgotten(bus: Bus) {
        let (room, near, far) = lives(&bus).await;
        tell(&bus.other, room, far, Some(300)).await;
        until("the other node's word is forgotten", async || tell(&bus.rooms, room, near, Some(20)).await == Some(20)).await;
    }

    async fn a_round_trip_that_is_told_again_and_again_stays(bus: Bus) {
        let (room, near, far) = lives(&bus).await;
        let start = bus.rooms.now();
        while bus.rooms.now().since(start) < LIFETIMES.roster * 2 {
            tell(&bus.other, room, far, Some(300)).await;
            assert_eq!(tell(&bus.rooms, room, near, Some(20)).await, Some(300));
            tokio::time::sleep(LIFETIMES.roster / 8).await;
        }
    }

    async fn of_a_room_without_a_roster_nothing_is_kept(bus: Bus) {
        let (room, node) = (room(), life());
        assert_eq!(tell(&bus.rooms, room, node, Some(20)).await, None);
        assert_eq!(refresh(&*bus.rooms, room).await, streamit_bus::LiveVersions::default());
    }
}
