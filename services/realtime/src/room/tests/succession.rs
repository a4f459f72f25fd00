//! A host who is lost, and one to whom the room goes back.

use super::cluster::Cluster;
use super::*;

fn reports(world: &mut World) -> Vec<(UserId, bool)> {
    let mut told = Vec::new();
    world.waiting.retain(|effect| match effect {
        Effect::ReportHost(report) => {
            told.push((UserId::from_slice(&report.host).unwrap(), report.is_back));
            false
        }
        _ => true,
    });
    told
}

/// The room has passed from user 1 to user 2.
fn passed(version: u64) -> Facts {
    let host_name = DisplayName::parse("u2").unwrap();
    Facts { host: user(2), host_name, fence: 2, lost_host: Some(user(1)), ..facts(version) }
}

fn hear(world: &mut World, facts: &Facts) {
    world.on(Input::Facts(Ok(Some(v1::Facts::of(facts, 5)))));
}

#[test]
fn the_return_of_the_one_to_whom_the_room_goes_back_is_told_the_api_and_his_rule_to_all() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.on(Input::Gone(ConnectionId(1), Gone::Now));
    world.answer_leave();
    assert_eq!(reports(&mut world), [(user(1), false)]);
    world.types(2);
    hear(&mut world, &passed(6));
    assert_eq!(world.types(2), ["HOST_CHANGED", "ROOM_PARTICIPANTS"]);
    assert_eq!(reports(&mut world), [], "he is not here");

    world.join(3, 1);

    assert_eq!(reports(&mut world), [(user(1), true)]);
    assert_eq!(world.types(2), ["USER_JOINED"], "host is who the api says");
    world.join(4, 3);
    assert_eq!(reports(&mut world), [], "once, unless there is news of the room");
    world.types(2);
    hear(&mut world, &Facts { fence: 3, ..facts(7) });
    assert_eq!(world.types(2), ["HOST_CHANGED", "ROOM_PARTICIPANTS"]);
    assert_eq!(reports(&mut world), []);
}

#[test]
fn who_came_back_just_as_the_room_passed_on_is_reported_when_that_is_heard() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    reports(&mut world);
    hear(&mut world, &passed(6));
    assert_eq!(reports(&mut world), [(user(1), true)]);
}

#[test]
fn a_host_who_is_kept_while_the_roster_is_in_doubt_is_not_reported_back() {
    let mut cluster = Cluster::of(2);
    let host = cluster.join(0, 1);
    let other = cluster.join(1, 2);
    // The second node misses that he goes, and then begins a new life.
    cluster.deaf(1);
    cluster.leave(0, host, Gone::Now);
    let gone_at = cluster.roster().version;
    cluster.facts = Facts { host_deadline: Some(Timestamp(START + 30_000)), ..facts(6) };
    cluster.go_on(1, 1, Vec::new());
    assert_eq!(cluster.nodes[1].room.facts.version, 6, "it has heard that the api waits");
    assert_eq!(cluster.nodes[1].reports, [], "it knows nothing of him");

    cluster.pass(5_000);

    let told: Vec<_> =
        cluster.nodes[1].reports.iter().map(|told| (told.is_back, told.roster_version)).collect();
    assert_eq!(told, [(false, gone_at)], "a word of his return at this version would void it");
    let frames = cluster.told(1, other);
    assert!(frames.iter().any(|frame| frame["type"] == "HOST_DISCONNECTED"), "{frames:?}");
}
