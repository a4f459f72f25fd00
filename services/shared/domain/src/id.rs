//! Identifiers, as types that can't be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Invalid;
use crate::time::Timestamp;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The sixteen bytes, as they travel between the services.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads what [`Self::as_bytes`] gave.
            ///
            /// # Errors
            /// When there are not exactly sixteen bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, Invalid> {
                Uuid::from_slice(bytes).map(Self).map_err(|_| Invalid("an id has 16 bytes"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                Uuid::try_parse(text).map(Self).map_err(|_| Invalid("not a UUID"))
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id_type!(
    /// A person: an account or a guest.
    UserId
);
id_type!(
    /// A room. Its [`crate::RoomCode`] is what people type; this is what programs use.
    RoomId
);
id_type!(
    /// One login, from login to logout or revocation. Tokens, cookies and sockets belong to one.
    SessionId
);
id_type!(
    /// One life of one realtime node. A node takes a new one when it may have been held dead.
    Incarnation
);

impl RoomId {
    /// When the room was made, as its id tells; the beginning of time for an id that tells nothing.
    #[must_use]
    pub fn created_at(self) -> Timestamp {
        moment_of(self.0)
    }
}

impl SessionId {
    /// When the login was made, as its id tells; the beginning of time for an id that tells nothing.
    #[must_use]
    pub fn created_at(self) -> Timestamp {
        moment_of(self.0)
    }
}

/// The moment in an id of version 7 (RFC 9562, 5.7).
fn moment_of(id: Uuid) -> Timestamp {
    let moment = id.get_timestamp().map(|moment| moment.to_unix());
    let millis = moment.and_then(|(secs, nanos)| {
        i64::try_from(secs).ok()?.checked_mul(1_000)?.checked_add(i64::from(nanos / 1_000_000))
    });
    Timestamp(millis.unwrap_or(0))
}

/// One WebSocket connection, numbered by the node that holds it; unique together with [`Incarnation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rooms_id_tells_when_it_was_made() {
        let id: RoomId = "01a20513-e423-7418-b154-1a367a6df26f".parse().unwrap();
        assert_eq!(id.created_at(), Timestamp(0x01a2_0513_e423));
        assert_eq!(RoomId(Uuid::from_u128(1)).created_at(), Timestamp(0));
    }
}
