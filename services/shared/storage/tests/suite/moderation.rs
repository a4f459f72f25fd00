//! Kick, ban, mute and the like: what they change, and the versions that tell of it.

use streamit_domain::room::{Access, FOREVER, Role, Standing};
use streamit_domain::{Timestamp, UserId};
use streamit_storage::participants::{self, Change};
use streamit_storage::rooms;

use crate::harness::{Db, NOW, id, later};

both_engines!(
    removals_void_admissions_and_approvals_do_not,
    what_is_so_already_changes_nothing,
    a_kick_holds_anew,
    mutes_come_and_go,
    a_cohost_is_made_and_unmade_with_a_new_fence,
    a_removed_cohost_takes_the_fence_along,
    a_cohost_who_becomes_host_is_no_cohost_any_more,
    who_is_kicked_meanwhile_does_not_become_host,
    who_was_never_there_has_no_entry_to_change,
);

async fn removals_void_admissions_and_approvals_do_not(db: Db) {
    let room = db.room(Access::Approval).await;
    let bo = db.guest("Bo").await;
    db.join(room.id, bo, "Bo", Standing::Pending).await;
    let mut version = 2;
    for (standing, is_removal) in [
        (Standing::Approved, false),
        (Standing::Kicked, true),
        (Standing::Approved, false),
        (Standing::Banned, true),
        (Standing::Left, true), // unbanned
        (Standing::Pending, false),
        (Standing::Rejected, true),
    ] {
        let removed = db.facts(room.id, 0).await.people[&bo].removed_version;
        version += 1;

        let change = db.stand(room.id, bo, standing).await;

        assert!(change.facts_changed);
        let person = &db.facts(room.id, version - 1).await.people[&bo];
        assert_eq!((person.standing, person.changed_version), (standing, version));
        assert_eq!(person.removed_version, if is_removal { version } else { removed }, "{standing:?}");
        assert_eq!(change.participant.kicked_until.is_some(), standing == Standing::Kicked);
        assert_eq!(db.reload(room.id).await.facts_version, version);
    }
}

async fn what_is_so_already_changes_nothing(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    assert!(!db.stand(room.id, bo, Standing::Approved).await.facts_changed);
    assert!(db.stand(room.id, bo, Standing::Banned).await.facts_changed);
    assert!(!db.stand(room.id, bo, Standing::Banned).await.facts_changed);
    assert_eq!(db.reload(room.id).await.facts_version, 2);
}

async fn a_kick_holds_anew(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    db.stand(room.id, bo, Standing::Kicked).await;
    let mut tx = db.store.begin().await.unwrap();

    let until = Some(later(120_000));
    let again = participants::set_standing(&mut tx, room.id, bo, Standing::Kicked, until, NOW)
        .await
        .unwrap()
        .unwrap();

    assert!(again.facts_changed);
    assert_eq!((again.participant.kicked_until, again.participant.removed_version), (until, 3));
}

async fn mute(db: &Db, room: streamit_domain::RoomId, user: UserId, until: Option<Timestamp>) -> Change {
    let mut tx = db.store.begin().await.unwrap();
    let change = participants::set_mute(&mut tx, room, user, until).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    change
}

async fn mutes_come_and_go(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;

    assert!(mute(&db, room.id, bo, Some(FOREVER)).await.facts_changed);
    assert!(!mute(&db, room.id, bo, Some(FOREVER)).await.facts_changed);
    let facts = db.facts(room.id, 1).await;
    assert_eq!((facts.version, facts.muted(bo, later(i64::from(u32::MAX)))), (2, Some(FOREVER)));
    assert_eq!(facts.people[&bo].removed_version, 0, "a mute closes no socket");
    assert!(mute(&db, room.id, bo, None).await.facts_changed);
    assert_eq!(db.facts(room.id, 2).await.muted(bo, NOW), None);
}

async fn role(db: &Db, room: streamit_domain::RoomId, user: UserId, role: Role) -> Option<Change> {
    let mut tx = db.store.begin().await.unwrap();
    let change = participants::set_role(&mut tx, room, user, role, NOW).await.unwrap();
    tx.commit().await.unwrap();
    change
}

async fn a_cohost_is_made_and_unmade_with_a_new_fence(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;

    assert!(role(&db, room.id, bo, Role::Cohost).await.unwrap().facts_changed);
    assert!(!role(&db, room.id, bo, Role::Cohost).await.unwrap().facts_changed);
    let facts = db.facts(room.id, 0).await;
    assert_eq!((facts.role(bo), facts.version, facts.fence), (Role::Cohost, 2, 2));
    assert!(role(&db, room.id, bo, Role::Viewer).await.unwrap().facts_changed);
    let facts = db.facts(room.id, 0).await;
    assert_eq!((facts.role(bo), facts.version, facts.fence), (Role::Viewer, 3, 3));

    db.stand(room.id, bo, Standing::Left).await;
    assert_eq!(role(&db, room.id, bo, Role::Cohost).await, None, "not in the room");
}

async fn a_removed_cohost_takes_the_fence_along(db: Db) {
    let room = db.room(Access::Public).await;
    let (bo, cy) = (db.member(room.id, "Bo").await, db.member(room.id, "Cy").await);
    role(&db, room.id, bo, Role::Cohost).await.unwrap(); // fence 2
    db.stand(room.id, cy, Standing::Kicked).await;
    assert_eq!(db.reload(room.id).await.fence, 2, "a viewer's removal changes nothing about control");

    let kicked = db.stand(room.id, bo, Standing::Kicked).await;

    assert_eq!(kicked.participant.role, Role::Viewer);
    assert_eq!(db.reload(room.id).await.fence, 3);
}

async fn a_cohost_who_becomes_host_is_no_cohost_any_more(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    role(&db, room.id, bo, Role::Cohost).await.unwrap();
    let mut tx = db.store.begin().await.unwrap();
    rooms::set_host(&mut tx, room.id, bo, NOW).await.unwrap().unwrap();
    rooms::set_host(&mut tx, room.id, room.host, NOW).await.unwrap().unwrap();
    tx.commit().await.unwrap();

    let facts = db.facts(room.id, 0).await;
    assert_eq!((facts.role(bo), facts.role(room.host), facts.fence), (Role::Viewer, Role::Host, 4));
}

async fn who_is_kicked_meanwhile_does_not_become_host(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    let mut kick = db.store.begin().await.unwrap();
    participants::set_standing(&mut kick, room.id, bo, Standing::Kicked, Some(later(1)), NOW).await.unwrap();

    let transfer = tokio::spawn({
        let db = db.clone();
        async move {
            let mut tx = db.store.begin().await.unwrap();
            let fence = rooms::set_host(&mut tx, room.id, bo, NOW).await.unwrap();
            tx.commit().await.unwrap();
            fence
        }
    });
    tokio::task::yield_now().await;
    kick.commit().await.unwrap();

    assert_eq!(transfer.await.unwrap(), None);
    assert_eq!(db.reload(room.id).await.host, room.host);
}

async fn who_was_never_there_has_no_entry_to_change(db: Db) {
    let room = db.room(Access::Public).await;
    let stranger = db.guest("Bo").await;
    let nowhere = streamit_domain::RoomId(id());
    let mut tx = db.store.begin().await.unwrap();
    for room in [room.id, nowhere] {
        let banned = participants::set_standing(&mut tx, room, stranger, Standing::Banned, None, NOW).await;
        assert_eq!(banned.unwrap(), None);
        assert_eq!(participants::set_mute(&mut tx, room, stranger, None).await.unwrap(), None);
        assert_eq!(participants::set_role(&mut tx, room, stranger, Role::Cohost, NOW).await.unwrap(), None);
    }
    assert_eq!(rooms::by_id(&mut tx, room.id).await.unwrap().unwrap().facts_version, 1);
}
