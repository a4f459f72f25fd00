//! Somebody's place in a room, on one connection.

use std::time::Duration;

use serde_json::Value;
use streamit_client::{
    ChatMessage, CloseReason, Connection, Error, Event, PlaybackState, Pong, Refusal, Welcome,
};
use tokio::time::Instant;

/// A connection that has joined. What is sent must be accepted, and what is waited for must come: else it panics.
#[derive(Debug)]
pub struct Seat {
    /// The connection, for whatever has no word here.
    pub line: Connection,
    /// What the join brought.
    pub welcome: Welcome,
    pub(crate) who: String,
}

impl Seat {
    /// Who sits here.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Says something.
    pub async fn say(&mut self, text: &str) {
        self.line.sender().chat(text, None).await.unwrap_or_else(|error| panic!("{}: {error}", self.who));
    }

    /// Starts the film.
    pub async fn play(&mut self, time: Option<f64>) {
        self.line.sender().play(time).await.unwrap();
    }

    /// Stops the film.
    pub async fn pause(&mut self, time: Option<f64>) {
        self.line.sender().pause(time).await.unwrap();
    }

    /// Goes somewhere in the film.
    pub async fn seek(&mut self, time: f64) {
        self.line.sender().seek(time).await.unwrap();
    }

    /// Sends any frame.
    pub async fn send(&mut self, frame: &Value) {
        self.line.sender().json(frame).await.unwrap();
    }

    /// Sends any text.
    pub async fn send_text(&mut self, text: &str) {
        self.line.sender().text(text).await.unwrap();
    }

    /// Waits for the first event that `pick` takes.
    pub async fn waits<T>(&mut self, what: &str, pick: impl FnMut(&Event) -> Option<T>) -> T {
        match self.line.expect(what, pick).await {
            Ok(found) => found,
            Err(error) => panic!("{}: {error}", self.who),
        }
    }

    /// Waits for an event of this type.
    pub async fn gets(&mut self, kind: &str) -> Event {
        self.waits(kind, |event| (event.kind() == kind).then(|| event.clone())).await
    }

    /// Waits for this text in the chat.
    pub async fn hears(&mut self, text: &str) -> ChatMessage {
        self.waits(&format!("the message {text:?}"), |event| match event {
            Event::ChatMessage(said) if said.message == text => Some(said.clone()),
            _ => None,
        })
        .await
    }

    /// Waits for a playback state.
    pub async fn sees(&mut self, what: &str, like: impl Fn(&PlaybackState) -> bool) -> PlaybackState {
        self.waits(what, |event| match event {
            Event::PlaybackState(state) if like(state) => Some(*state),
            _ => None,
        })
        .await
    }

    /// Waits until somebody comes.
    pub async fn sees_come(&mut self, name: &str) {
        self.waits(&format!("{name} to come"), |event| match event {
            Event::UserJoined(person) if person.user == name => Some(()),
            _ => None,
        })
        .await;
    }

    /// Waits until somebody goes.
    pub async fn sees_go(&mut self, name: &str) {
        self.waits(&format!("{name} to go"), |event| match event {
            Event::UserLeft(person) if person.user == name => Some(()),
            _ => None,
        })
        .await;
    }

    /// Waits for an ERROR with this code.
    pub async fn is_told(&mut self, code: &str) -> Refusal {
        self.waits(&format!("an ERROR {code}"), |event| match event {
            Event::Error(refusal) if refusal.code == code => Some(refusal.clone()),
            _ => None,
        })
        .await
    }

    /// What came until the node had dealt with all that was sent here before.
    ///
    /// The mark is a SYNC_CHECK that is far off: the room answers it in its turn, while a PONG overtakes what the room
    /// still has to say.
    pub async fn quiet(&mut self) -> Vec<Event> {
        /// Nine years into the film.
        const FAR_OFF: f64 = 271_828_182.8;
        self.line.sender().sync_check(FAR_OFF).await.unwrap();
        let mut before = Vec::new();
        self.waits("the answer to a mark", |event| match event {
            Event::SyncCorrection(told) if told.drift > FAR_OFF / 2.0 => Some(()),
            other => {
                before.push(other.clone());
                None
            }
        })
        .await;
        before
    }

    /// Sends a PING whose `t0` is this JSON text; its PONG. What comes before is skipped.
    pub async fn pings(&mut self, t0: &str) -> Pong {
        self.send_text(&format!(r#"{{"type":"PING","t0":{t0}}}"#)).await;
        self.waits("the PONG", |event| match event {
            Event::Pong(pong) if pong.t0 == t0 => Some(pong.clone()),
            _ => None,
        })
        .await
    }

    /// The room's clock, Unix milliseconds.
    pub async fn clock(&mut self) -> i64 {
        self.pings("0").await.t1
    }

    /// Waits until the room's clock shows at least this. What comes meanwhile is skipped.
    pub async fn waits_until(&mut self, room_ms: i64) {
        while self.clock().await < room_ms {
            // Asking at once again would only keep the machine busy.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the end of the connection.
    pub async fn is_closed(&mut self) -> CloseReason {
        self.line.closed().await.unwrap_or_else(|error| panic!("{}: {error}", self.who))
    }

    /// Waits for the end of the connection and checks that it has come by `since` + `limit`.
    pub async fn is_closed_within(&mut self, since: Instant, limit: Duration) -> CloseReason {
        let reason = self.is_closed().await;
        let took = since.elapsed();
        assert!(took <= limit, "{} was closed with {reason} only after {took:?}", self.who);
        reason
    }

    /// Leaves, and says so.
    pub async fn leaves(self) {
        self.line.close().await.unwrap_or_else(|error| panic!("{}: {error}", self.who));
    }

    /// All chat until `last` is heard, that included.
    pub async fn hears_until(&mut self, last: &str) -> Vec<ChatMessage> {
        let mut heard = Vec::new();
        self.waits(&format!("all messages until {last:?}"), |event| {
            let Event::ChatMessage(said) = event else { return None };
            heard.push(said.clone());
            (said.message == last).then_some(())
        })
        .await;
        heard
    }

    /// The next `count` messages.
    pub async fn hears_many(&mut self, count: usize) -> Vec<ChatMessage> {
        let mut heard = Vec::with_capacity(count);
        let picked = self.line.expect("chat", |event| {
            if let Event::ChatMessage(said) = event {
                heard.push(said.clone());
            }
            (heard.len() >= count).then_some(())
        });
        let came: Result<(), Error> = picked.await;
        if let Err(error) = came {
            panic!("{} heard {} of {count} messages: {error}", self.who, heard.len());
        }
        heard
    }
}
