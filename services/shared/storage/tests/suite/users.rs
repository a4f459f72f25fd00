//! Accounts and guests.

use streamit_domain::UserId;
use streamit_domain::account::Email;
use streamit_storage::users::{self, NewUser};
use streamit_storage::{Conflict, Error};

use crate::harness::{Db, NOW, id, name};

both_engines!(
    an_account_is_found_by_its_address_in_any_case,
    an_address_belongs_to_one_account,
    guests_have_no_address_and_never_collide,
    a_superuser_is_made_once_and_raised_after_that,
    rights_and_passwords_change,
    three_hundred_guests_come_at_once,
);

fn account(address: &str) -> NewUser {
    let email = Email::parse(address).unwrap();
    NewUser::account(UserId(id()), email, name("Ana"), "$argon2id$x".to_owned(), NOW)
}

async fn insert(db: &Db, user: &NewUser) -> Result<(), Error> {
    let mut tx = db.store.begin().await?;
    users::insert(&mut tx, user).await?;
    tx.commit().await
}

async fn an_account_is_found_by_its_address_in_any_case(db: Db) {
    let ana = account("Ana@Example.org");
    insert(&db, &ana).await.unwrap();

    let mut read = db.store.read().await.unwrap();
    let found = users::by_email(&mut read, &Email::parse("ANA@example.ORG").unwrap()).await.unwrap().unwrap();

    assert_eq!(found.id, ana.id);
    assert_eq!(found.email, ana.email);
    assert_eq!(found.password_hash.as_deref(), Some("$argon2id$x"));
    assert_eq!(found.created_at, NOW);
    assert!(found.is_active && !found.is_guest && !found.is_staff && !found.is_superuser);
    assert_eq!(users::by_id(&mut read, ana.id).await.unwrap(), Some(found));
    assert_eq!(users::by_email(&mut read, &Email::parse("bo@example.org").unwrap()).await.unwrap(), None);
    assert_eq!(users::by_id(&mut read, UserId(id())).await.unwrap(), None);
}

async fn an_address_belongs_to_one_account(db: Db) {
    insert(&db, &account("ana@example.org")).await.unwrap();

    let error = insert(&db, &account("ANA@example.org")).await.unwrap_err();

    assert_eq!(error.conflict(), Some(Conflict::Email), "{error:?}");
    assert!(!error.is_away());
}

async fn guests_have_no_address_and_never_collide(db: Db) {
    let first = db.guest("Bob").await;
    let second = db.guest("Bob").await;

    let mut read = db.store.read().await.unwrap();
    for user in [first, second] {
        let guest = users::by_id(&mut read, user).await.unwrap().unwrap();
        assert!(guest.is_guest && guest.email.is_none() && guest.password_hash.is_none());
    }
}

async fn a_superuser_is_made_once_and_raised_after_that(db: Db) {
    let root = account("root@localhost");
    let plain = account("ana@example.org");
    insert(&db, &plain).await.unwrap();
    let again = NewUser { password_hash: Some("$argon2id$y".to_owned()), ..account("ana@example.org") };

    let mut tx = db.store.begin().await.unwrap();
    assert_eq!(users::upsert_superuser(&mut tx, &root).await.unwrap(), root.id);
    users::set_active(&mut tx, plain.id, false).await.unwrap();
    assert_eq!(users::upsert_superuser(&mut tx, &again).await.unwrap(), plain.id, "the old id stays");
    let raised = users::by_id(&mut tx, plain.id).await.unwrap().unwrap();
    assert!(raised.is_superuser && raised.is_staff && raised.is_active && !raised.is_guest);
    assert_eq!(raised.password_hash.as_deref(), Some("$argon2id$y"));
    let guest = NewUser::guest(UserId(id()), name("Guest"), NOW);
    assert!(matches!(users::upsert_superuser(&mut tx, &guest).await, Err(Error::Unusable(_))));
}

async fn rights_and_passwords_change(db: Db) {
    let ana = account("ana@example.org");
    insert(&db, &ana).await.unwrap();
    let guest = db.guest("Bob").await;
    let mut tx = db.store.begin().await.unwrap();

    assert!(users::set_superuser(&mut tx, ana.id, true).await.unwrap());
    assert!(users::set_active(&mut tx, ana.id, false).await.unwrap());
    assert!(users::set_password_hash(&mut tx, ana.id, "$argon2id$z").await.unwrap());
    assert!(!users::set_password_hash(&mut tx, guest, "$argon2id$z").await.unwrap(), "guests have none");
    assert!(!users::set_superuser(&mut tx, UserId(id()), true).await.unwrap());

    let now = users::by_id(&mut tx, ana.id).await.unwrap().unwrap();
    assert!(now.is_superuser && now.is_staff && !now.is_active);
    assert_eq!(now.password_hash.as_deref(), Some("$argon2id$z"));
}

async fn three_hundred_guests_come_at_once(db: Db) {
    let at_once = std::sync::Arc::new(tokio::sync::Semaphore::new(32));
    let guests: Vec<_> = (0..300)
        .map(|n| {
            let (db, at_once) = (db.clone(), at_once.clone());
            tokio::spawn(async move {
                let _turn = at_once.acquire().await.unwrap();
                let user = db.guest(&format!("Guest {n}")).await;
                db.session(user).await;
                user
            })
        })
        .collect();
    let mut read = db.store.read().await.unwrap();
    for guest in guests {
        let guest = guest.await.unwrap();
        assert!(users::by_id(&mut read, guest).await.unwrap().is_some());
    }
}
