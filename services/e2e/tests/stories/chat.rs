//! Chat from everywhere at once is one conversation.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use streamit_client::{ChatMessage, Options};
use streamit_e2e::{Person, Room, Seat, System, on_both};

use crate::assert_gapless;

on_both! {
    crate::SYSTEMS;
    two_hundred_messages_of_eight_senders_are_one_conversation,
    twenty_four_people_come_and_chat_at_once,
    who_joins_while_chat_pours_in_misses_nothing_and_hears_nothing_twice,
    two_tabs_on_two_nodes_hear_the_same,
}

/// So many guests called alike.
async fn guests(system: &System, count: usize) -> Vec<Person> {
    join_all((0..count).map(|i| system.guest(if i == 0 { "Ana" } else { "Guest" }))).await
}

/// All that was said, by the pages of the history.
async fn history(person: &Person, room: &Room) -> Vec<ChatMessage> {
    let mut all = person.http().messages(&room.code, None).await.unwrap();
    while let Some(first) = all.first().map(|said| said.seq).filter(|seq| *seq > 1) {
        let page = person.http().messages(&room.code, Some(first)).await.unwrap();
        assert!(!page.is_empty(), "nothing before {first}");
        all.splice(0..0, page);
    }
    all
}

async fn two_hundred_messages_of_eight_senders_are_one_conversation(system: &System) {
    const SENDERS: usize = 8;
    const EACH: usize = 25;
    let people = guests(system, SENDERS).await;
    let room = people[0].public_room().await;
    let mut seats = Vec::new();
    for (node, person) in people.iter().enumerate() {
        seats.push(room.join_on(node, person).await);
    }

    let heard = join_all(seats.iter_mut().enumerate().map(async |(sender, seat)| {
        for n in 0..EACH {
            seat.say(&format!("{sender}:{n}")).await;
        }
        seat.hears_many(SENDERS * EACH).await
    }))
    .await;

    assert_eq!(heard[0].len(), SENDERS * EACH);
    assert_gapless(&heard[0], 1);
    for list in &heard {
        assert_eq!(*list, heard[0], "everybody hears the same in the same order");
    }
    assert_eq!(history(&people[0], &room).await, heard[0]);
    // And each one's own words are in the order in which they were said.
    let mut next = BTreeMap::new();
    for said in &heard[0] {
        let (sender, n) = said.message.split_once(':').unwrap();
        let expected: &mut usize = next.entry(sender).or_default();
        assert_eq!(n.parse::<usize>().unwrap(), *expected, "of sender {sender}");
        *expected += 1;
    }
    for seat in &mut seats {
        let after = seat.quiet().await;
        assert!(after.iter().all(|event| event.kind() != "CHAT_MESSAGE"), "{after:?}");
    }
}

async fn twenty_four_people_come_and_chat_at_once(system: &System) {
    const PEOPLE: usize = 24;
    const EACH: usize = 5;
    let people = guests(system, PEOPLE).await;
    let room = people[0].public_room().await;

    let heard = join_all(people.iter().enumerate().map(async |(node, person)| {
        let mut seat = room.join_on(node, person).await;
        for n in 0..EACH {
            seat.say(&format!("{node}:{n}")).await;
        }
        // What was said before one came counts, too, as far as one is shown it.
        let mut heard = seat.welcome.history.messages.clone();
        let before = heard.last().map_or(0, |said| said.seq);
        heard.extend(seat.hears_many(PEOPLE * EACH - usize::try_from(before).unwrap()).await);
        (seat, heard)
    }))
    .await;

    let all = history(&people[0], &room).await;
    assert_eq!(all.len(), PEOPLE * EACH);
    assert_gapless(&all, 1);
    for (seat, heard) in &heard {
        assert_eq!(heard[..], all[all.len() - heard.len()..], "{} heard something else", seat.who());
    }
    let (mut seat, _) = heard.into_iter().next_back().unwrap();
    let mut names: Vec<_> = room.join_on(0, &people[0]).await.welcome.participants.participants;
    names.sort();
    names.dedup();
    assert_eq!(names.len(), PEOPLE, "everybody is there, under a name of their own");
    seat.quiet().await;
}

/// Talks without a pause until dropped.
struct Talkers(Vec<tokio::task::JoinHandle<()>>);

impl Talkers {
    async fn start(room: &Room, people: &[Person]) -> Self {
        let mut talkers = Vec::new();
        for (node, person) in people.iter().enumerate() {
            let mut seat = room.join_on(node, person).await;
            talkers.push(tokio::spawn(async move {
                for n in 0.. {
                    let text = format!("{node}:{n}");
                    seat.say(&text).await;
                    seat.hears(&text).await;
                }
            }));
        }
        Self(talkers)
    }
}

impl Drop for Talkers {
    fn drop(&mut self) {
        for talker in &self.0 {
            talker.abort();
        }
    }
}

async fn who_joins_while_chat_pours_in_misses_nothing_and_hears_nothing_twice(system: &System) {
    const JOINERS: usize = 8;
    const JOINS: usize = 25;
    let people = guests(system, 3 + JOINERS).await;
    let room = people[0].public_room().await;
    let (talking, joining) = people.split_at(3);
    let _talkers = Talkers::start(&room, talking).await;
    for person in joining {
        room.admit(person).await;
    }

    join_all(joining.iter().enumerate().map(async |(i, person)| {
        for n in 0..JOINS {
            let mut seat = room.sit(i + n, person, Options::default()).await;
            let mut heard = seat.welcome.history.messages.clone();
            assert!(!seat.welcome.history.resumed);
            heard.extend(seat.hears_many(4).await);
            let first = heard[0].seq;
            assert_gapless(&heard, first);
            seat.leaves().await;
        }
    }))
    .await;
}

async fn two_tabs_on_two_nodes_hear_the_same(system: &System) {
    let people = guests(system, 2).await;
    let room = people[0].public_room().await;
    let mut tabs: Vec<Seat> = Vec::new();
    for node in 0..3 {
        tabs.push(room.join_on(node, &people[1]).await);
    }
    let mut host = room.join_on(0, &people[0]).await;

    for n in 0..30 {
        tabs[n % 3].say(&format!("{n}")).await;
    }
    host.play(Some(7.0)).await;

    let heard = host.hears_many(30).await;
    assert_gapless(&heard, 1);
    for tab in &mut tabs {
        assert_eq!(tab.hears_many(30).await, heard);
    }
    for tab in &mut tabs {
        tab.seek(1.0).await;
        tab.is_told("HOST_ONLY").await;
    }
}
