//! May these people enter these rooms now?

use streamit_domain::room::{Access, Life, Standing};
use streamit_domain::{SessionId, UserId};
use streamit_storage::admissions::{Admission, EntrySeen, RoomSeen, admissions};
use streamit_storage::{rooms, sessions, users};

use crate::harness::{Db, NOW, code, id, later, name};

both_engines!(
    a_batch_is_answered_in_the_order_asked,
    a_large_batch_is_one_question,
    dead_sessions_are_told_apart
);

async fn a_batch_is_answered_in_the_order_asked(db: Db) {
    let (open, closed) = (db.room(Access::Public).await, db.room(Access::Public).await);
    let (bo, cy) = (db.member(open.id, "Bo").await, db.member(open.id, "Cy").await);
    let stranger = db.guest("Di").await;
    db.stand(open.id, cy, Standing::Kicked).await; // version 2
    let mut tx = db.store.begin().await.unwrap();
    rooms::end(&mut tx, closed.id, Life::Closed, NOW).await.unwrap();
    tx.commit().await.unwrap();
    let (s_bo, s_cy, s_stranger) = (db.session(bo).await, db.session(cy).await, db.session(stranger).await);
    let asked = [
        (Some(open.code), cy, s_cy),
        (Some(code()), bo, s_bo), // no such room
        (Some(open.code), bo, s_bo),
        (Some(open.code), stranger, s_stranger),
        (Some(closed.code), closed.host, s_bo), // somebody else's session
        (Some(open.code), bo, s_bo),
        (None, bo, s_bo), // what is no code at all
    ];

    let told = admissions(&mut db.store.read().await.unwrap(), &asked, NOW).await.unwrap();

    let seen = RoomSeen { id: open.id, life: Life::Active, facts_version: 2 };
    let bo = Admission {
        is_session_live: true,
        room: Some(seen),
        entry: Some(EntrySeen { standing: Standing::Approved, kicked_until: None, name: name("Bo") }),
    };
    let kicked =
        EntrySeen { standing: Standing::Kicked, kicked_until: Some(later(60_000)), name: name("Cy") };
    assert_eq!(told[0], Admission { is_session_live: true, room: Some(seen), entry: Some(kicked) });
    assert_eq!(told[1], Admission { is_session_live: true, room: None, entry: None });
    assert_eq!(told[2], bo);
    assert_eq!(told[3], Admission { is_session_live: true, room: Some(seen), entry: None });
    assert!(!told[4].is_session_live);
    assert_eq!(told[4].room.map(|room| (room.id, room.life)), Some((closed.id, Life::Closed)));
    assert_eq!(told[5], bo);
    assert_eq!(told[6], told[1]);
    assert_eq!(told.len(), 7);
}

async fn a_large_batch_is_one_question(db: Db) {
    let room = db.room(Access::Public).await;
    let session = db.session(room.host).await;
    let asked: Vec<_> = (0..2_000)
        .map(|n| {
            if n % 2 == 0 {
                (Some(room.code), room.host, session)
            } else {
                (Some(code()), UserId(id()), SessionId(id()))
            }
        })
        .collect();

    let told = admissions(&mut db.store.read().await.unwrap(), &asked, NOW).await.unwrap();

    for (n, admission) in told.iter().enumerate() {
        assert_eq!((admission.is_session_live, admission.room.is_some()), (n % 2 == 0, n % 2 == 0), "{n}");
    }
    assert_eq!(told.len(), 2_000);
}

async fn dead_sessions_are_told_apart(db: Db) {
    let room = db.room(Access::Public).await;
    let (bo, banned) = (db.member(room.id, "Bo").await, db.member(room.id, "Cy").await);
    let (live, revoked, of_banned) = (db.session(bo).await, db.session(bo).await, db.session(banned).await);
    let mut tx = db.store.begin().await.unwrap();
    sessions::revoke(&mut tx, revoked, NOW).await.unwrap();
    users::set_active(&mut tx, banned, false).await.unwrap();
    tx.commit().await.unwrap();
    let asked = [
        (Some(room.code), bo, revoked),
        (Some(room.code), bo, live),
        (Some(room.code), banned, of_banned),
        (None, bo, revoked),
    ];

    let mut read = db.store.read().await.unwrap();
    let now: Vec<bool> =
        admissions(&mut read, &asked, NOW).await.unwrap().iter().map(|a| a.is_session_live).collect();
    let after: Vec<bool> = admissions(&mut read, &asked, later(3_600_000))
        .await
        .unwrap()
        .iter()
        .map(|a| a.is_session_live)
        .collect();

    assert_eq!(now, [false, true, false, false]);
    assert_eq!(after, [false; 4], "expired");
    assert_eq!(admissions(&mut read, &[], NOW).await.unwrap(), []);
}
