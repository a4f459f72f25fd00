//! Where the film stands, and who may say so.

use std::sync::Arc;

use streamit_bus::{Cas, Expect, Notice};
use streamit_domain::playback::Version;
use streamit_domain::{Playback, RoomId};
use streamit_wire::v1;

use super::support::*;

const FROM_NOTHING: Expect = Expect { version: None, confirmed: false, only_if_empty: false, fence: None };

fn after(state: &Playback) -> Expect {
    Expect { version: Some(state.version), ..FROM_NOTHING }
}

fn heard_state(notice: &Notice) -> Option<Playback> {
    match notice {
        Notice::Event(event) => match &event.kind {
            Some(v1::event::Kind::Playback(state)) => Some(state.try_into().unwrap()),
            _ => None,
        },
        _ => None,
    }
}

/// A room whose fence is 3 and whose playback is the state returned.
async fn playing(bus: &Bus) -> (RoomId, Playback) {
    let (room, first) = (room(), state(3, 10));
    bus.rooms.raise_fence(room, 3).await.unwrap();
    assert_eq!(bus.rooms.set_playback(room, FROM_NOTHING, &first).await.unwrap(), Cas::Stored);
    (room, first)
}

both_buses! {
    async fn what_is_stored_is_told_and_read_back_exactly(bus: Bus) {
        let room = room();
        assert_eq!(bus.rooms.playback(room).await.unwrap(), None);
        bus.rooms.raise_fence(room, 3).await.unwrap();
        assert_eq!(bus.rooms.playback(room).await.unwrap(), None, "a fence alone is no playback");
        let mut heard = bus.other.subscribe(room).await.unwrap();
        let first = state(3, (1 << 53) - 1);
        assert_eq!(bus.rooms.set_playback(room, FROM_NOTHING, &first).await.unwrap(), Cas::Stored);
        assert_eq!(bus.other.playback(room).await.unwrap(), Some(first));
        assert_eq!(heard_state(&hear(&mut heard).await), Some(first));
    }

    async fn a_hold_ends_with_the_state_that_it_is_of(bus: Bus) {
        let (room, first) = playing(&bus).await;
        let mut heard = bus.other.subscribe(room).await.unwrap();
        let at = first.at.plus(std::time::Duration::from_secs(60));
        let held = Playback { version: Version { number: 11, ..first.version }, ..first.held(at, first.at) };
        assert_eq!(bus.rooms.set_playback(room, after(&first), &held).await.unwrap(), Cas::Stored);
        assert_eq!(bus.other.playback(room).await.unwrap(), Some(held));
        assert_eq!(heard_state(&hear(&mut heard).await), Some(held));
        let outcome = bus.other.set_playback(room, after(&first), &state(3, 12)).await.unwrap();
        assert_eq!(outcome, Cas::Conflict(held));
        for next in [Playback { is_playing: false, ..state(3, 12) }, state(3, 13)] {
            let before = bus.rooms.playback(room).await.unwrap().unwrap();
            assert_eq!(bus.other.set_playback(room, after(&before), &next).await.unwrap(), Cas::Stored);
            assert_eq!(bus.rooms.playback(room).await.unwrap(), Some(next));
        }
    }

    async fn who_computed_from_another_state_is_told_the_one_that_is_stored(bus: Bus) {
        let (room, first) = playing(&bus).await;
        let second = state(3, 11);
        assert_eq!(bus.other.set_playback(room, after(&first), &second).await.unwrap(), Cas::Stored);
        let mut heard = bus.rooms.subscribe(room).await.unwrap();
        for stale in [after(&first), FROM_NOTHING, after(&state(2, 11))] {
            let outcome = bus.rooms.set_playback(room, stale, &state(3, 12)).await.unwrap();
            assert_eq!(outcome, Cas::Conflict(second));
        }
        assert_eq!(bus.rooms.playback(room).await.unwrap(), Some(second));
        nothing_heard(&bus.rooms, room, &mut heard).await;
    }

    async fn a_command_under_an_old_fence_is_refused(bus: Bus) {
        let (room, first) = playing(&bus).await;
        bus.other.raise_fence(room, 5).await.unwrap();
        let outcome = bus.rooms.set_playback(room, after(&first), &state(4, 11)).await.unwrap();
        assert_eq!(outcome, Cas::Fenced(5));
        let confirmed = Expect { confirmed: true, ..after(&first) };
        let outcome = bus.rooms.set_playback(room, confirmed, &state(4, 11)).await.unwrap();
        assert_eq!(outcome, Cas::Fenced(5), "nor can one be confirmed");
        assert_eq!(bus.rooms.playback(room).await.unwrap(), Some(first));
    }

    async fn a_higher_fence_is_adopted_with_the_state(bus: Bus) {
        let (room, first) = playing(&bus).await;
        let second = state(7, 11);
        assert_eq!(bus.rooms.set_playback(room, after(&first), &second).await.unwrap(), Cas::Stored);
        let outcome = bus.other.set_playback(room, after(&second), &state(6, 12)).await.unwrap();
        assert_eq!(outcome, Cas::Fenced(7));
    }

    async fn a_film_that_is_put_back_keeps_the_fence_it_was_made_under(bus: Bus) {
        let (room, old) = (room(), state(3, 10));
        let put_back = Expect { fence: Some(5), confirmed: true, ..FROM_NOTHING };
        assert_eq!(bus.rooms.set_playback(room, put_back, &old).await.unwrap(), Cas::Stored);
        assert_eq!(bus.other.playback(room).await.unwrap(), Some(old));
        let outcome = bus.other.set_playback(room, after(&old), &state(4, 11)).await.unwrap();
        assert_eq!(outcome, Cas::Fenced(5), "the fence that holds is the newer one");
        // Who knows a later state of that time puts it in its place.
        let put_back = Expect { version: Some(old.version), ..put_back };
        assert_eq!(bus.other.set_playback(room, put_back, &state(3, 12)).await.unwrap(), Cas::Stored);
    }

    async fn a_fence_only_rises(bus: Bus) {
        let (room, first) = playing(&bus).await;
        bus.rooms.raise_fence(room, 9).await.unwrap();
        for lower in [8, 9, 1] {
            bus.other.raise_fence(room, lower).await.unwrap();
            let outcome = bus.rooms.set_playback(room, after(&first), &state(8, 11)).await.unwrap();
            assert_eq!(outcome, Cas::Fenced(9));
        }
        // Compared as numbers: as text, 10 comes before 9.
        bus.rooms.raise_fence(room, 10).await.unwrap();
        let outcome = bus.rooms.set_playback(room, after(&first), &state(9, 11)).await.unwrap();
        assert_eq!(outcome, Cas::Fenced(10));
    }

    async fn without_a_fence_the_api_has_to_be_asked_first(bus: Bus) {
        let (room, first) = (room(), state(3, 10));
        assert_eq!(bus.rooms.set_playback(room, FROM_NOTHING, &first).await.unwrap(), Cas::Unknown);
        assert_eq!(bus.rooms.playback(room).await.unwrap(), None);
        let confirmed = Expect { confirmed: true, ..FROM_NOTHING };
        assert_eq!(bus.rooms.set_playback(room, confirmed, &first).await.unwrap(), Cas::Stored);
        let outcome = bus.other.set_playback(room, after(&first), &state(2, 11)).await.unwrap();
        assert_eq!(outcome, Cas::Fenced(3), "the confirmed fence holds from then on");
    }

    async fn a_state_that_was_lost_is_put_back_by_whoever_comes_first(bus: Bus) {
        let room = room();
        bus.rooms.raise_fence(room, 3).await.unwrap();
        let mine = state(3, 41);
        assert_eq!(bus.rooms.set_playback(room, after(&state(3, 40)), &mine).await.unwrap(), Cas::Stored);
        let outcome = bus.other.set_playback(room, after(&state(3, 40)), &state(3, 42)).await.unwrap();
        assert_eq!(outcome, Cas::Conflict(mine));
    }

    async fn what_is_meant_for_an_empty_room_happens_only_there(bus: Bus) {
        let (room, first) = playing(&bus).await;
        let ana = entry(life(), 1, user(), "Ana");
        bus.rooms.enter(room, std::slice::from_ref(&ana), 0).await.unwrap();
        let if_empty = Expect { only_if_empty: true, ..after(&first) };
        let second = state(3, 11);
        assert_eq!(bus.other.set_playback(room, if_empty, &second).await.unwrap(), Cas::NotEmpty);
        bus.rooms.leave(room, &[ana.key], 0).await.unwrap();
        assert_eq!(bus.other.set_playback(room, if_empty, &second).await.unwrap(), Cas::Stored);
    }

    async fn of_a_hundred_at_once_one_wins_each_version_and_all_hear_them_in_order(bus: Bus) {
        let (room, first) = playing(&bus).await;
        let mut heard = bus.other.subscribe(room).await.unwrap();
        let barrier = Arc::new(tokio::sync::Barrier::new(100));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..100_u32 {
            let rooms = if n % 2 == 0 { bus.rooms.clone() } else { bus.other.clone() };
            let barrier = barrier.clone();
            tasks.spawn(async move {
                barrier.wait().await;
                let (mut from, mut attempts) = (first, 0);
                loop {
                    attempts += 1;
                    let version = Version { number: from.version.number + 1, ..from.version };
                    let next = Playback { version, at: from.at.plus(std::time::Duration::from_millis(n.into())), ..from };
                    match rooms.set_playback(room, after(&from), &next).await.unwrap() {
                        Cas::Stored => return (next.version.number, attempts),
                        Cas::Conflict(stored) => from = stored,
                        other => panic!("unexpected: {other:?}"),
                    }
                }
            });
        }
        let mut outcomes = tasks.join_all().await;
        outcomes.sort_unstable();
        let won: Vec<u64> = outcomes.iter().map(|(number, _)| *number).collect();
        assert_eq!(won, (11..111).collect::<Vec<_>>(), "each version has exactly one winner");
        assert_eq!(outcomes.iter().filter(|(_, attempts)| *attempts == 1).count(), 1);
        for number in 11..111 {
            let state = heard_state(&hear(&mut heard).await).expect("only states are told");
            assert_eq!(state.version.number, number);
        }
    }
}
