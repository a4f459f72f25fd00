//! Logins, refresh tokens and the log of revocations.

use streamit_domain::account::Email;
use streamit_domain::{SessionId, Timestamp};
use streamit_storage::sessions::{self, NewSession, Refresh};
use streamit_storage::users::{self, NewUser};

use crate::harness::{Db, NOW, id, later, name};

both_engines!(
    a_session_holds_until_it_ends,
    a_session_ends_once_and_says_so_in_the_log,
    a_banned_users_sessions_do_not_hold,
    a_cookie_finds_its_session,
    an_account_has_been_where_its_sessions_are_and_lately_were,
    an_extension_never_shortens,
    a_refresh_token_is_used_once_and_answers_for_thirty_seconds,
    two_tabs_refresh_at_once,
    a_refresh_token_dies_with_its_session,
    revocations_are_told_again_for_a_while,
    purging_keeps_the_end_of_the_log,
);

async fn a_session_holds_until_it_ends(db: Db) {
    let user = db.guest("Ana").await;
    let session = db.session(user).await;
    let mut read = db.store.read().await.unwrap();

    let (found, owner) = sessions::live(&mut read, session, later(3_599_999)).await.unwrap().unwrap();

    assert_eq!((found.id, found.user, owner.id), (session, user, user));
    assert_eq!((found.created_at, found.expires_at), (NOW, later(3_600_000)));
    assert_eq!(sessions::live(&mut read, session, later(3_600_000)).await.unwrap(), None, "expired");
    assert_eq!(sessions::live(&mut read, SessionId(id()), NOW).await.unwrap(), None, "unknown");
}

async fn a_session_ends_once_and_says_so_in_the_log(db: Db) {
    let user = db.guest("Ana").await;
    let (first, second) = (db.session(user).await, db.session(user).await);
    let mut tx = db.store.begin().await.unwrap();

    let entry = sessions::revoke(&mut tx, first, NOW).await.unwrap().unwrap();

    assert_eq!(sessions::revoke(&mut tx, first, NOW).await.unwrap(), None, "it had ended");
    assert_eq!(sessions::revoke(&mut tx, SessionId(id()), NOW).await.unwrap(), None);
    assert_eq!(sessions::live(&mut tx, first, NOW).await.unwrap(), None);
    assert!(sessions::live(&mut tx, second, NOW).await.unwrap().is_some());
    let all = sessions::revoke_all(&mut tx, user, NOW).await.unwrap();
    assert_eq!(sessions::live(&mut tx, second, NOW).await.unwrap(), None);
    let (log, head) = sessions::revocations_after(&mut tx, 0, NOW).await.unwrap();
    assert_eq!(
        log.iter().map(|e| (e.id, e.session)).collect::<Vec<_>>(),
        [(entry, Some(first)), (all, None)]
    );
    assert!(log.iter().all(|entry| entry.user == user));
    assert_eq!(head, all);
}

async fn a_banned_users_sessions_do_not_hold(db: Db) {
    let user = db.guest("Ana").await;
    let session = db.session(user).await;
    let mut tx = db.store.begin().await.unwrap();
    users::set_active(&mut tx, user, false).await.unwrap();
    assert_eq!(sessions::live(&mut tx, session, NOW).await.unwrap(), None);
}

async fn a_cookie_finds_its_session(db: Db) {
    let user = db.guest("Ana").await;
    let session = NewSession {
        id: SessionId(id()),
        user,
        cookie_hash: Some(&[9; 32]),
        user_agent: Some("a browser"),
        address: Some("hash of an address"),
        created_at: NOW,
        expires_at: later(1_000),
    };
    let mut tx = db.store.begin().await.unwrap();
    sessions::insert(&mut tx, &session).await.unwrap();

    let (found, owner) = sessions::by_cookie(&mut tx, &[9; 32], NOW).await.unwrap().unwrap();

    assert_eq!((found.id, owner.id), (session.id, user));
    assert_eq!(sessions::by_cookie(&mut tx, &[9; 32], later(1_000)).await.unwrap(), None);
    assert_eq!(sessions::by_cookie(&mut tx, &[8; 32], NOW).await.unwrap(), None);
    sessions::revoke(&mut tx, session.id, NOW).await.unwrap();
    assert_eq!(sessions::by_cookie(&mut tx, &[9; 32], NOW).await.unwrap(), None);
}

async fn an_account_has_been_where_its_sessions_are_and_lately_were(db: Db) {
    let email = |text: &str| Email::parse(text).unwrap();
    let mut tx = db.store.begin().await.unwrap();
    for (address, n) in [("ana@example.org", 1), ("bo@example.org", 2)] {
        let user = NewUser::account(id().into(), email(address), name("Ana"), "a hash".into(), NOW);
        users::insert(&mut tx, &user).await.unwrap();
        let session = NewSession {
            id: SessionId(id()),
            user: user.id,
            cookie_hash: None,
            user_agent: None,
            address: Some(if n == 1 { "home of ana" } else { "home of bo" }),
            created_at: NOW,
            expires_at: later(1_000),
        };
        sessions::insert(&mut tx, &session).await.unwrap();
        if n == 1 {
            sessions::revoke(&mut tx, session.id, NOW).await.unwrap();
        }
    }

    for (account, address, at, expected) in [
        ("ana@example.org", "home of ana", 0, true), // ended, but lately
        ("ana@example.org", "home of ana", 1_000, false),
        ("ana@example.org", "home of bo", 0, false),
        ("bo@example.org", "home of bo", 999, true),
        ("nobody@example.org", "home of bo", 0, false),
    ] {
        let has = sessions::has_been_at(&mut tx, &email(account), address, later(at)).await.unwrap();
        assert_eq!(has, expected, "{account} at the {address}, {at} ms later");
    }
}

async fn an_extension_never_shortens(db: Db) {
    let user = db.guest("Ana").await;
    let session = db.session(user).await;
    let mut tx = db.store.begin().await.unwrap();

    sessions::extend(&mut tx, session, later(10)).await.unwrap();
    assert!(sessions::live(&mut tx, session, later(3_000_000)).await.unwrap().is_some());
    sessions::extend(&mut tx, session, later(9_000_000)).await.unwrap();
    assert!(sessions::live(&mut tx, session, later(8_999_999)).await.unwrap().is_some());
}

async fn refresh(db: &Db, hash: [u8; 32], now: Timestamp) -> Refresh {
    let mut tx = db.store.begin().await.unwrap();
    let outcome = sessions::use_refresh(&mut tx, &hash, now).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

async fn with_token(db: &Db, hash: [u8; 32]) -> SessionId {
    let user = db.guest("Ana").await;
    let session = db.session(user).await;
    let mut tx = db.store.begin().await.unwrap();
    sessions::insert_refresh(&mut tx, session, &hash, NOW, later(3_000_000)).await.unwrap();
    tx.commit().await.unwrap();
    session
}

async fn a_refresh_token_is_used_once_and_answers_for_thirty_seconds(db: Db) {
    let session = with_token(&db, [5; 32]).await;

    assert!(matches!(refresh(&db, [5; 32], later(100)).await, Refresh::Fresh(s, _) if s.id == session));
    assert!(matches!(refresh(&db, [5; 32], later(30_099)).await, Refresh::Grace(s, _) if s.id == session));
    assert_eq!(refresh(&db, [5; 32], later(30_100)).await, Refresh::Reused(session));
    assert_eq!(refresh(&db, [6; 32], later(100)).await, Refresh::Unknown);
    assert_eq!(refresh(&db, [5; 32], later(3_000_000)).await, Refresh::Unknown, "expired");
}

async fn two_tabs_refresh_at_once(db: Db) {
    with_token(&db, [5; 32]).await;
    let tabs: Vec<_> = (0..8)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { refresh(&db, [5; 32], later(1)).await })
        })
        .collect();
    let (mut fresh, mut grace) = (0, 0);
    for tab in tabs {
        match tab.await.unwrap() {
            Refresh::Fresh(..) => fresh += 1,
            Refresh::Grace(..) => grace += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((fresh, grace), (1, 7));
}

async fn a_refresh_token_dies_with_its_session(db: Db) {
    let session = with_token(&db, [5; 32]).await;
    let mut tx = db.store.begin().await.unwrap();
    sessions::revoke(&mut tx, session, NOW).await.unwrap();
    assert_eq!(sessions::use_refresh(&mut tx, &[5; 32], NOW).await.unwrap(), Refresh::Unknown);
}

async fn revocations_are_told_again_for_a_while(db: Db) {
    let user = db.guest("Ana").await;
    let mut tx = db.store.begin().await.unwrap();
    assert_eq!(sessions::revocations_after(&mut tx, 0, NOW).await.unwrap(), (vec![], 0));
    let old = sessions::revoke_all(&mut tx, user, NOW).await.unwrap();
    let recent = sessions::revoke_all(&mut tx, user, later(20_000)).await.unwrap();
    let new = sessions::revoke_all(&mut tx, user, later(40_000)).await.unwrap();

    // The cursor is at `recent`; what was made in the last 30 s is told again all the same.
    let (log, head) = sessions::revocations_after(&mut tx, recent, later(10_000)).await.unwrap();

    assert_eq!(log.iter().map(|entry| entry.id).collect::<Vec<_>>(), [recent, new]);
    assert_eq!(head, new);
    assert_eq!(sessions::revocation_head(&mut tx).await.unwrap(), new);
    let (log, _) = sessions::revocations_after(&mut tx, 0, later(99_000)).await.unwrap();
    assert_eq!(log.iter().map(|entry| entry.id).collect::<Vec<_>>(), [old, recent, new]);
    // Asked from beyond the end, the head tells that something was lost.
    assert_eq!(sessions::revocations_after(&mut tx, new + 50, later(99_000)).await.unwrap(), (vec![], new));
}

async fn purging_keeps_the_end_of_the_log(db: Db) {
    with_token(&db, [5; 32]).await;
    let user = db.guest("Bo").await;
    let mut tx = db.store.begin().await.unwrap();
    sessions::revoke_all(&mut tx, user, NOW).await.unwrap();
    let last = sessions::revoke_all(&mut tx, user, NOW).await.unwrap();

    assert_eq!(sessions::purge(&mut tx, later(3_000_001)).await.unwrap(), 2, "a token and a revocation");

    assert_eq!(sessions::revocation_head(&mut tx).await.unwrap(), last);
    assert_eq!(sessions::use_refresh(&mut tx, &[5; 32], NOW).await.unwrap(), Refresh::Unknown);
}
