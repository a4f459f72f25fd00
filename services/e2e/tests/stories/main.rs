//! What people see when they watch together: many at once, on several nodes, and while things break.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

mod chat;
mod crowds;
mod faults;
mod leaving;
mod nodes;
mod order;
mod permissions;
mod pressure;
mod resume;
mod revocation;

use std::sync::atomic::{AtomicU32, Ordering};

use streamit_client::{ChatMessage, Event};
use streamit_e2e::{Person, Room, Seat, System, Systems};

static SYSTEMS: Systems = Systems::with_limits("off");

/// Checks that these are all messages from the `first` to the last, each once and in order.
#[track_caller]
fn assert_gapless(messages: &[ChatMessage], first: u64) {
    for (said, seq) in messages.iter().zip(first..) {
        assert_eq!(said.seq, seq, "{:?}", messages.iter().map(|said| said.seq).collect::<Vec<_>>());
    }
}

/// A room whose host is on the second node, and guests on the first, all of whom he has seen come.
async fn guests_of_another_node(system: &System, guests: usize) -> (Room, Seat, Vec<(Person, Seat)>) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let mut host = room.join_on(1, &ana).await;
    let mut seats = Vec::new();
    for n in 0..guests {
        let guest = system.guest(&format!("Guest {n}")).await;
        let seat = room.join_on(0, &guest).await;
        host.sees_come(&format!("Guest {n}")).await;
        seats.push((guest, seat));
    }
    (room, host, seats)
}

/// Checks that the host was not told of anybody who left and came back. `goes` has stayed until now: when his grace is
/// over, that of all the others would be.
async fn only_one_is_missed(host: &mut Seat, goes: Seat, back: &mut [Seat]) {
    drop(goes);
    let mut told = Vec::new();
    host.waits("the one who went to be missed", |event| {
        if let Event::UserLeft(person) | Event::UserJoined(person) = event {
            told.push(person.user.clone());
        }
        (!told.is_empty()).then_some(())
    })
    .await;
    for seat in back {
        seat.say("back").await;
        host.hears("back").await;
    }
    assert!(told.len() == 1, "{told:?}");
}

/// A number that no other call in this process gives.
fn fresh() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
