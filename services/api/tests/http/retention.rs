//! What is old is forgotten, as long as the operator says.

use serde_json::json;
use streamit_api::config::Public;
use streamit_api::retention::Retention;
use streamit_domain::audit::Action;
use streamit_storage::audit::{self, Filter};
use streamit_storage::users;

use crate::grpc::{append, connect, draft};
use crate::support::{Person, World};

const DAY: u64 = 24 * 3600;

#[tokio::test]
async fn messages_guests_and_rows_go_when_their_time_has_come() {
    let retention = Retention {
        keep_messages: "10d".parse().unwrap(),
        keep_guests: "40d".parse().unwrap(),
        ..Retention::default()
    };
    let world = World::with(Public { retention, ..Public::default() }).await;
    let account = json!({"email": "ana@e.org", "password": "correct horse", "display_name": "Ana"});
    let ana = Person::of(&world.post("/api/auth/register/").json(account).send().await);
    let bo = world.guest("Bo Secretname").await;
    let room = world.public_room(&ana).await;
    world.join(&room, &bo, "APPROVED").await;
    let mut client = connect(&world).await;
    append(&mut client, vec![draft(&room, &bo, "old", "a")]).await;
    world.advance(9 * DAY);
    append(&mut client, vec![draft(&room, &bo, "new", "b")]).await;
    world.advance(2 * DAY);

    world.api.forget_what_is_old().await.unwrap();
    let login = || {
        world.post("/api/auth/login/").json(json!({"email": "ana@e.org", "password": "correct horse"})).send()
    };
    let ana = Person::of(&login().await);
    let path = format!("/api/rooms/{}/messages/", room.code);
    let kept = world.get(&path).by(&ana).send().await;
    assert_eq!(kept.body["kept_from"], json!(2), "{}", kept.text);
    assert_eq!(kept.body["messages"][0]["message"], json!("new"));
    assert_eq!(kept.body["messages"][0]["user"], json!("Bo Secretname"));

    // His session is over after 30 days, and he is remembered for 40 more.
    world.advance(60 * DAY);
    let body = json!({"room_id": room.id, "expiry_days": 365});
    let ana = Person::of(&login().await);
    assert_eq!(world.post("/api/rooms/settings/").by(&ana).json(body).send().await.status, 200);
    let name = async |id| {
        let mut read = world.store.read().await.unwrap();
        users::by_id(&mut read, id).await.unwrap().unwrap().display_name.to_string()
    };
    world.advance(11 * DAY);
    world.api.forget_what_is_old().await.unwrap();
    assert!(!name(bo.id).await.contains("Secret"));
    assert_eq!(name(ana.id).await, "Ana", "accounts are not forgotten");
    let people = world
        .get(&format!("/api/rooms/{}/participants/", room.code))
        .by(&Person::of(&login().await))
        .send()
        .await;
    assert!(!people.text.contains("Secretname"), "{}", people.text);

    let rows = async |action| {
        let mut read = world.store.read().await.unwrap();
        let filter = Filter { actions: vec![action], ..Filter::default() };
        audit::list(&mut read, &filter, None, 100).await.unwrap().len()
    };
    assert_eq!(rows(Action::Anonymised).await, 1);
    assert_eq!(rows(Action::Registered).await, 1);
    world.advance(366 * DAY);
    world.api.forget_what_is_old().await.unwrap();
    assert_eq!((rows(Action::Registered).await, rows(Action::Anonymised).await), (0, 0));
    world.api.forget_what_is_old().await.unwrap();
}
