//! Lists: what they find, how they are paged, and what they say to what they can't understand.

use serde_json::json;
use streamit_domain::room::Access;
use streamit_domain::{RoomId, UserId};
use streamit_storage::chat::{self, Append, Draft};

use super::{Desk, Rank, account, desk};
use crate::support::{Person, Room, World};

/// A text that a browser must not take for markup.
const EVIL: &str = "<script>alert(1)</script>";

/// Stores what somebody says, as nodes have it stored.
pub(super) async fn says(world: &World, room: &Room, person: &Person, text: &str) -> u64 {
    let mut tx = world.store.begin().await.unwrap();
    let draft = Draft {
        room: room.id,
        user: person.id,
        text: text.to_owned(),
        key: uuid_of(text),
        key_is_client_id: true,
    };
    let stored = chat::append(&mut tx, &[draft], streamit_domain::Timestamp(crate::support::START)).await.unwrap();
    tx.commit().await.unwrap();
    seq(stored)
}
