//! The checker: what clients saw, held against what they were promised.
//!
//! A [`Run`] is a record of something that is over: what each [`Witness`] saw, in order, and what is true in the end.
//! Nobody's word is believed but that of the witnesses: it does not matter how the run was made, whether by real
//! programs under faults or by a simulation. [`check`] returns all that should not have been.
//!
//! | promise | broken, it is |
//! |---|---|
//! | a message is seen once, in the order of its number, without holes but those that a join told | [`Violation::Hole`], [`Violation::Repeated`] |
//! | a number means the same message to everybody | [`Violation::Disagree`] |
//! | a message that is sent again is stored once | [`Violation::Doubled`] |
//! | what was acknowledged is there in the end, and who is there has seen it | [`Violation::Lost`], [`Violation::Behind`] |
//! | playback never goes back, and a version is one state | [`Violation::WentBack`], [`Violation::TwoStates`] |
//! | a former host is never obeyed again | [`Violation::FormerHost`] |
//! | lists follow from what was told, and end with who is there | [`Violation::WrongList`], [`Violation::Impossible`] |
//! | who comes back in time was never gone | [`Violation::Noise`] |

mod judge;
mod violation;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use judge::check;
pub use violation::Violation;

/// A stored message, as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number in the room.
    pub seq: u64,
    /// Who said it, by the name in the room.
    pub user: String,
    /// What its sender calls it: the client id, or a text that is said once.
    pub id: String,
}

/// A state of playback, as it was shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Only grows.
    pub version: u64,
    /// Whether it runs.
    pub is_playing: bool,
    /// The position at `server_time`, in milliseconds.
    pub time_ms: f64,
    /// Room time, in Unix milliseconds.
    pub server_time: i64,
    /// Under which host's rule it was made, counted up with each change of host; `None` when that can't be told.
    pub reign: Option<u32>,
}

/// The frames of a join.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// What the client asked to resume from: epoch and number.
    pub asked: Option<(u64, u64)>,
    /// The epoch of the messages.
    pub epoch: u64,
    /// Whether `messages` are exactly those after what was asked for.
    pub resumed: bool,
    /// What was said, oldest first.
    pub messages: Vec<Message>,
    /// Where the film stands.
    pub state: State,
    /// Who is present.
    pub present: BTreeSet<String>,
}

/// Something a client saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It was let in.
    Joined(Joined),
    /// Somebody said something.
    Said(Message),
    /// The film does something.
    Played(State),
    /// Who is present, all of them.
    Listed(BTreeSet<String>),
    /// Somebody came.
    Came(String),
    /// Somebody went.
    Went(String),
    /// The connection ended: with a close code, or without a word.
    Ended(Option<u16>),
}

/// One client, over all its connections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Witness {
    /// Its name in the room.
    pub name: String,
    /// What it saw, in order.
    pub seen: Vec<Seen>,
    /// Messages that it sent more than once: their answers may come again, to it alone.
    pub sent_again: BTreeSet<String>,
}

/// What is true when all is over and quiet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    /// The epoch of the chat.
    pub epoch: u64,
    /// All that is kept of it, oldest first.
    pub messages: Vec<Message>,
    /// Who is present.
    pub present: BTreeSet<String>,
}

/// All that is known of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The clients.
    pub witnesses: Vec<Witness>,
    /// What senders were told is stored: by epoch, the ids.
    pub acknowledged: BTreeMap<u64, BTreeSet<String>>,
    /// Who must not be told to have left: they stayed, or came back within their grace.
    pub steady: BTreeSet<String>,
    /// The end.
    pub end: End,
}
