//! Coming in.

use super::*;

#[test]
fn the_three_join_frames_come_first_and_others_hear_of_it() {
    let mut world = World::new();
    let frames = world.join(1, 1);
    let types: Vec<&str> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ROOM_PARTICIPANTS", "CHAT_HISTORY", "PLAYBACK_STATE"]);
    assert_eq!(frames[0]["participants"], serde_json::json!(["u1"]));
    assert_eq!(frames[0]["you"]["role"], "HOST");
    world.join(2, 2);
    assert_eq!(world.types(1), ["USER_JOINED"]);
    assert!(world.types(2).is_empty(), "nobody is told of himself");
}

#[test]
fn those_who_wait_together_enter_together() {
    let mut world = World::new();
    for n in 1..=5 {
        let joiner = world.joiner(n, u128::from(n), 5);
        world.on(Input::Join(joiner));
    }
    world.answer_enter(); // the first, alone
    assert_eq!(world.waiting.len(), 1);
    world.answer_enter(); // the other four with one call
    for n in 2..=5 {
        assert_eq!(world.frames(n)[0]["online"], 5);
    }
}

#[test]
fn a_kick_closes_what_was_admitted_before_it_also_what_is_just_entering() {
    let mut world = World::new();
    world.join(1, 1);
    world.join(2, 2);
    let joiner = world.joiner(3, 2, 5);
    world.on(Input::Join(joiner)); // a second tab, on its way in
    let mut newer = facts(6);
    newer.people.insert(user(2), person(Standing::Kicked, 6, 6));
    world.tell_facts(5, &newer);
    assert_eq!(world.closed(2), Some(4011));
    world.answer_enter();
    assert_eq!(world.closed(3), Some(4011));
    // Let in again at version 7, he may stay although the kick is still on record.
    let mut newer = facts(7);
    newer.people.insert(user(2), person(Standing::Approved, 6, 7));
    world.tell_facts(6, &newer);
    let joiner = world.joiner(4, 2, 7);
    world.on(Input::Join(joiner));
    world.answer_leave();
    world.answer_enter();
    assert_eq!(world.closed(4), None);
}

#[test]
fn an_admission_newer_than_the_facts_waits_for_them() {
    let mut world = World::new();
    let joiner = world.joiner(1, 1, 8);
    world.on(Input::Join(joiner));
    assert!(world.wants(|effect| matches!(effect, Effect::ReadFacts(5))));
    assert!(!world.wants(|effect| matches!(effect, Effect::Enter(..))));
    world.on(Input::Facts(Ok(Some(v1::Facts::of(&facts(8), 5)))));
    assert!(world.wants(|effect| matches!(effect, Effect::Enter(..))));
    // And is sent away, to come back, when they can't be had.
    let joiner = world.joiner(2, 2, 9);
    world.on(Input::Join(joiner));
    world.on(Input::Facts(Err(Away)));
    assert_eq!(world.closed(2), Some(1013));
}

#[test]
fn while_the_store_is_away_people_still_come_in() {
    let mut world = World::new();
    world.join(1, 1);
    let joiner = world.joiner(2, 2, 5);
    world.on(Input::Join(joiner));
    let joiners = world.take(
        |effect| matches!(effect, Effect::Enter(..)),
        |effect| match effect {
            Effect::Enter(joiners, ..) => joiners,
            _ => unreachable!(),
        },
    );
    world.on(Input::Entered(joiners, Err(Error::Away(None)), None));
    assert_eq!(world.frames(2).len(), 3);
    assert_eq!(world.types(1), ["USER_JOINED"]);
    world.on(Input::Versions(Some(streamit_bus::LiveVersions::default()), None));
    assert!(world.wants(|effect| matches!(effect, Effect::Reenter(entries, _) if entries.len() == 2)));
}

#[test]
fn who_comes_in_sees_the_film_as_the_store_has_it() {
    let mut world = World::new();
    let joiner = world.joiner(1, 1, 5);
    world.on(Input::Join(joiner));
    let (joiners, entries) = world.entrance();
    // News of it has not come yet; but he may have seen it on the node that he comes from.
    let film = Playback::start(1, Timestamp(START + 5));
    let entered = world.enter(&entries);
    world.on(Input::Entered(joiners, Ok(entered), Some(film)));
    assert_eq!(world.frames(1)[2]["version"], film.version.number);
}

#[test]
fn who_goes_while_entering_is_taken_out_again() {
    let mut world = World::new();
    let joiner = world.joiner(1, 1, 5);
    world.on(Input::Join(joiner));
    world.on(Input::Gone(ConnectionId(1), Gone::Now));
    world.answer_enter();
    world.answer_leave();
    assert!(world.roster.users.is_empty() && world.room.is_idle());
}

#[test]
fn a_resume_waits_for_older_chat_and_gets_exactly_what_was_missed() {
    let mut world = World::new();
    world.join(1, 1);
    world.tell_chat(&(1..=3).collect::<Vec<_>>());
    let mut joiner = world.joiner(2, 2, 5);
    joiner.resume = Some(Resume { since: Some(5), epoch: Some(1), asks: 0, asked: false });
    world.on(Input::Join(joiner));
    // More than is known here: another node may be ahead.
    assert!(world.wants(|effect| matches!(effect, Effect::ReadHistory(3, 0))));
    let reply = v1::HistoryReply {
        messages: (4..=7).map(message).collect(),
        head: 7,
        kept_from: 1,
        epoch: 1,
        ..Default::default()
    };
    world.on(Input::History(3, 0, Ok(reply)));
    world.answer_enter();
    let history = &world.frames(2)[1];
    assert_eq!(history["resumed"], true);
    let seqs: Vec<u64> =
        history["messages"].as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [6, 7]);
}
