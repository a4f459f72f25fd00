//! What the calls of the HTTP API take and give. Fields that are not known here are ignored.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Somebody who is logged in.
#[derive(Clone, Deserialize)]
pub struct Account {
    /// Who.
    pub id: Uuid,
    /// The name others see.
    pub display_name: String,
    /// Whether this is a guest, without email and password.
    pub is_guest: bool,
    /// Shown with every call and on the WebSocket.
    pub access_token: String,
    /// Gets the next access token, and is replaced by that.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// All else that came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Tokens stay out of logs.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .field("display_name", &self.display_name)
            .field("is_guest", &self.is_guest)
            .finish_non_exhaustive()
    }
}

/// Who somebody is.
#[derive(Clone, Debug, Deserialize)]
pub struct Me {
    /// Who.
    pub id: Uuid,
    /// The name others see.
    pub display_name: String,
    /// Whether this is a guest.
    pub is_guest: bool,
    /// All else that came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How people get into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Anybody who knows the code; listed.
    Public,
    /// With a password, which the server makes.
    Password,
    /// When the host says yes.
    Approval,
}

/// A room that was just made.
#[derive(Clone, Debug, Deserialize)]
pub struct NewRoom {
    /// What programs call it.
    pub room_id: Uuid,
    /// What people type.
    pub code: String,
    /// Whether it is unlisted.
    pub is_private: bool,
    /// `PASSWORD` or `APPROVAL`; none for a public room.
    pub entry_mode: Option<String>,
    /// Shown this once.
    #[serde(default)]
    pub room_password: Option<String>,
}

/// The answer to joining.
#[derive(Clone, Debug, Deserialize)]
pub struct Joined {
    /// Which room.
    pub room_id: Uuid,
    /// Its code.
    pub code: String,
    /// Whether one may enter.
    pub status: Status,
    /// Whether one is its host.
    pub is_host: bool,
}

/// How somebody stands with a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// The host has yet to say.
    Pending,
    /// May enter.
    Approved,
    /// Anything that this version does not know.
    #[serde(other)]
    Other,
}

/// What a room is now.
#[derive(Clone, Debug, Deserialize)]
pub struct RoomDetail {
    /// What programs call it.
    pub room_id: Uuid,
    /// What people type.
    pub code: String,
    /// Whether it is unlisted.
    pub is_private: bool,
    /// `PASSWORD` or `APPROVAL`; none for a public room.
    pub entry_mode: Option<String>,
    /// Whether anybody may chat.
    pub is_chat_enabled: bool,
    /// The host's name.
    pub host: Option<String>,
    /// The host.
    pub host_id: Option<Uuid>,
    /// Whether the one who asks is the host.
    pub is_host: bool,
    /// All else that came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One person of a room.
#[derive(Clone, Debug, Deserialize)]
pub struct Participant {
    /// Who.
    pub id: Uuid,
    /// The name in this room.
    pub display_name: String,
    /// How they stand.
    pub status: Status,
    /// Whether this is the host.
    #[serde(default)]
    pub is_host: bool,
    /// `HOST`, `COHOST` or `VIEWER`.
    #[serde(default)]
    pub role: String,
    /// Whether they are in the room now.
    #[serde(default)]
    pub online: bool,
    /// All else that came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Which messages are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one of this number.
    Message(u64),
    /// All that somebody said; in a report: that person.
    AllOf(Uuid),
}

/// Why something is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReportReason {
    /// Advertising, flooding.
    Spam,
    /// Insults, threats, bullying.
    Abuse,
    /// Against a group of people.
    Hate,
    /// Sexual content that nobody asked for.
    Sexual,
    /// Against the law.
    Illegal,
    /// Something else, which the note tells.
    Other,
}

/// Somebody who was banned from a room.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Banned {
    /// Who.
    pub id: Uuid,
    /// The name in this room.
    pub display_name: String,
    /// Whether this is a guest.
    pub is_guest: bool,
}

/// A page of what was done in a room.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditPage {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
    /// Whether there is more before the last of them.
    pub has_more: bool,
}

/// Something that was done in a room.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditEntry {
    /// Of the entry.
    pub id: Uuid,
    /// When, RFC 3339.
    pub at: String,
    /// What, as `moderation.banned`.
    pub action: String,
    /// `GUEST`, `USER`, `STAFF`, `SYSTEM` or `UNKNOWN`.
    pub actor_kind: String,
    /// Who did it.
    pub actor: Option<Named>,
    /// To whom.
    pub target: Option<Named>,
    /// How it was.
    pub before: Value,
    /// How it is since.
    pub after: Value,
    /// Why, if that was said.
    pub reason: Option<String>,
}

/// Somebody whom an entry names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// Who.
    pub id: Uuid,
    /// The name, unless it was forgotten.
    pub name: Option<String>,
}

/// A room of the public listing.
#[derive(Clone, Debug, Deserialize)]
pub struct PublicRoom {
    /// What people type.
    pub code: String,
    /// The host's name.
    pub host: Option<String>,
    /// How many are watching.
    pub viewers: u64,
    /// When it was opened, RFC 3339.
    pub created_at: String,
    /// All else that came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one is, from the `Link` header: for [`crate::Http::get`].
    pub next: Option<String>,
}
