//! A node that did not run for a while: nothing stale is done, nobody is missed who is there, nobody counts twice.

use super::cluster::Cluster;
use super::*;
use crate::room::recovery::RECOVERY_MS;
use streamit_telemetry::trace::Cause;

/// The host and a guest on the first node, two guests on the second.
fn party() -> (Cluster, Vec<u64>) {
    let mut cluster = Cluster::of(2);
    let connections = (1..=4).map(|who| cluster.join((who as usize - 1) / 2, who)).collect::<Vec<_>>();
    cluster.command(0, connections[0], play(10.0));
    cluster.told_to_all();
    (cluster, connections)
}

fn frame(connection: u64, command: Command) -> Input {
    Input::Frame(ConnectionId(connection), ClientFrame::Playback(command), Cause::default())
}

#[test]
fn a_short_pause_is_told_to_nobody_and_leaves_nothing_behind() {
    let (mut cluster, _) = party();
    cluster.stop(0);
    cluster.pass(5_000);
    cluster.go_on(0, 1, vec![]);
    assert_eq!(cluster.present().1, 4, "the entries of the life before are gone");
    cluster.pass(RECOVERY_MS + 100);
    assert!(cluster.told_to_all().is_empty());
    cluster.all_know(&[1, 2, 3, 4]);
    // That others hold the former life dead later on concerns nobody.
    cluster.holds_dead(1, 0);
    assert!(cluster.told_to_all().is_empty());
    assert_eq!(cluster.present().1, 4);
}

#[test]
fn members_of_a_node_that_was_held_dead_are_seen_again_and_hear_nothing_of_it() {
    let (mut cluster, connections) = party();
    cluster.stop(0);
    cluster.pass(10_000);
    cluster.holds_dead(1, 0);
    let hears = |cluster: &Cluster| -> Vec<String> {
        let of = |frame: &Value| format!("{} {}", frame["type"], frame["user"]).replace('"', "");
        cluster.told(1, connections[2]).iter().map(of).collect()
    };
    assert_eq!(hears(&cluster), ["USER_LEFT u1", "USER_LEFT u2", "HOST_DISCONNECTED null"]);
    cluster.go_on(0, 1, vec![]);
    assert_eq!(hears(&cluster), ["USER_JOINED u1", "USER_JOINED u2", "HOST_RECONNECTED null"]);
    cluster.pass(RECOVERY_MS + 100);
    cluster.all_know(&[1, 2, 3, 4]);
    assert_eq!(cluster.present().1, 4);
    for connection in &connections[..2] {
        assert!(cluster.told(0, *connection).is_empty());
    }
}

#[test]
fn a_command_that_waited_through_the_pause_is_judged_by_the_facts_of_now() {
    let (mut cluster, connections) = party();
    cluster.stop(0);
    cluster.facts = Facts { host: user(3), fence: 2, ..facts(6) };
    cluster.pass(5_000);
    let film = cluster.stored();
    // The former host's, and that of a guest who is none the less host by now on this very node.
    cluster.go_on(0, 1, vec![frame(connections[0], Command::Pause(None))]);
    let told = cluster.told(0, connections[0]);
    assert!(told.iter().any(|frame| frame["code"] == "HOST_ONLY"), "{told:?}");
    assert_eq!(cluster.stored(), film);
}

#[test]
fn who_became_host_during_the_pause_is_heard() {
    let (mut cluster, connections) = party();
    cluster.stop(0);
    cluster.facts = Facts { host: user(2), fence: 2, ..facts(6) };
    cluster.pass(5_000);
    cluster.go_on(0, 1, vec![frame(connections[1], Command::Pause(None))]);
    let film = cluster.stored().unwrap();
    assert!(!film.is_playing && film.version.fence == 2);
}

#[test]
fn a_command_that_waited_is_computed_from_the_film_of_now() {
    let (mut cluster, connections) = party();
    cluster.stop(0);
    // The host is on the other node, too, and goes somewhere else.
    let other = cluster.join(1, 1);
    cluster.command(1, other, Command::Seek(MediaTime::try_from(600.0).unwrap()));
    let ran = cluster.stored().unwrap();
    cluster.pass(5_000);
    cluster.go_on(0, 1, vec![frame(connections[0], Command::Pause(None))]);
    let film = cluster.stored().unwrap();
    assert_eq!((film.is_playing, film.time), (false, ran.position(film.at)));
    assert!(film.time.secs() > 604.0);
}

#[test]
fn no_command_goes_out_before_facts_and_film_were_read_again() {
    let mut world = World::new();
    world.join(1, 1);
    let sets = |world: &World| world.wants(|effect| matches!(effect, Effect::SetPlayback(..)));
    for film_comes_first in [true, false] {
        world.on(Input::Reborn(Incarnation(Uuid::from_u128(2))));
        world.command(1, play(1.0));
        let facts = Input::Facts(Ok(Some(v1::Facts::of(&facts(5), 5))));
        let film = Input::PlaybackRead(Ok(None));
        let (first, second) = if film_comes_first { (film, facts) } else { (facts, film) };
        assert!(!sets(&world));
        world.on(first);
        assert!(!sets(&world));
        world.on(second);
        assert!(sets(&world));
        let (_, next) = world.set();
        world.on(Input::PlaybackSet(next, Ok(Cas::Stored)));
    }
}

#[test]
fn without_the_api_what_waited_is_refused_and_tried_again_later() {
    let (mut cluster, connections) = party();
    cluster.stop(0);
    cluster.pass(5_000);
    cluster.is_api_away = true;
    let queued = (0..3).map(|_| frame(connections[0], Command::Pause(None))).collect();
    cluster.go_on(0, 1, queued);
    let codes: Vec<_> = cluster.told(0, connections[0]).iter().map(|frame| frame["code"].clone()).collect();
    assert_eq!(codes, ["TRY_AGAIN"; 3]);
    cluster.command(0, connections[0], Command::Pause(None));
    assert_eq!(cluster.told(0, connections[0])[0]["code"], "TRY_AGAIN");
    cluster.is_api_away = false;
    cluster.command(0, connections[0], Command::Pause(None));
    assert!(!cluster.stored().unwrap().is_playing);
}

#[test]
fn nobody_is_given_up_for_a_silence_that_was_the_nodes_own() {
    let mut world = World::new();
    world.join(1, 1);
    world.up += SILENT_MS * 2;
    world.on(Input::Reborn(Incarnation(Uuid::from_u128(2))));
    world.on(Input::Tick);
    assert_eq!(world.closed(1), None);
    world.pass(SILENT_MS);
    assert_eq!(world.closed(1), Some(4102));
}

#[test]
fn who_was_in_his_grace_when_the_node_paused_leaves_no_ghost() {
    let (mut cluster, connections) = party();
    cluster.leave(0, connections[1], Gone::Grace);
    cluster.pass(1_000);
    cluster.stop(0);
    cluster.pass(5_000);
    cluster.go_on(0, 1, vec![]);
    cluster.pass(RECOVERY_MS + 100);
    cluster.all_know(&[1, 3, 4]);
    assert_eq!(cluster.present().1, 3);
    assert_eq!(cluster.told(1, connections[2])[0]["user"], "u2");
}

#[test]
fn who_was_coming_in_when_the_node_paused_is_in_once() {
    let (mut cluster, _) = party();
    let mut world = World::new();
    let joiner = world.joiner(77, 5, 5);
    cluster.put(0, Input::Join(joiner)); // what the room asks for waits
    cluster.stop(0);
    cluster.pass(5_000);
    cluster.go_on(0, 1, vec![Input::Flushed(ConnectionId(77))]);
    cluster.pass(RECOVERY_MS + 100);
    cluster.all_know(&[1, 2, 3, 4, 5]);
    assert_eq!(cluster.present().1, 5);
}

#[test]
fn a_node_may_pause_again_and_again() {
    let (mut cluster, _) = party();
    for life in 1..=12 {
        cluster.stop(0);
        cluster.pass(5_000);
        cluster.go_on(0, life, vec![]);
        cluster.pass(500);
    }
    cluster.pass(RECOVERY_MS + 100);
    assert!(cluster.told_to_all().is_empty());
    cluster.all_know(&[1, 2, 3, 4]);
    assert_eq!(cluster.present().1, 4);
    assert!(cluster.nodes[0].room.former.len() <= MAX_LIVES);
}
