//! Which nodes live.

use super::support::*;

both_buses! {
    async fn a_lease_moves_with_each_beat_and_runs_out_without(bus: Bus) {
        let (a, b) = (life(), life());
        assert_eq!(bus.rooms.beats(&[a, b]).await.unwrap(), [None, None]);
        bus.rooms.beat(a).await.unwrap();
        let first = bus.other.beats(&[b, a]).await.unwrap();
        assert!(first[0].is_none() && first[1].is_some());
        assert_eq!(bus.other.beats(&[b, a]).await.unwrap(), first, "reading moves nothing");
        bus.rooms.beat(a).await.unwrap();
        let second = bus.other.beats(&[a]).await.unwrap();
        assert!(second[0].is_some() && second[0] != first[1]);
        until("the lease runs out", async || bus.other.beats(&[a]).await.unwrap() == [None]).await;
        assert!(bus.rooms.beats(&[]).await.unwrap().is_empty());
    }

    async fn a_lease_that_is_renewed_in_time_does_not_run_out(bus: Bus) {
        let (a, start) = (life(), bus.rooms.now());
        while bus.rooms.now().since(start) < LIFETIMES.lease * 2 {
            bus.rooms.beat(a).await.unwrap();
            tokio::time::sleep(LIFETIMES.lease / 8).await;
            assert!(bus.other.beats(&[a]).await.unwrap()[0].is_some());
        }
    }

    async fn a_node_that_rests_is_known_to_have_gone_at_once(bus: Bus) {
        let a = life();
        bus.rooms.beat(a).await.unwrap();
        bus.rooms.rest(a).await.unwrap();
        assert_eq!(bus.other.beats(&[a]).await.unwrap(), [None]);
        bus.rooms.rest(a).await.unwrap();
    }

    async fn nodes_are_listed_alive_or_not(bus: Bus) {
        let (alive, resting, unheard) = (life(), life(), life());
        bus.rooms.beat(alive).await.unwrap();
        bus.other.beat(resting).await.unwrap();
        bus.other.rest(resting).await.unwrap();
        let nodes = bus.other.nodes().await.unwrap();
        assert!(nodes.contains(&alive) && nodes.contains(&resting) && !nodes.contains(&unheard));
    }
}
