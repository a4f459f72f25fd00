//! The calls of the HTTP API, one method each.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::Error;
use crate::event::ChatMessage;
use crate::http::{Http, Response};
use crate::types::{
    Account, AuditPage, Banned, Entry, Joined, Me, NewRoom, Page, Participant, PublicRoom, ReportReason,
    RoomDetail, Which,
};

/// Accounts and sessions.
impl Http {
    /// Makes an account and logs in.
    ///
    /// # Errors
    /// As every call: no answer, a refusal, or an answer that is not the contract's.
    pub async fn register(&self, email: &str, password: &str, display_name: &str) -> Result<Account, Error> {
        let body = json!({"email": email, "password": password, "display_name": display_name});
        self.post("/api/auth/register/", &body).await
    }

    /// Logs in.
    ///
    /// # Errors
    /// As every call.
    pub async fn login(&self, email: &str, password: &str) -> Result<Account, Error> {
        self.post("/api/auth/login/", &json!({"email": email, "password": password})).await
    }

    /// Comes as a guest.
    ///
    /// # Errors
    /// As every call.
    pub async fn guest(&self, display_name: &str) -> Result<Account, Error> {
        self.post("/api/auth/guest/", &json!({"display_name": display_name})).await
    }

    /// Ends the session.
    ///
    /// # Errors
    /// As every call.
    pub async fn logout(&self) -> Result<(), Error> {
        self.request("POST", "/api/auth/logout/").send().await?.ok().map(drop)
    }

    /// Gets the next tokens for a refresh token.
    ///
    /// # Errors
    /// As every call.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Account, Error> {
        self.post("/api/auth/refresh/", &json!({"refresh_token": refresh_token})).await
    }

    /// Who the token is of.
    ///
    /// # Errors
    /// As every call.
    pub async fn me(&self) -> Result<Me, Error> {
        self.get("/api/auth/me/").await
    }

    /// The same handle, as this person.
    #[must_use]
    pub fn as_user(&self, account: &Account) -> Self {
        self.with_token(&account.access_token)
    }
}

/// Rooms.
impl Http {
    /// Opens a room.
    ///
    /// # Errors
    /// As every call.
    pub async fn create_room(&self, entry: Entry) -> Result<NewRoom, Error> {
        let body = match entry {
            Entry::Public => json!({"is_private": false}),
            Entry::Password => json!({"is_private": true, "entry_mode": "PASSWORD"}),
            Entry::Approval => json!({"is_private": true, "entry_mode": "APPROVAL"}),
        };
        self.post("/api/rooms/create/", &body).await
    }

    /// Joins a room, with its password if it has one. Joining again is harmless.
    ///
    /// # Errors
    /// As every call.
    pub async fn join(&self, code: &str, password: Option<&str>) -> Result<Joined, Error> {
        let mut body = json!({"code": code});
        if let Some(password) = password {
            body["password"] = password.into();
        }
        self.post("/api/rooms/join/", &body).await
    }

    /// Lets somebody in who asked (host).
    ///
    /// # Errors
    /// As every call.
    pub async fn approve(&self, room: Uuid, user: Uuid) -> Result<(), Error> {
        self.about_person("approve", room, user).await
    }

    /// Turns somebody away who asked (host).
    ///
    /// # Errors
    /// As every call.
    pub async fn reject(&self, room: Uuid, user: Uuid) -> Result<(), Error> {
        self.about_person("reject", room, user).await
    }

    /// Removes somebody, who may come back after a while (host, co-hosts).
    ///
    /// # Errors
    /// As every call.
    pub async fn kick(&self, room: Uuid, user: Uuid) -> Result<(), Error> {
        self.about_person("kick", room, user).await
    }

    /// Removes somebody for good (host, co-hosts).
    ///
    /// # Errors
    /// As every call.
    pub async fn ban(&self, room: Uuid, user: Uuid) -> Result<(), Error> {
        self.about_person("ban", room, user).await
    }

    /// Takes a ban back (host, co-hosts).
    ///
    /// # Errors
    /// As every call.
    pub async fn unban(&self, room: Uuid, user: Uuid) -> Result<(), Error> {
        self.about_person("unban", room, user).await
    }

    /// Takes somebody's voice in the chat, without end (host, co-hosts).
    ///
    /// # Errors
    /// As every call.
    pub async fn mute(&self, room: Uuid, user: Uuid) -> Result<(), Error> {
        self.about_person("mute", room, user).await
    }

    /// Takes somebody's voice in the chat for so many seconds, at most a year (host, co-hosts).
    ///
    /// # Errors
    /// As every call.
    pub async fn mute_for(&self, room: Uuid, user: Uuid, seconds: u32) -> Result<(), Error> {
        let body = json!({"room_id": room, "user_id": user, "seconds": seconds});
        self.act("mute", &body).await.map(drop)
    }

    /// Gives it back (host, co-hosts).
    ///
    /// # Errors
    /// As every call.
    pub async fn unmute(&self, room: Uuid, user: Uuid) -> Result<(), Error> {
        self.about_person("unmute", room, user).await
    }

    /// Takes back one message, or all that somebody said: one's own, and as host or co-host those of others.
    /// Gives how many there were.
    ///
    /// # Errors
    /// As every call.
    pub async fn erase(&self, room: Uuid, which: Which) -> Result<u64, Error> {
        let body = match which {
            Which::Message(seq) => json!({"room_id": room, "seq": seq}),
            Which::AllOf(user) => json!({"room_id": room, "user_id": user}),
        };
        self.told("erase", &body, "erased").await
    }

    /// Tells those who run the server of somebody or of something said, or of the room, when neither is given.
    /// Gives the report's id. [`ReportReason::Other`] wants a note.
    ///
    /// # Errors
    /// As every call.
    pub async fn report(
        &self,
        room: Uuid,
        about: Option<Which>,
        reason: ReportReason,
        note: Option<&str>,
    ) -> Result<Uuid, Error> {
        let mut body = json!({"room_id": room, "reason": reason, "note": note});
        match about {
            Some(Which::Message(seq)) => body["seq"] = seq.into(),
            Some(Which::AllOf(user)) => body["user_id"] = json!(user),
            None => {}
        }
        self.told("report", &body, "report_id").await
    }

    /// Who was banned, for host and co-hosts. Reads page after page.
    ///
    /// # Errors
    /// As every call.
    pub async fn bans(&self, code: &str) -> Result<Vec<Banned>, Error> {
        self.pages(format!("/api/rooms/{code}/bans/")).await
    }

    /// What was done in the room, the newest first (host): what came before the entry `before`, or the latest;
    /// only of one kind, as `moderation.banned`, if that is given.
    ///
    /// # Errors
    /// As every call.
    pub async fn audit(
        &self,
        code: &str,
        before: Option<Uuid>,
        action: Option<&str>,
    ) -> Result<AuditPage, Error> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        if let Some(action) = action {
            query.append_pair("action", action);
        }
        self.get(&format!("/api/rooms/{code}/audit/?{}", query.finish())).await
    }

    /// Makes somebody else the host (host).
    ///
    /// # Errors
    /// As every call.
    pub async fn transfer(&self, room: Uuid, user: Uuid) -> Result<(), Error> {
        self.about_person("transfer", room, user).await
    }

    /// Appoints a co-host, or takes it back (host).
    ///
    /// # Errors
    /// As every call.
    pub async fn cohost(&self, room: Uuid, user: Uuid, on: bool) -> Result<(), Error> {
        self.act("cohost", &json!({"room_id": room, "user_id": user, "on": on})).await.map(drop)
    }

    /// Leaves the room for good, as a participant.
    ///
    /// # Errors
    /// As every call.
    pub async fn leave(&self, room: Uuid) -> Result<(), Error> {
        self.act("leave", &json!({"room_id": room})).await.map(drop)
    }

    /// Deletes the room (host).
    ///
    /// # Errors
    /// As every call.
    pub async fn delete_room(&self, room: Uuid) -> Result<(), Error> {
        self.act("delete", &json!({"room_id": room})).await.map(drop)
    }

    /// Changes any of the room's settings (host), for example `{"is_chat_enabled": false}`.
    ///
    /// # Errors
    /// As every call.
    pub async fn settings(&self, room: Uuid, changes: &Value) -> Result<Value, Error> {
        let mut body = changes.clone();
        body["room_id"] = json!(room);
        self.act("settings", &body).await?.read()
    }

    /// Says what is being watched (host).
    ///
    /// # Errors
    /// As every call.
    pub async fn source(&self, room: Uuid, url: &str, title: Option<&str>) -> Result<Value, Error> {
        let mut body = json!({"room_id": room, "url": url});
        if let Some(title) = title {
            body["title"] = title.into();
        }
        self.act("source", &body).await?.read()
    }

    /// What the room is now.
    ///
    /// # Errors
    /// As every call.
    pub async fn detail(&self, code: &str) -> Result<RoomDetail, Error> {
        self.get(&format!("/api/rooms/{code}/detail/")).await
    }

    /// Who takes part, and, for the host, who waits to be let in. Reads page after page.
    ///
    /// # Errors
    /// As every call.
    pub async fn participants(&self, room: Uuid) -> Result<Vec<Participant>, Error> {
        self.pages(format!("/api/rooms/participants/?room_id={room}")).await
    }

    /// A page of the room's chat: what came before `before`, or the latest.
    ///
    /// # Errors
    /// As every call.
    pub async fn messages(&self, code: &str, before: Option<u64>) -> Result<Vec<ChatMessage>, Error> {
        let query = before.map(|seq| format!("?before={seq}")).unwrap_or_default();
        let answer: Value = self.get(&format!("/api/rooms/{code}/messages/{query}")).await?;
        let list = answer.get("messages").cloned().unwrap_or(answer);
        serde_json::from_value(list)
            .map_err(|error| Error::unexpected("page of messages", &error.to_string()))
    }

    /// Rooms that anybody may join; `next` is where the last page said that the next one is.
    ///
    /// # Errors
    /// As every call.
    pub async fn public_rooms(&self, next: Option<&str>) -> Result<Page<PublicRoom>, Error> {
        self.page(next.unwrap_or("/api/rooms/public/")).await
    }

    async fn page<T: DeserializeOwned>(&self, path: &str) -> Result<Page<T>, Error> {
        let answer = self.request("GET", path).send().await?.ok()?;
        Ok(Page { items: answer.read()?, next: answer.header("link").and_then(next_link) })
    }

    /// All pages of a list, from the one at `path` on.
    async fn pages<T: DeserializeOwned>(&self, path: String) -> Result<Vec<T>, Error> {
        /// Far more than a room may have members: a server whose last page names a next one must not hold us.
        const MOST_PAGES: usize = 1_000;
        let mut all = Vec::new();
        let mut path = Some(path);
        for _ in 0..MOST_PAGES {
            let Some(next) = path else { break };
            let page = self.page(&next).await?;
            all.extend(page.items);
            path = page.next;
        }
        Ok(all)
    }

    /// Does something, and gives what the answer says under `name`.
    async fn told<T: DeserializeOwned>(
        &self,
        action: &str,
        body: &Value,
        name: &'static str,
    ) -> Result<T, Error> {
        let mut answer: Value = self.act(action, body).await?.read()?;
        serde_json::from_value(answer.get_mut(name).map(Value::take).unwrap_or_default())
            .map_err(|error| Error::unexpected(name, &error.to_string()))
    }

    async fn about_person(&self, action: &str, room: Uuid, user: Uuid) -> Result<(), Error> {
        self.act(action, &json!({"room_id": room, "user_id": user})).await.map(drop)
    }

    async fn act(&self, action: &str, body: &Value) -> Result<Response, Error> {
        self.request("POST", &format!("/api/rooms/{action}/")).json(body).send().await?.ok()
    }
}

/// The target of `rel="next"` in a `Link` header.
fn next_link(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().split_once('>')?;
        let is_next = parameters.split(';').any(|p| matches!(p.trim(), r#"rel="next""# | "rel=next"));
        is_next.then(|| target.trim_start_matches('<').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_other_links() {
        let header = r#"</a?x=1>; rel="prev", </api/rooms/public/?cursor=ab>; rel="next""#;
        assert_eq!(next_link(header).as_deref(), Some("/api/rooms/public/?cursor=ab"));
        assert_eq!(next_link(r#"</a>; rel="prev""#), None);
        assert_eq!(next_link("nonsense"), None);
    }
}
