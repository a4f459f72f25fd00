//! People who use the system.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use streamit_client::{Account, Entry, Error, Http, Response};
use uuid::Uuid;

use crate::{Room, System, until};

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct Person {
    /// The account and its tokens.
    pub account: Account,
    /// Their own address, as a proxy tells it.
    pub address: Ipv4Addr,
    system: System,
    /// One for each api.
    http: Vec<Http>,
    /// The api that they mostly ask.
    home: usize,
}

/// An address that nobody else in this process has.
#[must_use]
pub fn fresh_address() -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + next())
}

fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl System {
    /// A new guest.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn guest(&self, name: &str) -> Person {
        self.newcomer("/api/auth/guest/", &json!({"display_name": name})).await
    }

    /// A new account, with an email address nobody else has.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn user(&self, name: &str) -> Person {
        let email = self.fresh_email();
        let body = json!({"email": email, "password": PASSWORD, "display_name": name});
        self.newcomer("/api/auth/register/", &body).await
    }

    /// An email address nobody else has on this system.
    #[must_use]
    pub fn fresh_email(&self) -> String {
        format!("person-{}-{}@example.org", std::process::id(), next())
    }

    async fn newcomer(&self, path: &str, body: &Value) -> Person {
        let home = next() as usize % self.apis();
        let address = fresh_address();
        let http = self.http(home);
        let account: Account = persistently(async || {
            let request = http.request("POST", path).header("x-forwarded-for", &address.to_string());
            request.json(body).send().await?.ok()?.read()
        })
        .await;
        self.person(account, address, home)
    }

    /// Sends a body to a call as nobody, from an address of its own.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let n = next() as usize;
        let request =
            self.http(n).request("POST", path).header("x-forwarded-for", &fresh_address().to_string());
        request.json(body).send().await.unwrap()
    }

    /// Whoever this account is of.
    #[must_use]
    pub fn person(&self, account: Account, address: Ipv4Addr, home: usize) -> Person {
        let from = address.to_string();
        let of = |i| self.http(i).with_token(&account.access_token).with_header("x-forwarded-for", &from);
        let http = (0..self.apis()).map(of).collect();
        Person { account, address, system: self.clone(), http, home }
    }
}

/// Does what a story begins with. On a machine that is very busy it may be told to try again, and does.
pub(crate) async fn persistently<T>(call: impl AsyncFn() -> Result<T, Error>) -> T {
    const UNAVAILABLE: u16 = 503;
    let answered = until("an answer other than to try again", async || match call().await {
        Err(Error::Api(refusal)) if refusal.status == UNAVAILABLE => None,
        answer => Some(answer),
    });
    answered.await.unwrap().unwrap()
}

/// The password of all users of tests.
pub const PASSWORD: &str = "correct horse battery";

impl Person {
    /// Who.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.account.id
    }

    /// What they show.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.account.access_token
    }

    /// The api they mostly ask, as themselves.
    #[must_use]
    pub fn http(&self) -> &Http {
        self.http_at(self.home)
    }

    /// The `i`-th api, counted round and round, as themselves.
    #[must_use]
    pub fn http_at(&self, i: usize) -> &Http {
        &self.http[i % self.http.len()]
    }

    /// Calls `rooms/<action>/`, whatever the answer is.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn does(&self, action: &str, body: &Value) -> Response {
        let request = self.http().request("POST", &format!("/api/rooms/{action}/"));
        request.json(body).send().await.unwrap()
    }

    /// Asks for `path`, whatever the answer is.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn reads(&self, path: &str) -> Response {
        self.http().request("GET", path).send().await.unwrap()
    }

    /// Opens a room that is listed.
    ///
    /// # Panics
    /// When the system refuses; so for all of these.
    pub async fn public_room(&self) -> Room {
        self.room(Entry::Public).await
    }

    /// Opens a room with a password.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn password_room(&self) -> Room {
        self.room(Entry::Password).await
    }

    /// Opens a room whose host lets people in.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn approval_room(&self) -> Room {
        self.room(Entry::Approval).await
    }

    async fn room(&self, entry: Entry) -> Room {
        let made = persistently(async || self.http().create_room(entry).await).await;
        Room {
            system: self.system.clone(),
            host: self.clone(),
            id: made.room_id,
            code: made.code,
            password: made.room_password,
            entry,
        }
    }
}
