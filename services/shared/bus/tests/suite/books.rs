//! What people say of their players.

use streamit_bus::{BookChange, EntryKey, Notice, Subscription};
use streamit_domain::readiness::{Film, GaveUp, Readiness};
use streamit_domain::{MediaTime, RoomId, Timestamp, UserId};

use super::support::*;

fn word(at: i64, is_ready: bool) -> Readiness {
    Readiness {
        at: Timestamp(at),
        film: Film(u64::MAX - 1),
        is_ready,
        was_ready: true,
        since: Timestamp(at - 5),
        position: MediaTime::try_from(0.1 + 0.2).ok(),
        is_stall: !is_ready,
        stalls: vec![Timestamp(at - 9), Timestamp(at - 5)],
    }
}

async fn hear_book(heard: &mut Subscription) -> BookChange {
    loop {
        if let Notice::Book(change) = hear(heard).await {
            return (*change).clone();
        }
    }
}

/// A room with two people in it.
async fn two(bus: &Bus) -> (RoomId, [UserId; 2], [EntryKey; 2]) {
    let (room, life) = (room(), life());
    let people = [entry(life, 1, user(), "Ana"), entry(life, 2, user(), "Bo")];
    bus.rooms.enter(room, &people, 0).await.unwrap();
    (room, [people[0].user, people[1].user], [people[0].key, people[1].key])
}

both_buses! {
    async fn a_word_is_told_and_read_with_the_roster(bus: Bus) {
        let (room, [ana, bo], _) = two(&bus).await;
        let mut heard = bus.other.subscribe(room).await.unwrap();
        let before = bus.rooms.now();
        let words = [(ana, word(1_000, true)), (bo, word(2_000, false))];

        let change = bus.rooms.report_ready(room, &words, None, 0).await.unwrap();

        assert_eq!(change.previous, 0);
        assert!(change.version > u64::try_from(before.0 - 1_000).unwrap(), "the version stands above the clock");
        assert_eq!(hear_book(&mut heard).await, change);
        assert_eq!(change.words, words);
        let book = bus.other.roster(room).await.unwrap().book;
        assert_eq!((book.version, book.people.len()), (change.version, 2));
        assert_eq!(book.people[&bo], words[1].1);
        assert_eq!(refresh(&*bus.other, room).await.book, change.version);
        let (_, roster) = bus.other.enter(room, &[entry(life(), 1, user(), "Cy")], 0).await.unwrap();
        assert_eq!(roster.book, book, "whoever enters reads it too");
    }

    async fn of_two_words_the_later_one_counts(bus: Bus) {
        let (room, [ana, bo], _) = two(&bus).await;
        let first = bus.rooms.report_ready(room, &[(ana, word(1_000, false))], None, 7).await.unwrap();
        let mut heard = bus.rooms.subscribe(room).await.unwrap();
        for old in [word(1_000, true), word(999, true)] {
            let change = bus.other.report_ready(room, &[(ana, old)], None, first.version).await.unwrap();
            assert_eq!((change.previous, change.version), (first.version, first.version));
        }
        nothing_heard(&bus.rooms, room, &mut heard).await;
        // What is new of several is told, above what the caller has seen.
        let words = [(ana, word(10_000, true)), (ana, word(9_999, false)), (bo, word(1, false))];
        let seen = first.version + 50;
        let change = bus.other.report_ready(room, &words, None, seen).await.unwrap();
        assert_eq!((change.previous, change.version), (first.version, seen + 1));
        let told = hear_book(&mut heard).await;
        assert_eq!(told.words, [words[0].clone(), words[2].clone()]);
        assert!(bus.rooms.roster(room).await.unwrap().book.people[&ana].is_ready);
    }

    async fn the_last_deadline_that_passed_is_kept(bus: Bus) {
        let (room, _, _) = two(&bus).await;
        let mut heard = bus.other.subscribe(room).await.unwrap();
        let at = |at: i64, film: u64| Some(GaveUp { at: Timestamp(at), film: Film(film) });
        let first = bus.rooms.report_ready(room, &[], at(9_000, 3), 0).await.unwrap();
        assert_eq!(hear_book(&mut heard).await.gave_up, at(9_000, 3));
        for old in [at(9_000, 4), at(8_999, 3), None] {
            let change = bus.other.report_ready(room, &[], old, 0).await.unwrap();
            assert_eq!(change.version, first.version);
        }
        bus.other.report_ready(room, &[], at(10_000, 4), 0).await.unwrap();
        assert_eq!(bus.rooms.roster(room).await.unwrap().book.gave_up, at(10_000, 4));
    }

    async fn a_word_goes_with_the_last_entry_of_whom_it_is_about(bus: Bus) {
        let (room, [ana, bo], [here, _]) = two(&bus).await;
        let tab = entry(life(), 9, ana, "Ana");
        bus.other.enter(room, std::slice::from_ref(&tab), 0).await.unwrap();
        let words = [(ana, word(1_000, true)), (bo, word(1_000, true))];
        let change = bus.rooms.report_ready(room, &words, None, 0).await.unwrap();

        bus.rooms.leave(room, &[here], 0).await.unwrap();
        assert_eq!(bus.rooms.roster(room).await.unwrap().book.people.len(), 2);
        bus.other.prune(room, &[tab.key.incarnation], 0).await.unwrap();
        let book = bus.rooms.roster(room).await.unwrap().book;
        assert_eq!(book.people.keys().collect::<Vec<_>>(), [&bo]);

        let late = bus.rooms.report_ready(room, &[(ana, word(2_000, true))], None, 0).await.unwrap();
        assert_eq!((late.previous, late.version), (change.version, change.version), "nobody is there who said it");
        assert_eq!(bus.rooms.roster(room).await.unwrap().book, book);
    }

    async fn without_a_roster_nothing_is_kept(bus: Bus) {
        let room = room();
        let change = bus.rooms.report_ready(room, &[(user(), word(1, true))], None, 5).await.unwrap();
        assert_eq!((change.previous, change.version), (0, 0));
        assert_eq!(bus.rooms.roster(room).await.unwrap(), streamit_bus::Roster::default());
    }

    async fn what_is_lost_with_the_roster_is_said_again_above_what_was_seen(bus: Bus) {
        let (room, [ana, _], keys) = two(&bus).await;
        let change = bus.rooms.report_ready(room, &[(ana, word(1_000, true))], None, 0).await.unwrap();
        until("the roster has expired", async || has_no_roster(&bus, room).await).await;
        bus.other.enter(room, &[entry(keys[0].incarnation, 1, ana, "Ana")], 0).await.unwrap();
        let again = bus.other.report_ready(room, &[(ana, word(1_000, true))], None, change.version).await.unwrap();
        assert_eq!(again.previous, 0);
        assert!(again.version > change.version);
    }
}

async fn has_no_roster(bus: &Bus, room: RoomId) -> bool {
    bus.rooms.roster(room).await.unwrap().version == 0
}
