//! Facts of rooms at a version, and what changed since.

use streamit_domain::RoomId;
use streamit_domain::room::{Access, Change, Settings, Standing};
use streamit_storage::rooms::{self, Versions};

use crate::harness::{Db, NOW, id};

both_engines!(
    a_plain_join_is_no_fact,
    a_delta_holds_the_people_changed_since,
    many_rooms_are_answered_in_the_order_asked,
    deltas_take_a_node_from_any_version_to_the_present,
    versions_tell_of_facts_and_chat,
);

async fn a_plain_join_is_no_fact(db: Db) {
    let room = db.room(Access::Public).await;
    db.member(room.id, "Bo").await;

    let facts = db.facts(room.id, 0).await;

    assert_eq!(facts.version, 1);
    assert!(facts.people.is_empty(), "{:?}", facts.people);
    assert_eq!((facts.room, facts.code, facts.host), (room.id, room.code, room.host));
    assert_eq!((facts.host_name.as_str(), facts.settings), ("Ana", Settings::default()));
}

async fn a_delta_holds_the_people_changed_since(db: Db) {
    let room = db.room(Access::Public).await;
    let (bo, cy) = (db.member(room.id, "Bo").await, db.member(room.id, "Cy").await);
    db.stand(room.id, bo, Standing::Banned).await; // version 2
    db.stand(room.id, cy, Standing::Kicked).await; // version 3

    let all = db.facts(room.id, 0).await;
    let since_2 = db.facts(room.id, 2).await;
    let since_3 = db.facts(room.id, 3).await;

    assert_eq!(all.people.keys().copied().collect::<Vec<_>>(), [bo, cy]);
    assert_eq!((all.people[&bo].standing, all.people[&bo].removed_version), (Standing::Banned, 2));
    assert_eq!((all.people[&cy].changed_version, all.people[&cy].name.as_str()), (3, "Cy"));
    assert_eq!(since_2.people.keys().copied().collect::<Vec<_>>(), [cy]);
    assert!(since_3.people.is_empty());
    assert_eq!((all.version, since_2.version, since_3.version), (3, 3, 3));
}

async fn many_rooms_are_answered_in_the_order_asked(db: Db) {
    let (first, second) = (db.room(Access::Public).await, db.room(Access::Approval).await);
    let bo = db.member(second.id, "Bo").await;
    db.stand(second.id, bo, Standing::Left).await;
    let asked = [(second.id, 0), (RoomId(id()), 0), (first.id, 0), (second.id, 2)];

    let mut read = db.store.read().await.unwrap();
    let facts = rooms::facts(&mut read, &asked).await.unwrap();

    let told: Vec<_> = facts.iter().map(|f| f.as_ref().map(|f| (f.room, f.people.len()))).collect();
    assert_eq!(told, [Some((second.id, 1)), None, Some((first.id, 0)), Some((second.id, 0))]);
    assert_eq!(rooms::facts(&mut read, &[]).await.unwrap(), []);
}

async fn deltas_take_a_node_from_any_version_to_the_present(db: Db) {
    let room = db.room(Access::Approval).await;
    let (bo, cy) = (db.guest("Bo").await, db.guest("Cy").await);
    let mut snapshots = vec![db.facts(room.id, 0).await];
    for (user, called, standing) in [(bo, "Bo", Standing::Pending), (cy, "Cy", Standing::Pending)] {
        db.join(room.id, user, called, standing).await;
        snapshots.push(db.facts(room.id, 0).await);
    }
    for (user, standing) in
        [(bo, Standing::Approved), (cy, Standing::Rejected), (bo, Standing::Kicked), (bo, Standing::Left)]
    {
        db.stand(room.id, user, standing).await;
        snapshots.push(db.facts(room.id, 0).await);
    }
    let present = snapshots.last().cloned().unwrap();

    for mut held in snapshots {
        let base = held.version;
        let delta = db.facts(room.id, base).await;
        let changes = held.merge(base, delta).unwrap();
        assert_eq!(held, present, "from version {base}");
        let is_removed =
            changes.iter().any(|change| matches!(change, Change::Removed(user, _) if *user == bo));
        assert_eq!(is_removed, base < present.version, "from version {base}");
    }
}

async fn versions_tell_of_facts_and_chat(db: Db) {
    let (first, second) = (db.room(Access::Public).await, db.room(Access::Public).await);
    let mut tx = db.store.begin().await.unwrap();
    rooms::set_source(&mut tx, second.id, None).await.unwrap();
    let draft = streamit_storage::chat::Draft {
        room: first.id,
        user: first.host,
        text: "hi".into(),
        key: "k".into(),
        key_is_client_id: false,
    };
    streamit_storage::chat::append(&mut tx, &[draft], NOW).await.unwrap();
    tx.commit().await.unwrap();

    let mut read = db.store.read().await.unwrap();
    let mut versions = rooms::versions(&mut read, &[second.id, RoomId(id()), first.id]).await.unwrap();

    versions.sort_by_key(|versions| versions.room);
    assert_eq!(
        versions,
        [
            Versions {
                room: first.id,
                facts_version: 1,
                epoch: 1,
                chat_head: 1,
                fence: 1,
                erasures: 0,
                kept_from: 1
            },
            Versions {
                room: second.id,
                facts_version: 2,
                epoch: 1,
                chat_head: 0,
                fence: 1,
                erasures: 0,
                kept_from: 1
            },
        ]
    );
}
