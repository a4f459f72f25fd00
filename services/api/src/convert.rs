//! From what is stored to what travels.

use streamit_storage::chat::Message;
use streamit_wire::v1;

/// A stored message, as it travels.
pub(crate) fn message(message: &Message) -> v1::ChatMessage {
    v1::ChatMessage {
        seq: message.seq,
        user: message.user.as_bytes().to_vec(),
        name: message.name.to_string(),
        text: message.text.clone().unwrap_or_default(),
        client_id: message.client_id.clone().unwrap_or_default(),
        created_at: message.created_at.0,
        erased: message.is_erased(),
    }
}
