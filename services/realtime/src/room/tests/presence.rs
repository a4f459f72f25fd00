//! Who comes and goes, and who is told.

use super::*;

#[test]
fn a_second_tab_is_the_same_user() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.frames(1);
    world.join(3, 2);
    assert!(world.types(1).is_empty());
    world.on(Input::Gone(ConnectionId(2), Gone::Now));
    world.answer_leave();
    assert!(world.types(1).is_empty());
    world.on(Input::Gone(ConnectionId(3), Gone::Now));
    world.answer_leave();
    assert_eq!(world.types(1), ["USER_LEFT"]);
}

#[test]
fn a_blip_is_silent_and_a_departure_is_told_after_the_grace() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.frames(1);
    world.on(Input::Gone(ConnectionId(2), Gone::Grace));
    world.pass(1_000);
    world.join(3, 2);
    world.pass(GRACE_MS);
    world.answer_leave();
    assert!(world.types(1).is_empty());
    world.on(Input::Gone(ConnectionId(3), Gone::Grace));
    world.pass(GRACE_MS - 1);
    assert!(world.waiting.iter().all(|effect| !matches!(effect, Effect::Leave(..))));
    world.pass(1);
    world.answer_leave();
    assert_eq!(world.types(1), ["USER_LEFT"]);
}

#[test]
fn the_host_away_and_back_is_told_and_reported_once() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.on(Input::Gone(ConnectionId(1), Gone::Now));
    world.answer_leave();
    assert_eq!(world.types(2), ["USER_LEFT", "HOST_DISCONNECTED"]);
    assert!(world.wants(|effect| matches!(effect, Effect::ReportHost(report) if !report.is_back)));
    world.waiting.clear();
    world.join(3, 1);
    assert_eq!(world.types(2), ["USER_JOINED", "HOST_RECONNECTED"]);
    assert!(world.wants(|effect| matches!(effect, Effect::ReportHost(report) if report.is_back)));
}

#[test]
fn a_missed_change_of_the_roster_is_read_and_the_difference_told() {
    let mut world = World::new();
    world.join(1, 1);
    let version = world.roster.version;
    let change =
        RosterChange { previous: version + 1, version: version + 2, joined: vec![], left: vec![], online: 3 };
    world.on(Input::Notice(Notice::Roster(Arc::new(change))));
    assert!(world.wants(|effect| matches!(effect, Effect::ReadRoster(_))));
    let mut roster = world.roster.clone();
    roster.version += 2;
    let since = Timestamp(START);
    roster.users.insert(user(7), Present { name: "u7".into(), since });
    world.on(Input::Roster(version, Ok(roster)));
    assert_eq!(world.types(1), ["USER_JOINED"]);
}

#[test]
fn a_lost_roster_is_filled_again_and_nobody_is_told_as_gone() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.frames(1);
    let asked_at = world.roster.version;
    world.on(Input::Roster(asked_at, Ok(Roster::default())));
    let entries = world.take(
        |effect| matches!(effect, Effect::Reenter(..)),
        |effect| match effect {
            Effect::Reenter(entries, _) => entries,
            _ => unreachable!(),
        },
    );
    assert_eq!(entries.len(), 2);
    world.roster = Roster { version: asked_at + 100, ..Roster::default() };
    let answer = world.enter(&entries);
    world.on(Input::Reentered(Ok(answer)));
    assert!(world.types(1).is_empty());
}

#[test]
fn a_deleted_room_says_so_before_it_closes() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_facts(5, &Facts { life: Life::Closed, ..facts(6) });
    let work = world.outboxes[&1].take();
    assert_eq!(work.frames.len(), 1);
    assert_eq!(work.close.unwrap().code, 4005);
}

#[test]
fn who_is_silent_for_a_minute_is_given_up() {
    let mut world = World::new();
    world.join(1, 1);
    assert!(world.outboxes[&1].take().ping, "at once");
    world.pass(HEARTBEAT_SOON_MS);
    assert!(!world.outboxes[&1].take().ping);
    world.pass(PING_MS);
    assert!(world.outboxes[&1].take().ping, "and from time to time");
    world.pass(SILENT_MS);
    assert_eq!(world.closed(1), Some(4102));
}

#[test]
fn who_is_silent_is_given_up_a_second_after_the_minute_at_the_latest() {
    let mut world = World::new();
    for (connection, heard_at) in [(1, 0), (2, 3_700), (3, 4_999)] {
        world.join(connection, connection.into());
        world.outboxes[&connection].heard(heard_at);
    }
    let mut closed_at = HashMap::new();
    while closed_at.len() < 3 {
        let due = world.room.next_deadline();
        assert!(due <= SILENT_MS * 2, "{closed_at:?}");
        world.pass(due - world.up);
        for connection in 1..=3 {
            if world.outboxes[&connection].is_closing() {
                closed_at.entry(connection).or_insert(world.up);
            }
        }
    }
    for (connection, heard_at) in [(1, 0), (2, 3_700), (3, 4_999)] {
        let silent_for = closed_at[&connection] - heard_at;
        assert!((SILENT_MS..=SILENT_MS + HEARTBEAT_SOON_MS).contains(&silent_for), "{silent_for}");
    }
}

#[test]
fn above_two_hundred_people_are_told_as_a_count() {
    let mut world = World::new();
    world.room.setup.limits = false;
    for n in 1..=203 {
        let joiner = world.joiner(n, u128::from(n), 5);
        world.on(Input::Join(joiner));
        world.answer_enter();
        world.frames(n);
        let told = world.types(1);
        assert_eq!(told.len(), usize::from((2..=200).contains(&n)), "{n}: {told:?}");
    }
    world.pass(COUNT_MS);
    let frames = world.frames(1);
    assert_eq!((frames.len(), &frames[0]["online"]), (1, &203.into()));
}

#[test]
fn a_node_that_was_wrongly_held_dead_enters_its_members_again() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    let keys: Vec<EntryKey> = world.roster.entries.keys().copied().collect();
    let change = world.leave(&keys);
    world.on(Input::Notice(Notice::Roster(Arc::new(change))));
    assert!(world.wants(|effect| matches!(effect, Effect::Reenter(entries, _) if entries.len() == 2)));
}

#[test]
fn a_room_that_falls_back_to_few_tells_the_whole_list() {
    let mut world = World::new();
    world.room.setup.limits = false;
    for n in 1..=202 {
        let joiner = world.joiner(n, u128::from(n), 5);
        world.on(Input::Join(joiner));
        world.answer_enter();
        world.frames(1);
    }
    for n in 3..=202 {
        world.on(Input::Gone(ConnectionId(n), Gone::Now));
    }
    while world.wants(|effect| matches!(effect, Effect::Leave(..))) {
        world.answer_leave();
        world.frames(1);
    }
    world.pass(HEARTBEAT_MS);
    let frames = world.frames(1);
    let list = frames.iter().find(|frame| frame["type"] == "ROOM_PARTICIPANTS");
    assert_eq!(list.map(|list| &list["online"]), Some(&2.into()), "{frames:?}");
    assert!(!world.outboxes[&1].is_closing());
}

#[test]
fn a_roster_that_was_read_before_somebody_came_in_says_nothing_about_him() {
    let mut world = World::new();
    world.join(1, 1);
    let version = world.roster.version;
    world.on(Input::Versions(Some(LiveVersions { roster: version + 1, ..LiveVersions::default() }), None));
    let read = world.roster.clone();
    world.join(2, 1); // a second tab, which moves no version
    world.on(Input::Roster(version, Ok(read)));
    assert!(!world.wants(|effect| matches!(effect, Effect::Reenter(..))));
    assert!(world.room.recovery.is_none());
}

#[test]
fn who_goes_while_all_are_entered_again_is_removed_afterwards() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    world.on(Input::Roster(world.roster.version, Ok(Roster::default())));
    world.on(Input::Gone(ConnectionId(2), Gone::Now));
    assert!(!world.wants(|effect| matches!(effect, Effect::Leave(..))), "it might be carried out first");
    let entries = world.take(
        |effect| matches!(effect, Effect::Reenter(..)),
        |effect| match effect {
            Effect::Reenter(entries, _) => entries,
            _ => unreachable!(),
        },
    );
    let answer = world.enter(&entries);
    world.on(Input::Reentered(Ok(answer)));
    assert!(world.wants(|effect| matches!(effect, Effect::Leave(keys, _) if keys.len() == 1)));
}

#[test]
fn what_a_room_before_this_one_left_in_the_roster_is_not_for_this_one_to_take_out() {
    let mut world = World::new();
    // Somebody was put out of the room that was here before, which sees him out: he may come back.
    let key = EntryKey { incarnation: Incarnation(Uuid::from_u128(1)), connection: ConnectionId(1) };
    world.enter(&[Entry { key, user: user(9), name: "u9".into() }]);
    world.join(2, 1);
    world.pass(GRACE_MS);
    assert!(!world.wants(|effect| matches!(effect, Effect::Leave(..))));
}

#[test]
fn what_a_room_that_failed_has_left_is_seen_out_by_the_next_and_who_returns_is_told_to_nobody() {
    let mut world = World::new();
    let left = |connection, who| Entry {
        key: EntryKey { incarnation: Incarnation(Uuid::from_u128(1)), connection: ConnectionId(connection) },
        user: user(who),
        name: format!("u{who}"),
    };
    world.enter(&[left(1, 1), left(2, 2)]);
    world.join(4, 2);
    world.on(Input::AfterFault);
    let read = |effect: &Effect| matches!(effect, Effect::ReadRoster(_));
    world.take(read, |_| ());
    world.on(Input::Roster(0, Err(Error::Away(None))));
    // Nothing is forgotten while the store is away.
    let live = LiveVersions { roster: world.roster.version, ..LiveVersions::default() };
    world.on(Input::Versions(Some(live), None));
    world.take(read, |_| ());
    let roster = world.roster.clone();
    world.on(Input::Roster(world.roster.version, Ok(roster)));
    world.pass(GRACE_MS - 1);
    assert!(!world.wants(|effect| matches!(effect, Effect::Leave(..))), "they may come back");
    world.pass(1);
    world.answer_leave();
    let told = world.frames(4);
    let left: Vec<_> = told.iter().map(|frame| (frame["type"].as_str(), frame["user"].as_str())).collect();
    assert_eq!(left, [(Some("USER_LEFT"), Some("u1")), (Some("HOST_DISCONNECTED"), None)]);
    assert_eq!(world.roster.entries.len(), 1);
}

#[test]
fn a_room_that_has_something_to_see_out_stays_until_it_has_looked() {
    let mut world = World::new();
    world.on(Input::AfterFault);
    assert!(!world.room.is_idle());
    let roster = world.roster.clone();
    world.on(Input::Roster(0, Ok(roster)));
    assert!(world.room.is_idle());
}

#[test]
fn news_of_an_entrance_that_is_faster_than_its_answer_is_no_loss() {
    let mut world = World::new();
    world.roster.version = 0;
    let joiner = world.joiner(1, 1, 5);
    world.on(Input::Join(joiner));
    let (joiners, entries) = world.entrance();
    let (change, roster) = world.enter(&entries);
    world.on(Input::Notice(Notice::Roster(Arc::new(change.clone()))));
    world.on(Input::Entered(joiners, Ok((change, roster)), None));
    assert!(!world.wants(|effect| matches!(effect, Effect::Reenter(..))), "else goodbyes wait for 2 s");
}
