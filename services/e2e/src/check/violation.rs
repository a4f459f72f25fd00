//! What should not have been.

use std::fmt;

use super::{Message, State};

/// A broken promise, with who saw it.
#[derive(Clone, Debug, PartialEq)]
pub enum Violation {
    /// A message came, but not the one before it.
    Hole {
        /// Who saw it.
        witness: String,
        /// The number that should have come.
        expected: u64,
        /// The one that came.
        got: u64,
    },
    /// A message came again.
    Repeated {
        /// Who saw it.
        witness: String,
        /// Which.
        message: Message,
    },
    /// A join claimed to resume, but not from where it was asked to.
    FalseResume {
        /// Who saw it.
        witness: String,
        /// What is wrong.
        why: String,
    },
    /// One number, two messages.
    Disagree {
        /// The epoch.
        epoch: u64,
        /// One of them.
        one: Message,
        /// The other.
        other: Message,
    },
    /// One message, two numbers.
    Doubled {
        /// What its sender calls it.
        id: String,
        /// The epoch.
        epoch: u64,
        /// Its numbers.
        seqs: (u64, u64),
    },
    /// It was acknowledged, and is not there.
    Lost {
        /// What its sender calls it.
        id: String,
    },
    /// Who is there has not seen everything.
    Behind {
        /// Who.
        witness: String,
        /// The last message that was seen, with the epoch.
        seen: (u64, u64),
        /// The last message that there is.
        head: (u64, u64),
    },
    /// A state of playback came after a newer one.
    WentBack {
        /// Who saw it.
        witness: String,
        /// What was there.
        from: u64,
        /// What came.
        to: u64,
    },
    /// One version, two states.
    TwoStates {
        /// Who saw the second.
        witness: String,
        /// One of them.
        one: State,
        /// The other.
        other: State,
    },
    /// Members end with different states.
    Apart {
        /// Who.
        witness: String,
        /// The version there.
        version: u64,
        /// The highest that anybody has.
        highest: u64,
    },
    /// A command of a former host had its effect after one of a later host.
    FormerHost {
        /// The version that it got.
        version: u64,
        /// Under which rule it was given.
        reign: u32,
        /// The rule that had begun.
        after: u32,
    },
    /// The list of those present does not end with those who are.
    WrongList {
        /// Whose list.
        witness: String,
        /// Who is on it and not there.
        ghosts: Vec<String>,
        /// Who is there and not on it.
        missing: Vec<String>,
    },
    /// Somebody came who was there, or went who was not.
    Impossible {
        /// Who saw it.
        witness: String,
        /// What.
        what: String,
    },
    /// Somebody was told to have left who was never gone for long.
    Noise {
        /// Who was told.
        witness: String,
        /// Of whom.
        who: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hole { witness, expected, got } => {
                write!(f, "{witness} got message {got} before {expected}")
            }
            Self::Repeated { witness, message } => {
                write!(f, "{witness} got message {} ({}) again", message.seq, message.id)
            }
            Self::FalseResume { witness, why } => write!(f, "{witness} did not resume as told: {why}"),
            Self::Disagree { epoch, one, other } => {
                write!(
                    f,
                    "message {} of epoch {epoch} is {} to one and {} to another",
                    one.seq, one.id, other.id
                )
            }
            Self::Doubled { id, epoch, seqs: (one, other) } => {
                write!(f, "{id} is stored twice in epoch {epoch}: as {one} and as {other}")
            }
            Self::Lost { id } => write!(f, "{id} was acknowledged and is lost"),
            Self::Behind { witness, seen, head } => {
                write!(f, "{witness} has seen up to {seen:?}, of {head:?} (epoch, number)")
            }
            Self::WentBack { witness, from, to } => {
                write!(f, "playback went back for {witness}: from version {from} to {to}")
            }
            Self::TwoStates { witness, one, other } => {
                write!(f, "version {} is {one:?}, but to {witness} it is {other:?}", one.version)
            }
            Self::Apart { witness, version, highest } => {
                write!(f, "{witness} ends with version {version} of playback, others with {highest}")
            }
            Self::FormerHost { version, reign, after } => {
                write!(f, "version {version} is a command from rule {reign}, after rule {after} had begun")
            }
            Self::WrongList { witness, ghosts, missing } => {
                write!(f, "the list of {witness} ends with ghosts {ghosts:?} and lacks {missing:?}")
            }
            Self::Impossible { witness, what } => write!(f, "{witness} was told that {what}"),
            Self::Noise { witness, who } => {
                write!(f, "{witness} was told that {who} left, who was never gone for long")
            }
        }
    }
}
