//! Playback as last saved.

use streamit_domain::playback::Version;
use streamit_domain::room::Access;
use streamit_domain::{MediaTime, Playback, RoomId};
use streamit_storage::rooms;

use crate::harness::{Db, id, later};

both_engines!(
    a_saved_state_is_read_back,
    the_higher_pair_of_fence_and_number_stays,
    many_rooms_are_saved_at_once,
    savers_of_the_same_rooms_do_not_block_each_other_for_good,
);

fn state(fence: u64, number: u64, secs: f64) -> Playback {
    Playback {
        version: Version { fence, number },
        is_playing: true,
        held_until: None,
        time: MediaTime::try_from(secs).unwrap(),
        at: later(7),
        rate: 1.25,
    }
}

async fn save(db: &Db, states: &[(RoomId, Playback)]) {
    let mut tx = db.store.begin().await.unwrap();
    rooms::save_playback(&mut tx, states).await.unwrap();
    tx.commit().await.unwrap();
}

async fn load(db: &Db, room: RoomId) -> Option<Playback> {
    rooms::load_playback(&mut db.store.read().await.unwrap(), room).await.unwrap()
}

async fn a_saved_state_is_read_back(db: Db) {
    let room = db.room(Access::Public).await;
    assert_eq!(load(&db, room.id).await, None);
    assert_eq!(load(&db, RoomId(id())).await, None);

    save(&db, &[(room.id, state(1, 1_700_000_000_123, 4_321.062_5))]).await;

    assert_eq!(load(&db, room.id).await, Some(state(1, 1_700_000_000_123, 4_321.062_5)));
    assert_eq!(db.reload(room.id).await.facts_version, 1, "playback is no fact");
}

async fn the_higher_pair_of_fence_and_number_stays(db: Db) {
    let room = db.room(Access::Public).await;
    for (fence, number, stays) in [
        (2, 10, (2, 10)),
        (2, 9, (2, 10)),
        (1, 99, (2, 10)),
        (2, 11, (2, 11)),
        (3, 1, (3, 1)),
        (3, 1, (3, 1)),
    ] {
        save(&db, &[(room.id, state(fence, number, 1.0))]).await;
        let version = load(&db, room.id).await.unwrap().version;
        assert_eq!((version.fence, version.number), stays);
    }
}

async fn many_rooms_are_saved_at_once(db: Db) {
    let (first, second) = (db.room(Access::Public).await, db.room(Access::Public).await);
    save(&db, &[(second.id, state(1, 5, 5.0))]).await;

    save(
        &db,
        &[
            (first.id, state(1, 3, 3.0)),
            (RoomId(id()), state(1, 1, 1.0)),
            (second.id, state(1, 4, 4.0)), // older than what is kept
            (first.id, state(1, 2, 2.0)),  // older than another one of this batch
        ],
    )
    .await;
    save(&db, &[]).await;

    assert_eq!(load(&db, first.id).await, Some(state(1, 3, 3.0)));
    assert_eq!(load(&db, second.id).await, Some(state(1, 5, 5.0)));
}

async fn savers_of_the_same_rooms_do_not_block_each_other_for_good(db: Db) {
    let mut rooms = Vec::new();
    for _ in 0..12 {
        rooms.push(db.room(Access::Public).await.id);
    }
    let savers: Vec<_> = (0..8_u64)
        .map(|n| {
            let (db, mut rooms) = (db.clone(), rooms.clone());
            tokio::spawn(async move {
                for round in 0..10 {
                    // Each saver names them in an order of its own.
                    let places = (usize::try_from(n).unwrap() + round) % rooms.len();
                    rooms.rotate_left(places);
                    if n % 2 == 0 {
                        rooms.reverse();
                    }
                    let number = n * 10 + u64::try_from(round).unwrap();
                    let states: Vec<_> = rooms.iter().map(|room| (*room, state(1, number, 1.0))).collect();
                    save(&db, &states).await;
                    let mut tx = db.store.begin().await.unwrap();
                    rooms::touch(&mut tx, &rooms, later(i64::try_from(number).unwrap())).await.unwrap();
                    tx.commit().await.unwrap();
                }
            })
        })
        .collect();
    for saver in savers {
        saver.await.unwrap();
    }
    for room in rooms {
        assert_eq!(load(&db, room).await.unwrap().version.number, 79);
        assert_eq!(db.reload(room).await.last_active_at, later(79));
    }
}
