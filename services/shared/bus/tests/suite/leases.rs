//! Which nodes live.

use streamit_wire::v1;

use super::support::*;

both_buses! {
    async fn a_lease_moves_with_each_beat_and_runs_out_without(bus: Bus) {
        let (a, b) = (life(), life());
        assert_eq!(bus.rooms.beats(&[a, b]).await.unwrap(), [None, None]);
        bus.rooms.beat(a, &says("a")).await.unwrap();
        let first = bus.other.beats(&[b, a]).await.unwrap();
        assert!(first[0].is_none() && first[1].is_some());
        assert_eq!(bus.other.beats(&[b, a]).await.unwrap(), first, "reading moves nothing");
        bus.rooms.beat(a, &says("a")).await.unwrap();
        let second = bus.other.beats(&[a]).await.unwrap();
        assert!(second[0].is_some() && second[0] != first[1]);
        until("the lease runs out", async || bus.other.beats(&[a]).await.unwrap() == [None]).await;
        assert!(bus.rooms.beats(&[]).await.unwrap().is_empty());
    }

    async fn a_lease_that_is_renewed_in_time_does_not_run_out(bus: Bus) {
        let (a, start) = (life(), bus.rooms.now());
        while bus.rooms.now().since(start) < LIFETIMES.lease * 2 {
            bus.rooms.beat(a, &says("a")).await.unwrap();
            tokio::time::sleep(LIFETIMES.lease / 8).await;
            assert!(bus.other.beats(&[a]).await.unwrap()[0].is_some());
        }
    }

    async fn a_node_that_rests_is_known_to_have_gone_at_once(bus: Bus) {
        let a = life();
        bus.rooms.beat(a, &says("a")).await.unwrap();
        bus.rooms.rest(a).await.unwrap();
        assert_eq!(bus.other.beats(&[a]).await.unwrap(), [None]);
        bus.rooms.rest(a).await.unwrap();
    }

    async fn nodes_are_listed_alive_or_not(bus: Bus) {
        let (alive, resting, unheard) = (life(), life(), life());
        bus.rooms.beat(alive, &says("alive")).await.unwrap();
        bus.other.beat(resting, &says("resting")).await.unwrap();
        bus.other.rest(resting).await.unwrap();
        let nodes = bus.other.nodes().await.unwrap();
        assert!(nodes.contains(&alive) && nodes.contains(&resting) && !nodes.contains(&unheard));
    }

    async fn what_a_node_says_of_itself_is_told_until_its_lease_is_over(bus: Bus) {
        let (a, b) = (life(), life());
        let of = async |node| {
            let told = bus.other.statuses().await.unwrap();
            told.into_iter().find(|told| told.incarnation == node)
        };
        assert_eq!(of(a).await, None);
        let before = bus.rooms.now();
        bus.rooms.beat(a, &says("a")).await.unwrap();
        bus.rooms.beat(b, &says("b")).await.unwrap();
        let told = of(a).await.unwrap();
        assert_eq!(told.status, says("a"));
        assert!(told.at.0 >= before.0 - 100 && told.at.since(before) < LIFETIMES.lease, "{told:?}");

        // The later word counts.
        let busy = v1::NodeStatus { connections: 7, is_draining: true, ..says("a") };
        bus.rooms.beat(a, &busy).await.unwrap();
        assert_eq!(of(a).await.unwrap().status, busy);

        bus.rooms.rest(b).await.unwrap();
        assert_eq!(of(b).await, None, "it has gone");
        assert!(of(a).await.is_some());
        until("the lease runs out", async || of(a).await.is_none()).await;
    }

    async fn a_node_that_says_nothing_of_itself_is_told_all_the_same(bus: Bus) {
        let a = life();
        bus.rooms.beat(a, &v1::NodeStatus::default()).await.unwrap();
        let told = bus.other.statuses().await.unwrap();
        let told = told.into_iter().find(|told| told.incarnation == a).unwrap();
        assert_eq!(told.status, v1::NodeStatus::default());
    }
}
