//! Coming into a room.

use std::collections::HashSet;

use streamit_domain::UserId;
use streamit_domain::room::{Access, Standing};
use streamit_storage::participants::{self, Participant};

use crate::harness::{Db, NOW, later};

both_engines!(
    joining_again_changes_nothing,
    asking_to_come_in_is_a_fact,
    who_left_comes_back_as_a_fact_and_keeps_the_name,
    a_kick_is_waited_out_and_a_ban_is_not,
    an_approved_member_does_not_wait_again,
    names_that_differ_in_case_only_get_a_number,
    more_namesakes_than_are_looked_at_in_one_go,
    fifty_bobs_join_at_once,
    fifty_bobs_ask_at_once,
    one_person_joins_in_twenty_tabs_at_once,
    the_list_is_paged_by_key,
);

async fn joining_again_changes_nothing(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.guest("Bo").await;

    let first = db.join(room.id, bo, "Bo", Standing::Approved).await;
    let second = db.join_at(room.id, bo, "Somebody else", Standing::Approved, later(5)).await;

    assert_eq!(first, second);
    assert!(!first.facts_changed && first.participant.is_guest);
    assert_eq!(first.participant.joined_at, Some(NOW));
    assert_eq!(db.reload(room.id).await.facts_version, 1);
}

async fn asking_to_come_in_is_a_fact(db: Db) {
    let room = db.room(Access::Approval).await;
    let bo = db.guest("Bo").await;

    let first = db.join(room.id, bo, "Bo", Standing::Pending).await;
    let second = db.join(room.id, bo, "Bo", Standing::Pending).await;

    assert!(first.facts_changed && !second.facts_changed);
    assert_eq!((first.participant.changed_version, first.participant.joined_at), (2, None));
    assert_eq!(db.reload(room.id).await.facts_version, 2);
    assert_eq!(db.facts(room.id, 1).await.people[&bo].standing, Standing::Pending);
}

async fn who_left_comes_back_as_a_fact_and_keeps_the_name(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    db.stand(room.id, bo, Standing::Left).await; // version 2
    let other = db.member(room.id, "Bo").await;

    let back = db.join(room.id, bo, "Bo", Standing::Approved).await;

    assert!(back.facts_changed);
    assert_eq!((back.participant.changed_version, back.participant.removed_version), (3, 2));
    assert_eq!(back.participant.name.as_str(), "Bo");
    let mut read = db.store.read().await.unwrap();
    let other = participants::get(&mut read, room.id, other).await.unwrap().unwrap();
    assert_eq!(other.name.as_str(), "Bo (2)");
    let facts = db.facts(room.id, 2).await;
    assert_eq!(facts.people[&bo].standing, Standing::Approved);
    assert!(facts.admits(bo, 3));
}

async fn a_kick_is_waited_out_and_a_ban_is_not(db: Db) {
    let room = db.room(Access::Public).await;
    let (bo, cy) = (db.member(room.id, "Bo").await, db.member(room.id, "Cy").await);
    db.stand(room.id, bo, Standing::Kicked).await;
    db.stand(room.id, cy, Standing::Banned).await;

    // Whoever decided that they may was late: what the host decided stands.
    let early = db.join_at(room.id, bo, "Bo", Standing::Approved, later(59_999)).await;
    let banned = db.join_at(room.id, cy, "Cy", Standing::Approved, later(999_999)).await;
    let patient = db.join_at(room.id, bo, "Bo", Standing::Approved, later(60_000)).await;

    assert_eq!((early.participant.standing, early.facts_changed), (Standing::Kicked, false));
    assert_eq!((banned.participant.standing, banned.facts_changed), (Standing::Banned, false));
    assert_eq!((patient.participant.standing, patient.facts_changed), (Standing::Approved, true));
    assert_eq!(patient.participant.kicked_until, None);
}

async fn an_approved_member_does_not_wait_again(db: Db) {
    let room = db.room(Access::Approval).await;
    let bo = db.guest("Bo").await;
    db.join(room.id, bo, "Bo", Standing::Pending).await;
    db.stand(room.id, bo, Standing::Approved).await;

    let again = db.join(room.id, bo, "Bo", Standing::Pending).await;

    assert_eq!((again.participant.standing, again.facts_changed), (Standing::Approved, false));
}

async fn names_that_differ_in_case_only_get_a_number(db: Db) {
    let room = db.room(Access::Public).await;
    for (called, becomes) in
        [("bob", "bob"), ("BOB", "BOB (2)"), ("Bob (2)", "Bob (2) (2)"), ("Bob", "Bob (3)")]
    {
        let user = db.guest(called).await;
        let entry = db.join(room.id, user, called, Standing::Approved).await.participant;
        assert_eq!(entry.name.as_str(), becomes);
    }
    // The host has a name, too.
    let user = db.guest("ANA").await;
    assert_eq!(db.join(room.id, user, "ANA", Standing::Approved).await.participant.name.as_str(), "ANA (2)");
}

async fn more_namesakes_than_are_looked_at_in_one_go(db: Db) {
    let room = db.room(Access::Public).await;
    let mut tx = db.store.begin().await.unwrap();
    let mut last = None;
    for _ in 0..70 {
        let guest = streamit_storage::users::NewUser::guest(
            UserId(crate::harness::id()),
            crate::harness::name("Bob"),
            NOW,
        );
        streamit_storage::users::insert(&mut tx, &guest).await.unwrap();
        let entry = participants::upsert_join(
            &mut tx,
            room.id,
            guest.id,
            &guest.display_name,
            Standing::Approved,
            NOW,
        )
        .await
        .unwrap();
        last = Some(entry.participant.name);
    }
    assert_eq!(last.unwrap().as_str(), "Bob (70)");
}

/// The entries after these guests all called Bob joined at the same time.
async fn bobs(db: &Db, room: streamit_domain::RoomId, standing: Standing) -> Vec<Participant> {
    let mut guests = Vec::new();
    for _ in 0..50 {
        guests.push(db.guest("Bob").await);
    }
    let joins: Vec<_> = guests
        .into_iter()
        .map(|guest| {
            let db = db.clone();
            tokio::spawn(async move { db.join(room, guest, "Bob", standing).await.participant })
        })
        .collect();
    let mut entries = Vec::new();
    for join in joins {
        entries.push(join.await.unwrap());
    }
    entries
}

async fn fifty_bobs_join_at_once(db: Db) {
    let room = db.room(Access::Public).await;

    let entries = bobs(&db, room.id, Standing::Approved).await;

    let names: HashSet<String> = entries.iter().map(|entry| entry.name.key()).collect();
    assert_eq!(names.len(), 50);
    assert!(names.contains("bob") && names.contains("bob (50)"), "numbers are given out in a row");
    assert_eq!(db.reload(room.id).await.facts_version, 1);
}

async fn fifty_bobs_ask_at_once(db: Db) {
    let room = db.room(Access::Approval).await;

    let entries = bobs(&db, room.id, Standing::Pending).await;

    let names: HashSet<String> = entries.iter().map(|entry| entry.name.key()).collect();
    let mut versions: Vec<u64> = entries.iter().map(|entry| entry.changed_version).collect();
    versions.sort_unstable();
    assert_eq!(names.len(), 50);
    assert_eq!(versions, (2..52).collect::<Vec<_>>(), "each request has its own version");
}

async fn one_person_joins_in_twenty_tabs_at_once(db: Db) {
    for (access, standing) in [(Access::Public, Standing::Approved), (Access::Approval, Standing::Pending)] {
        let room = db.room(access).await;
        let bo = db.guest("Bo").await;
        let tabs: Vec<_> = (0..20)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move { db.join(room.id, bo, "Bo", standing).await })
            })
            .collect();
        let mut changes = 0;
        for tab in tabs {
            let change = tab.await.unwrap();
            assert_eq!((change.participant.name.as_str(), change.participant.standing), ("Bo", standing));
            changes += u64::from(change.facts_changed);
        }
        assert_eq!(changes, u64::from(standing == Standing::Pending));
        assert_eq!(db.reload(room.id).await.facts_version, 1 + changes);
        let mut read = db.store.read().await.unwrap();
        let all =
            participants::list(&mut read, room.id, &[standing, Standing::Approved], None, 100).await.unwrap();
        assert_eq!(all.len(), 2, "the host and one entry");
    }
}

async fn the_list_is_paged_by_key(db: Db) {
    let room = db.room(Access::Public).await;
    let mut expected = vec![room.host];
    for n in 0..6_i64 {
        let user = db.guest("Bo").await;
        db.join_at(room.id, user, "Bo", Standing::Approved, later(n / 2)).await;
        expected.push(user);
    }
    let gone = db.member(room.id, "Gone").await;
    db.stand(room.id, gone, Standing::Left).await;

    let mut read = db.store.read().await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = participants::list(&mut read, room.id, &[Standing::Approved], after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.created_at, last.user));
        seen.extend(page.iter().map(|entry| entry.user));
    }

    assert_eq!(seen, expected);
}
