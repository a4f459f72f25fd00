//! The admin panel, as browsers of staff and of others see it.

mod acts;
mod gate;
mod lists;
mod matrix;
mod nodes;

use axum::http::Method;
use streamit_api::admin::{Account, create_superuser};
use streamit_domain::UserId;
use streamit_storage::{staff, users};
use streamit_telemetry::{SharedClock, SharedEntropy, SystemEntropy};
use url::form_urlencoded::Serializer;

use crate::support::{Ask, Reply, World};

/// The password of everybody here.
pub(super) const PASSWORD: &str = "correct horse battery";
/// Why things are done here.
pub(super) const REASON: &str = "it had to be";

/// A login to the panel.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) id: UserId,
    pub(super) cookie: String,
}

/// What somebody may do in the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    Nobody,
    Staff,
    Superuser,
}

/// An account with these rights.
pub(super) async fn account(world: &World, email: &str, rank: Rank) -> UserId {
    let clock: SharedClock = world.clock.clone();
    let entropy: SharedEntropy = SystemEntropy::shared();
    let account = Account {
        email: Some(email.to_owned()),
        display_name: Some("Root".to_owned()),
        password_stdin: false,
    };
    let superuser = account.complete_with(PASSWORD.to_owned().into()).unwrap();
    let id = create_superuser(&world.store, superuser, &clock, &entropy).await.unwrap();
    set_rank(world, id, rank).await;
    id
}

/// Gives an account these rights.
pub(super) async fn set_rank(world: &World, id: UserId, rank: Rank) {
    let mut tx = world.store.begin().await.unwrap();
    staff::set_rights(&mut tx, id, rank != Rank::Nobody, rank == Rank::Superuser).await.unwrap();
    tx.commit().await.unwrap();
}

/// The account as it is stored.
pub(super) async fn stored(world: &World, id: UserId) -> users::User {
    users::by_id(&mut world.store.read().await.unwrap(), id).await.unwrap().unwrap()
}

/// A form as browsers send it.
pub(super) fn form<'a>(world: &'a World, path: &str, fields: &[(&str, &str)]) -> Ask<'a> {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    let ask = world.ask(Method::POST, path).body("application/x-www-form-urlencoded", body);
    ask.header("host", "watch.example").header("origin", "https://watch.example")
}

/// Tries to log in.
pub(super) async fn tries(world: &World, email: &str, password: &str) -> Reply {
    form(world, "/admin/login/", &[("email", email), ("password", password)]).send().await
}

/// Logs in.
pub(super) async fn desk(world: &World, email: &str, rank: Rank) -> Desk {
    let id = account(world, email, rank).await;
    Desk { id, cookie: cookie(&tries(world, email, PASSWORD).await) }
}

/// The cookie of a login that must have gone well.
pub(super) fn cookie(reply: &Reply) -> String {
    assert_eq!(reply.status, 303, "{}", reply.text);
    reply.cookie().unwrap()
}

impl Desk {
    pub(super) async fn get(&self, world: &World, path: &str) -> Reply {
        world.get(path).header("cookie", &self.cookie).send().await
    }

    /// A page that must be there.
    pub(super) async fn page(&self, world: &World, path: &str) -> String {
        let reply = self.get(world, path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.text
    }

    /// The token that forms of this login carry.
    pub(super) async fn token(&self, world: &World) -> String {
        let page = self.page(world, "/admin/").await;
        let (_, rest) = page.split_once(r#"name="token" value=""#).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }

    /// Sends a form of the panel.
    pub(super) async fn post(&self, world: &World, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.token(world).await;
        let mut all = vec![("token", token.as_str()), ("reason", REASON)];
        all.extend_from_slice(fields);
        form(world, path, &all).header("cookie", &self.cookie).send().await
    }

    /// The same; it must go well.
    pub(super) async fn does(&self, world: &World, path: &str, fields: &[(&str, &str)]) -> String {
        let reply = self.post(world, path, fields).await;
        assert_eq!(reply.status, 303, "{path}: {}", reply.text);
        reply.header("location").unwrap().to_owned()
    }
}
