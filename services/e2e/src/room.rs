//! A room that a test has opened.

use serde_json::Value;
use streamit_client::{Connection, Entry, Error, Options, PublicRoom};
use uuid::Uuid;

use crate::people::persistently;
use crate::{Person, Seat, System};

/// A room, its host and its secrets.
#[derive(Clone, Debug)]
pub struct Room {
    pub(crate) system: System,
    /// Who opened it.
    pub host: Person,
    /// What programs call it.
    pub id: Uuid,
    /// What people type.
    pub code: String,
    /// Of a room that has one.
    pub password: Option<String>,
    pub(crate) entry: Entry,
}

impl Room {
    /// Makes somebody a member: joins with the password, or asks and is let in.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn admit(&self, person: &Person) {
        persistently(async || person.http().join(&self.code, self.password.as_deref()).await).await;
        if self.entry == Entry::Approval && person.id() != self.host.id() {
            self.host.http().approve(self.id, person.id()).await.unwrap();
        }
    }

    /// Makes somebody a member and takes a seat on the `node`-th node, counted round and round.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn join_on(&self, node: usize, person: &Person) -> Seat {
        self.admit(person).await;
        self.sit(node, person, Options::default()).await
    }

    /// Takes a seat for somebody who is a member.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn sit(&self, node: usize, person: &Person, options: Options) -> Seat {
        match self.try_sit(node, person, options).await {
            Ok(seat) => seat,
            Err(error) => panic!("{} can't come in: {error}", person.account.display_name),
        }
    }

    /// Takes a seat for somebody who may be a member.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn try_sit(&self, node: usize, person: &Person, options: Options) -> Result<Seat, Error> {
        let mut line = self.knock(node, person, options).await?;
        let welcome = line.welcome().await?;
        Ok(Seat { line, welcome, who: person.account.display_name.clone() })
    }

    /// Opens a WebSocket and waits for nothing.
    ///
    /// # Errors
    /// When the upgrade is refused.
    pub async fn knock(
        &self,
        node: usize,
        person: &Person,
        mut options: Options,
    ) -> Result<Connection, Error> {
        options.headers.push(("x-forwarded-for".to_owned(), person.address.to_string()));
        options.patience = crate::PATIENCE;
        Connection::open(&self.system.ws(node), &self.code, person.token(), options).await
    }

    /// Calls `rooms/<action>/` as the host, about this room.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn host_does(&self, action: &str, mut body: Value) -> Value {
        body["room_id"] = self.id.to_string().into();
        let answer =
            self.host.http().raw("POST", &format!("/api/rooms/{action}/"), Some(&body)).await.unwrap();
        answer.ok().unwrap().json()
    }

    /// Its entry in the public listing, if it has one.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn listed(&self) -> Option<PublicRoom> {
        let http = self.host.http();
        let mut page = http.public_rooms(None).await.unwrap();
        loop {
            if let Some(found) = page.items.into_iter().find(|room| room.code == self.code) {
                return Some(found);
            }
            page = http.public_rooms(Some(page.next.as_deref()?)).await.unwrap();
        }
    }
}
