//! How often somebody may try: limits that all replicas share. They may be forgotten, so they are not in the
//! database.

use std::time::Duration;

use streamit_domain::RoomId;
use streamit_domain::UserId;
use streamit_domain::account::Email;
use streamit_domain::rate::Rate;
use streamit_edge::{Limits, Peer};
use streamit_storage::sessions;
use streamit_wire::Code;

use crate::app::App;
use crate::http::error::{ApiError, Result};
use crate::identity::secrets;
use crate::metrics::Limited;

/// One limit: its name, how often, and about whom.
pub(crate) struct Limit {
    name: &'static str,
    /// What is refused by it, as metrics have it.
    refuses: Option<Limited>,
    rate: Rate,
    about: String,
}

impl Limit {
    /// New guests of an address.
    pub(crate) fn guests(peer: &Peer) -> Self {
        Self {
            name: "guest",
            refuses: Some(Limited::Guest),
            rate: Rate::per_minute(120),
            about: peer.limit_key(),
        }
    }

    /// Logins and registrations from an address.
    pub(crate) fn logins_from(peer: &Peer) -> Self {
        Self { name: "login-from", refuses: None, rate: Rate::per_minute(60), about: peer.limit_key() }
    }

    /// Logins and registrations of an account, whether it exists or not, from one address.
    fn logins_of_from(email: &str, peer: &Peer) -> Self {
        let about = format!("{} {}", spelled_one_way(email), peer.limit_key());
        Self { name: "login-of-from", refuses: None, rate: Rate::per_minute(10), about }
    }

    /// Logins and registrations of an account, whether it exists or not, from everywhere.
    fn logins_of(email: &str) -> Self {
        Self { name: "login-of", refuses: None, rate: Rate::per_minute(60), about: spelled_one_way(email) }
    }

    /// Wrong room passwords of a person.
    pub(crate) fn room_passwords_by(user: UserId) -> Self {
        Self {
            name: "room-password-by",
            refuses: Some(Limited::Password),
            rate: Rate::per_minute(10),
            about: user.to_string(),
        }
    }

    /// Wrong passwords for a room.
    pub(crate) fn room_passwords_for(room: RoomId) -> Self {
        Self {
            name: "room-password-for",
            refuses: Some(Limited::Password),
            rate: Rate::per_minute(60),
            about: room.to_string(),
        }
    }

    /// Rooms that a person opens.
    pub(crate) fn rooms_by(user: UserId) -> Self {
        Self {
            name: "rooms-by",
            refuses: Some(Limited::Create),
            rate: Rate::per_minute(20),
            about: user.to_string(),
        }
    }

    /// Rooms that are opened from an address.
    pub(crate) fn rooms_from(peer: &Peer) -> Self {
        Self {
            name: "rooms-from",
            refuses: Some(Limited::Create),
            rate: Rate::per_minute(120),
            about: peer.limit_key(),
        }
    }

    /// What a person changes about rooms and the people in them: each is told to every node, and written down.
    pub(crate) fn acts_by(user: UserId) -> Self {
        Self {
            name: "acts-by",
            refuses: Some(Limited::Act),
            rate: Rate::per_minute(120),
            about: user.to_string(),
        }
    }

    /// Comings and goings of a person: each is told to everybody, and written down.
    pub(crate) fn joins_by(user: UserId) -> Self {
        Self {
            name: "joins-by",
            refuses: Some(Limited::Join),
            rate: Rate::per_minute(60),
            about: user.to_string(),
        }
    }

    /// Reports from an address.
    pub(crate) fn reports_from(peer: &Peer) -> Self {
        Self {
            name: "reports-from",
            refuses: Some(Limited::Report),
            rate: Rate::per_minute(60),
            about: peer.limit_key(),
        }
    }

    /// Reports of a person.
    pub(crate) fn reports_by(user: UserId) -> Self {
        Self {
            name: "report",
            refuses: Some(Limited::Report),
            rate: Rate::per_minute(10),
            about: user.to_string(),
        }
    }

    /// Refused joins of a person that are written down.
    pub(crate) fn refusals(user: UserId) -> Self {
        Self { name: "refusal", refuses: None, rate: Rate::per_minute(10), about: user.to_string() }
    }

    /// Codes without a room, from an address.
    pub(crate) fn unknown_codes(peer: &Peer) -> Self {
        Self {
            name: "room-code",
            refuses: Some(Limited::Code),
            rate: Rate::per_minute(60),
            about: peer.limit_key(),
        }
    }
}

/// An account's address as limits count it; what is none, in lower case.
fn spelled_one_way(email: &str) -> String {
    Email::parse(email).map_or_else(|_| email.to_lowercase(), |email| email.as_str().to_owned())
}

impl App {
    /// Counts a login or a registration of an account, whether it exists or not.
    ///
    /// What guesses from everywhere use up must not lock the owner out. So what they share stops nobody who calls from
    /// where the account is at home: somewhere it has a session, or had one lately.
    pub(crate) async fn take_login(&self, email: &str, peer: &Peer, what: Limited) -> Result<()> {
        let taken = self.count_login(email, peer).await;
        taken.inspect_err(|error| self.note_limited(error, what))
    }

    /// Counts a refusal that is told, if it is one by a limit (and not the database's).
    pub(crate) fn note_limited(&self, error: &ApiError, what: Limited) {
        if error.code() == Code::RateLimited {
            self.metrics.refused(what);
        }
    }

    async fn count_login(&self, email: &str, peer: &Peer) -> Result<()> {
        self.take(Limit::logins_from(peer)).await?;
        self.take(Limit::logins_of_from(email, peer)).await?;
        let Err(refused) = self.take(Limit::logins_of(email)).await else { return Ok(()) };
        if self.is_at_home(email, peer).await? { Ok(()) } else { Err(refused) }
    }

    async fn is_at_home(&self, email: &str, peer: &Peer) -> Result<bool> {
        let Ok(email) = Email::parse(email) else { return Ok(false) };
        let address = self.hashed(&peer.limit_key()).await?;
        let mut read = self.store.read().await?;
        Ok(sessions::has_been_at(&mut read, &email, &address, self.now()).await?)
    }

    /// Counts one attempt.
    pub(crate) async fn take(&self, limit: Limit) -> Result<()> {
        if self.config.limits == Limits::Off {
            return Ok(());
        }
        let key = format!("{}:{}", limit.name, self.hashed(&limit.about).await?);
        self.quota.take(&key, limit.rate).await.map_err(|wait| self.limited(&limit, wait))
    }

    /// Asks whether an attempt would be let through, without counting it. What comes of it may not be told: it is not
    /// measured either.
    pub(crate) async fn peek_quietly(&self, limit: Limit) -> Result<()> {
        self.peek(Limit { refuses: None, ..limit }).await
    }

    /// Asks whether an attempt would be let through, without counting it.
    pub(crate) async fn peek(&self, limit: Limit) -> Result<()> {
        if self.config.limits == Limits::Off {
            return Ok(());
        }
        let key = format!("{}:{}", limit.name, self.hashed(&limit.about).await?);
        self.quota.peek(&key, limit.rate).await.map_err(|wait| self.limited(&limit, wait))
    }

    fn limited(&self, limit: &Limit, wait: Duration) -> ApiError {
        if let Some(refused) = limit.refuses {
            self.metrics.refused(refused);
        }
        ApiError::limited(wait)
    }

    /// Gives an attempt back that did not count after all.
    pub(crate) async fn give_back(&self, limit: Limit) -> Result<()> {
        if self.config.limits == Limits::On {
            let key = format!("{}:{}", limit.name, self.hashed(&limit.about).await?);
            self.quota.give_back(&key, limit.rate).await;
        }
        Ok(())
    }

    /// What is kept of people's addresses, of whichever kind: a keyed hash.
    pub(crate) async fn hashed(&self, address: &str) -> Result<String> {
        let mac = secrets::mac(&self.secrets().await?.addresses, address);
        Ok(mac.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}
