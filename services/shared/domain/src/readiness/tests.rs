use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const FILM: Film = Film(1);
const READY: Said = Said { is_ready: true, position: None };
const DRY: Said = Said { is_ready: false, position: None };

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

/// A person's words in one room, and when the film waited for him.
#[derive(Default)]
struct Person {
    book: Book,
    holds: Vec<i64>,
}

impl Person {
    fn says(&mut self, said: Said, is_running: bool, ms: i64) {
        let course = if is_running { Course::Runs } else { Course::Stands };
        self.says_in(said, course, ms);
    }

    fn says_in(&mut self, said: Said, course: Course, ms: i64) {
        let before = self.book.people.get(&user(1));
        if let Some(word) = Readiness::after(before, said, FILM, course, Timestamp(ms)) {
            let holds = word.is_stall && word.stalls_before() < PATIENCE;
            self.holds.extend(holds.then_some(ms));
            assert!(self.book.learn(user(1), &word), "a later word counts");
        }
    }

    fn waits(&self) -> Option<Duration> {
        self.book.wait_for(user(1), Timestamp(0), FILM, 0)
    }

    fn lets_pass(&mut self, ms: i64) {
        self.book.learn_deadline(Some(GaveUp { at: Timestamp(ms), film: FILM }));
    }
}

#[test]
fn a_start_waits_longer_for_a_first_load_than_for_one_who_ran_dry() {
    let mut bo = Person::default();
    assert_eq!(bo.waits(), Some(FIRST_LOAD));
    bo.says(DRY, false, 10);
    assert_eq!(bo.waits(), Some(FIRST_LOAD), "he has not been ready yet");
    bo.says(READY, false, 20);
    assert_eq!(bo.waits(), None);
    bo.says(DRY, false, 30);
    assert_eq!(bo.waits(), Some(REBUFFER));
    assert_eq!(bo.holds, [], "nothing ran that could be held");
}

#[test]
fn whoever_loads_after_a_seek_is_waited_for_however_often_the_host_seeks() {
    let mut bo = Person::default();
    bo.says(READY, false, 0);
    for n in 1..10 {
        bo.says_in(DRY, Course::Moved, n * 1_000);
        bo.says(READY, false, n * 1_000 + 500);
    }
    assert_eq!(bo.holds.len(), 9);
    bo.says(DRY, true, 20_000);
    bo.says(READY, false, 21_000);
    bo.says(DRY, true, 22_000);
    bo.says(READY, false, 23_000);
    bo.says_in(DRY, Course::Moved, 24_000);
    assert_eq!(bo.holds.len(), 11, "one who ran dry twice besides is not waited for after a seek either");
}

#[test]
fn a_client_that_says_nothing_is_waited_for_once() {
    let mut old = Person::default();
    old.lets_pass(15_000);
    assert_eq!(old.waits(), None);
    assert_eq!(old.book.wait_for(user(1), Timestamp(0), Film(2), 0), None, "nor for the next film");
    assert_eq!(
        old.book.wait_for(user(2), Timestamp(15_001), FILM, 0),
        Some(FIRST_LOAD),
        "who came since is new"
    );
    old.says(READY, true, 16_000);
    old.says(DRY, false, 17_000);
    assert_eq!(old.waits(), Some(REBUFFER), "now he speaks");
}

#[test]
fn who_let_a_deadline_pass_is_waited_for_again_once_he_was_ready() {
    let mut bo = Person::default();
    bo.says(READY, false, 1_000);
    bo.says(DRY, true, 2_000);
    bo.lets_pass(10_000);
    assert_eq!(bo.waits(), None);
    bo.says(Said { position: MediaTime::try_from(3.0).ok(), ..DRY }, true, 11_000);
    assert_eq!(bo.waits(), None, "the same stall");
    bo.says(READY, true, 12_000);
    bo.says(DRY, true, 13_000);
    assert_eq!(bo.waits(), Some(REBUFFER));
}

#[test]
fn ready_for_the_last_film_is_not_ready_for_this_one() {
    let mut bo = Person::default();
    bo.says(READY, false, 1_000);
    let wait = |book: &Book| book.wait_for(user(1), Timestamp(0), Film(2), 0);
    assert_eq!(wait(&bo.book), Some(FIRST_LOAD));
    bo.lets_pass(2_000);
    assert_eq!(wait(&bo.book), Some(FIRST_LOAD), "that was another film's deadline");
    bo.book.learn_deadline(Some(GaveUp { at: Timestamp(3_000), film: Film(2) }));
    assert_eq!(wait(&bo.book), None);
}

#[test]
fn what_says_nothing_new_is_no_word() {
    let mut bo = Person::default();
    for said in [READY, DRY] {
        bo.says(said, true, 5);
        let before = bo.book.people.get(&user(1)).cloned();
        let again = Readiness::after(before.as_ref(), said, FILM, Course::Runs, Timestamp(9));
        assert_eq!(again, None);
    }
}

#[test]
fn the_later_word_counts_whatever_comes_first() {
    let first = Readiness::after(None, READY, FILM, Course::Runs, Timestamp(50)).unwrap();
    // The next one comes through a node whose clock is a little behind.
    let second = Readiness::after(Some(&first), DRY, FILM, Course::Runs, Timestamp(40)).unwrap();
    assert!(second.at > first.at);
    let mut book = Book::default();
    assert!(book.learn(user(1), &second) && !book.learn(user(1), &first));
    assert!(!book.people[&user(1)].is_ready);
}

#[test]
fn a_stall_every_ten_seconds_holds_twice() {
    let mut bo = Person::default();
    for n in 0..60 {
        bo.says(READY, true, n * 10_000);
        bo.says(DRY, true, n * 10_000 + 5_000);
    }
    assert_eq!(bo.holds, [5_000, 15_000]);
    assert_eq!(bo.waits(), None, "nor does a start wait for him");
    // A line that has got well is trusted again.
    bo.says(READY, true, 600_000);
    bo.says(DRY, true, 600_000 + 300_000);
    assert_eq!(bo.holds.len(), 3);
}

#[test]
fn films_are_told_apart_by_where_they_are() {
    let at = |url: &str| Source { url: Some(url.into()), ..Source::default() };
    let titled = Source { title: Some("A film".into()), ..at("http://x/a.mp4") };
    assert_eq!(Film::of(Some(&titled)), Film::of(Some(&at("http://x/a.mp4"))));
    assert_ne!(Film::of(Some(&at("http://x/a.mp4"))), Film::of(Some(&at("http://x/b.mp4"))));
    let by_id = Source { provider: Some("x".into()), video_id: Some("y".into()), ..Source::default() };
    assert_ne!(Film::of(Some(&by_id)), Film::of(None));
    assert_eq!(
        Film::of(Some(&at("a"))),
        Film(15_315_459_759_153_916_487),
        "on every node and in every release"
    );
}

proptest! {
    #[test]
    fn nobody_holds_a_room_three_times_in_five_minutes(
        words in prop::collection::vec((any::<bool>(), any::<bool>(), 0i64..120_000), 1..200)
    ) {
        let mut bo = Person::default();
        let mut now = 1_700_000_000_000;
        for (is_ready, is_running, pause) in words {
            now += pause;
            bo.says(Said { is_ready, position: None }, is_running, now);
            prop_assert!(bo.book.people[&user(1)].stalls.len() <= PATIENCE + 1);
        }
        let window = i64::try_from(WINDOW.as_millis()).unwrap();
        for three in bo.holds.windows(PATIENCE + 1) {
            prop_assert!(three[PATIENCE] - three[0] >= window, "{three:?}");
        }
    }

    #[test]
    fn books_agree_in_whichever_order_they_learn(
        words in prop::collection::vec((0u128..3, any::<bool>(), 0i64..50), 1..30), turn in any::<u64>()
    ) {
        let mut source = Book::default();
        let mut all = Vec::new();
        for (who, is_ready, at) in words {
            let said = Said { is_ready, position: None };
            let before = source.people.get(&user(who));
            if let Some(word) = Readiness::after(before, said, FILM, Course::Runs, Timestamp(at)) {
                source.learn(user(who), &word);
                all.push((who, word));
            }
        }
        let middle = usize::try_from(turn % all.len() as u64).unwrap();
        all.rotate_left(middle);
        let mut other = Book::default();
        for (who, word) in all.iter().chain(&all) {
            other.learn(user(*who), word);
        }
        prop_assert_eq!(other.people, source.people);
    }
}

#[test]
fn who_comes_anew_or_lets_every_deadline_pass_is_not_waited_for_again_and_again() {
    let mut waits = Waits::default();
    let mut bo = Person::default();
    bo.says(READY, false, 0);
    bo.says(DRY, true, 1_000);
    // His player ran dry, and he goes while the film waits: that was once.
    waits.note_gone(user(1), &bo.book.people[&user(1)], true, Timestamp(5_000));
    assert_eq!(waits.lately(user(1), Timestamp(5_000)), 1);
    let mut again = Person::default();
    again.says(READY, false, 10_000);
    again.says(DRY, true, 11_000);
    let waits_for = |who: &Person, waits: &Waits, now| {
        who.book.wait_for(user(1), Timestamp(0), FILM, waits.lately(user(1), Timestamp(now)))
    };
    assert_eq!(waits_for(&again, &waits, 11_000), Some(REBUFFER));
    again.says(READY, false, 12_000);
    again.says(DRY, true, 13_000);
    assert_eq!(waits_for(&again, &waits, 13_000), None, "once before he went, once since");
    // Loading at a start that he keeps from beginning until the deadline, twice.
    let mut slow = Person::default();
    slow.says(READY, false, 0);
    slow.says(DRY, false, 500_000);
    let mut in_vain = Waits::default();
    for at in [508_000, 520_000] {
        assert_eq!(waits_for(&slow, &in_vain, at), Some(REBUFFER));
        in_vain.note(user(1), Timestamp(at));
    }
    assert_eq!(waits_for(&slow, &in_vain, 521_000), None);
    assert_eq!(in_vain.lately(user(2), Timestamp(521_000)), 0);
    assert_eq!(waits_for(&slow, &in_vain, 820_000), Some(REBUFFER), "five minutes later");
    for n in 0..10_000 {
        in_vain.note(user(n), Timestamp(821_000));
    }
    assert_eq!(in_vain.lately(user(1), Timestamp(821_000)), 0, "no more is remembered than fits");
}
