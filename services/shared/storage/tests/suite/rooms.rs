//! Opening, finding, changing, listing and ending rooms; and the keys all replicas share.

use streamit_domain::room::{Access, Drift, Life, OnHostLost, ReadinessMode, Settings, Source, Standing};
use streamit_domain::{RoomId, UserId};
use streamit_storage::rooms::{self, NewRoom};
use streamit_storage::{Conflict, keys, participants};

use crate::harness::{Db, NOW, id, later, new_room};

both_engines!(
    a_room_is_read_back_as_it_was_opened,
    a_code_is_never_reused,
    settings_and_source_change_with_the_version,
    a_room_changes_hands_with_a_new_fence,
    only_somebody_in_the_room_can_be_host,
    a_room_ends_once,
    changes_of_one_room_wait_for_each_other,
    the_listing_shows_open_public_rooms_page_by_page,
    signing_keys_remember_when_they_were_first_seen,
);

async fn a_room_is_read_back_as_it_was_opened(db: Db) {
    let owner = db.guest("Ana").await;
    let settings = Settings {
        is_chat_enabled: false,
        host_grace_seconds: 45,
        on_host_lost: OnHostLost::Wait,
        expiry_days: 3,
        sync_threshold_ms: 750,
        readiness: ReadinessMode::Strict,
        drift: Drift { enter_ms: 80, leave_ms: 30, seek_ms: 900 },
        is_locked: true,
        is_chat_locked: true,
        slow_mode_seconds: 7,
    };
    let new = NewRoom { settings, max_members: 12, ..new_room(owner, Access::Password) };
    let mut tx = db.store.begin().await.unwrap();
    rooms::insert(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();

    let mut read = db.store.read().await.unwrap();
    let room = rooms::by_code(&mut read, &new.code).await.unwrap().unwrap();

    assert_eq!((room.id, room.owner, room.host), (new.id, owner, owner));
    assert_eq!((room.life, room.access), (Life::Active, Access::Password));
    assert_eq!(room.password_mac, Some(vec![7; 32]));
    assert_eq!((room.settings, room.max_members), (settings, 12));
    assert_eq!((room.facts_version, room.fence, room.epoch), (1, 1, 1));
    assert_eq!((room.source, room.host_deadline, room.ended_at), (None, None, None));
    assert_eq!((room.created_at, room.last_active_at), (NOW, NOW));
    let host = participants::get(&mut read, new.id, owner).await.unwrap().unwrap();
    assert_eq!((host.standing, host.name.as_str(), host.changed_version), (Standing::Approved, "Ana", 0));
    assert_eq!(rooms::by_id(&mut read, RoomId(id())).await.unwrap(), None);
}

async fn a_code_is_never_reused(db: Db) {
    let first = db.room(Access::Public).await;
    let mut tx = db.store.begin().await.unwrap();
    rooms::end(&mut tx, first.id, Life::Closed, NOW).await.unwrap().unwrap();
    tx.commit().await.unwrap();

    let owner = db.guest("Bo").await;
    let mut tx = db.store.begin().await.unwrap();
    let again = NewRoom { code: first.code, ..new_room(owner, Access::Public) };
    let error = rooms::insert(&mut tx, &again).await.unwrap_err();

    assert_eq!(error.conflict(), Some(Conflict::Code), "{error:?}");
}

async fn settings_and_source_change_with_the_version(db: Db) {
    let room = db.room(Access::Public).await;
    let settings = Settings { is_chat_enabled: false, ..room.settings };
    let source = Source {
        url: Some("https://example.org/a.mp4".into()),
        title: Some("A".into()),
        ..Source::default()
    };
    let mut tx = db.store.begin().await.unwrap();

    assert_eq!(rooms::update_settings(&mut tx, room.id, &settings).await.unwrap(), Some(2));
    assert_eq!(rooms::set_source(&mut tx, room.id, Some(&source)).await.unwrap(), Some(3));
    let now = rooms::by_id(&mut tx, room.id).await.unwrap().unwrap();
    assert_eq!((now.settings, now.source, now.facts_version), (settings, Some(source), 3));
    assert_eq!(rooms::set_source(&mut tx, room.id, None).await.unwrap(), Some(4));
    assert_eq!(rooms::by_id(&mut tx, room.id).await.unwrap().unwrap().source, None);
    assert_eq!(rooms::update_settings(&mut tx, RoomId(id()), &settings).await.unwrap(), None);
}

async fn a_room_changes_hands_with_a_new_fence(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    let mut tx = db.store.begin().await.unwrap();

    assert_eq!(rooms::set_host(&mut tx, room.id, bo, NOW).await.unwrap(), Some(2));

    tx.commit().await.unwrap();
    let facts = db.facts(room.id, 0).await;
    assert_eq!((facts.host, facts.host_name.as_str()), (bo, "Bo"));
    assert_eq!((facts.version, facts.fence), (2, 2));
    assert_eq!(db.reload(room.id).await.owner, room.owner);
}

async fn only_somebody_in_the_room_can_be_host(db: Db) {
    let room = db.room(Access::Public).await;
    let stranger = db.guest("Bo").await;
    let kicked = db.member(room.id, "Cy").await;
    db.stand(room.id, kicked, Standing::Kicked).await;
    let mut tx = db.store.begin().await.unwrap();
    for user in [stranger, kicked, UserId(id())] {
        assert_eq!(rooms::set_host(&mut tx, room.id, user, NOW).await.unwrap(), None);
    }
    let now = rooms::by_id(&mut tx, room.id).await.unwrap().unwrap();
    assert_eq!((now.host, now.fence), (room.host, 1));
}

async fn a_room_ends_once(db: Db) {
    let room = db.room(Access::Public).await;
    let mut tx = db.store.begin().await.unwrap();

    assert_eq!(rooms::end(&mut tx, room.id, Life::Closed, later(5)).await.unwrap(), Some(2));
    assert_eq!(rooms::end(&mut tx, room.id, Life::Expired, later(6)).await.unwrap(), None);

    let ended = rooms::by_id(&mut tx, room.id).await.unwrap().unwrap();
    assert_eq!((ended.life, ended.ended_at, ended.facts_version), (Life::Closed, Some(later(5)), 2));
}

async fn changes_of_one_room_wait_for_each_other(db: Db) {
    let room = db.room(Access::Public).await;
    let writers: Vec<_> = (0..16)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.store.begin().await.unwrap();
                let before = rooms::lock(&mut tx, room.id).await.unwrap().unwrap();
                let settings = Settings { expiry_days: n + 1, ..before.settings };
                let after = rooms::update_settings(&mut tx, room.id, &settings).await.unwrap().unwrap();
                tx.commit().await.unwrap();
                (before.facts_version, after)
            })
        })
        .collect();
    let mut steps = Vec::new();
    for writer in writers {
        steps.push(writer.await.unwrap());
    }
    steps.sort_unstable();
    assert_eq!(steps, (1..=16).map(|n| (n, n + 1)).collect::<Vec<_>>(), "what was locked did not change");
}

async fn the_listing_shows_open_public_rooms_page_by_page(db: Db) {
    let mut expected = Vec::new();
    for n in 0..7 {
        // Pairs opened in the same millisecond, so that the id has to decide.
        expected.push(db.room_at(Access::Public, later(n / 2)).await.id);
        db.room(Access::Password).await;
    }
    let closed = db.room(Access::Public).await;
    let mut tx = db.store.begin().await.unwrap();
    rooms::end(&mut tx, closed.id, Life::Closed, NOW).await.unwrap();
    tx.commit().await.unwrap();
    expected.reverse();

    let mut read = db.store.read().await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = rooms::public_page(&mut read, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3 && page.iter().all(|listed| listed.host_name.as_str() == "Ana"));
        after = Some((last.room.created_at, last.room.id));
        seen.extend(page.iter().map(|listed| listed.room.id));
    }

    assert_eq!(seen, expected);
}

async fn signing_keys_remember_when_they_were_first_seen(db: Db) {
    let mut tx = db.store.begin().await.unwrap();
    let first = keys::see(&mut tx, &["b".into(), "a".into()], NOW).await.unwrap();
    let second = keys::see(&mut tx, &["c".into(), "b".into()], later(60_000)).await.unwrap();

    let told = |seen: Vec<keys::SeenKey>| -> Vec<(String, i64)> {
        seen.into_iter().map(|key| (key.kid, key.first_seen_at.0 - NOW.0)).collect()
    };
    assert_eq!(told(first), [("a".to_owned(), 0), ("b".to_owned(), 0)]);
    assert_eq!(told(second), [("b".to_owned(), 0), ("c".to_owned(), 60_000)]);
    assert_eq!(keys::see(&mut tx, &[], NOW).await.unwrap(), []);
}
