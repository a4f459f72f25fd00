//! Storing messages: four statements for a batch, however many messages and rooms.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::FromRow;
use streamit_domain::room::{Life, Standing};
use streamit_domain::{DisplayName, RoomId, Timestamp, UserId};
use uuid::Uuid;

use super::{Message, MessageRow};
use crate::batch::{self, Hex};
use crate::engine::Sql;
use crate::{Error, Result, Tx, row};

/// A message to be stored.
#[derive(Clone)]
pub struct Draft {
    /// Where it is said.
    pub room: RoomId,
    /// Who says it.
    pub user: UserId,
    /// What, checked by [`streamit_domain::chat::text`].
    pub text: String,
    /// What makes sending again harmless, unique per room and user.
    pub key: String,
    /// Whether the client gave the key, so that others are shown it.
    pub key_is_client_id: bool,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("room", &self.room).field("user", &self.user).finish_non_exhaustive()
    }
}

/// What became of one draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Stored or not.
    pub outcome: Outcome,
    /// The epoch of the room's chat; 0 when there is no such room.
    pub epoch: u64,
}

/// Whether a draft was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored, and has a number.
    Stored(Message),
    /// It had been stored before, as this.
    Repeated(Message),
    /// It is not stored.
    Refused(Refusal),
}

/// Why a draft was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such room.
    NoRoom,
    /// The room has ended.
    RoomEnded(Life),
    /// The sender is not in the room.
    NotApproved,
    /// The host switched the chat off.
    ChatDisabled,
    /// The sender may not chat before this moment.
    Muted(Timestamp),
}

#[derive(Serialize)]
struct Ask<'a> {
    i: usize,
    room: Hex,
    user: Hex,
    key: &'a str,
}

/// What there is to know about one draft, once the head is locked.
#[derive(FromRow)]
struct CheckRow {
    head: Option<i64>,
    epoch: Option<i64>,
    life: Option<String>,
    is_chat_enabled: Option<bool>,
    display_name: Option<String>,
    standing: Option<String>,
    muted_until: Option<i64>,
    // The message that has the draft's key, if there is one.
    seq: Option<i64>,
    name: Option<String>,
    body: Option<String>,
    key_is_client_id: Option<bool>,
    created_at: Option<i64>,
}

#[derive(Serialize)]
struct Insert<'a> {
    room: Hex,
    seq: i64,
    user: Hex,
    name: &'a str,
    body: &'a str,
    key: &'a str,
    is_client_id: bool,
}

#[derive(Serialize)]
struct Head {
    room: Hex,
    head: i64,
}

/// Stores what may be stored and numbers it in the order given. The answers are in that order too, one for each
/// draft; a draft that is refused keeps no other from being stored.
///
/// # Errors
/// When the database fails; nothing of the batch is stored then.
pub async fn append(tx: &mut Tx, drafts: &[Draft], now: Timestamp) -> Result<Vec<Append>> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    lock_heads(tx, drafts).await?;
    let rows = check(tx, drafts).await?;
    let mut batch = Batch::new(now);
    let mut answers = Vec::with_capacity(drafts.len());
    for (draft, row) in drafts.iter().zip(rows) {
        answers.push(batch.take(draft, row)?);
    }
    batch.store(tx).await?;
    Ok(answers)
}

/// Makes other batches of these rooms wait until this transaction ends.
async fn lock_heads(tx: &mut Tx, drafts: &[Draft]) -> Result<()> {
    // A statement of its own: what it waited for is visible to the next statement, not to this one.
    const SQL: &str = "
        SELECT room_id FROM chat_heads
        WHERE room_id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))
        ORDER BY room_id FOR UPDATE";
    // SQLite: this transaction is the only one that writes.
    if tx.is_postgres() {
        execute!(tx, SQL, batch::ids(drafts.iter().map(|draft| draft.room.0))?)?;
    }
    Ok(())
}

async fn check(tx: &mut Tx, drafts: &[Draft]) -> Result<Vec<CheckRow>> {
    const SQL: Sql = sql! {
        postgres: "SELECT h.head, r.epoch, r.life, r.is_chat_enabled, p.display_name, p.standing, p.muted_until,
                m.seq, m.name, m.body, m.key_is_client_id, m.created_at
            FROM json_to_recordset($1::JSON) AS a(i BIGINT, room UUID, \"user\" UUID, key TEXT)
            LEFT JOIN rooms r ON r.id = a.room
            LEFT JOIN chat_heads h ON h.room_id = r.id
            LEFT JOIN participants p ON p.room_id = r.id AND p.user_id = a.\"user\"
            LEFT JOIN messages m ON m.room_id = r.id AND m.user_id = a.\"user\" AND m.key = a.key
            ORDER BY a.i",
        sqlite: "SELECT h.head, r.epoch, r.life, r.is_chat_enabled, p.display_name, p.standing, p.muted_until,
                m.seq, m.name, m.body, m.key_is_client_id, m.created_at
            FROM json_each($1) a
            LEFT JOIN rooms r ON r.id = unhex(a.value ->> 'room')
            LEFT JOIN chat_heads h ON h.room_id = r.id
            LEFT JOIN participants p ON p.room_id = r.id AND p.user_id = unhex(a.value ->> 'user')
            LEFT JOIN messages m ON m.room_id = r.id AND m.user_id = unhex(a.value ->> 'user')
                AND m.key = a.value ->> 'key'
            ORDER BY a.value ->> 'i'",
    };
    let asks: Vec<Ask<'_>> = drafts
        .iter()
        .enumerate()
        .map(|(i, draft)| Ask { i, room: Hex(draft.room.0), user: Hex(draft.user.0), key: &draft.key })
        .collect();
    let rows = fetch_all!(tx, CheckRow, SQL, batch::json(&asks)?)?;
    if rows.len() == drafts.len() { Ok(rows) } else { Err(Error::Corrupt("place in a batch")) }
}

/// The batch as it fills: what gets stored, and under which numbers.
struct Batch<'a> {
    now: Timestamp,
    heads: BTreeMap<Uuid, i64>,
    by_key: HashMap<(RoomId, UserId, &'a str), Message>,
    inserts: Vec<(&'a Draft, i64, DisplayName)>,
}

impl<'a> Batch<'a> {
    fn new(now: Timestamp) -> Self {
        Self { now, heads: BTreeMap::new(), by_key: HashMap::new(), inserts: Vec::new() }
    }

    fn take(&mut self, draft: &'a Draft, row: CheckRow) -> Result<Append> {
        let epoch = row.epoch.map_or(Ok(0), |epoch| row::to_u64(epoch, "rooms.epoch"))?;
        let outcome = self.decide(draft, row)?;
        Ok(Append { outcome, epoch })
    }

    fn decide(&mut self, draft: &'a Draft, row: CheckRow) -> Result<Outcome> {
        let (Some(head), Some(life), Some(is_chat_enabled)) = (row.head, row.life, row.is_chat_enabled)
        else {
            return Ok(Outcome::Refused(Refusal::NoRoom));
        };
        // Repeats first: what was stored stays stored, whatever has become of the sender since.
        let key = (draft.room, draft.user, draft.key.as_str());
        if let Some(message) = self.by_key.get(&key) {
            return Ok(Outcome::Repeated(message.clone()));
        }
        if let (Some(seq), Some(name), Some(key_is_client_id), Some(created_at)) =
            (row.seq, row.name, row.key_is_client_id, row.created_at)
        {
            let (user_id, key) = (draft.user.0, draft.key.clone());
            let stored = MessageRow { seq, user_id, name, body: row.body, key, key_is_client_id, created_at };
            return Ok(Outcome::Repeated(stored.try_into()?));
        }
        let life = row::life(&life)?;
        if life != Life::Active {
            return Ok(Outcome::Refused(Refusal::RoomEnded(life)));
        }
        let (Some(name), Some(standing)) = (row.display_name, row.standing) else {
            return Ok(Outcome::Refused(Refusal::NotApproved));
        };
        if standing != Standing::Approved.as_str() {
            return Ok(Outcome::Refused(Refusal::NotApproved));
        }
        if !is_chat_enabled {
            return Ok(Outcome::Refused(Refusal::ChatDisabled));
        }
        if let Some(until) = row::time(row.muted_until).filter(|until| *until > self.now) {
            return Ok(Outcome::Refused(Refusal::Muted(until)));
        }
        let name = row::name(&name, "participants.display_name")?;
        let head = self.heads.entry(draft.room.0).or_insert(head);
        *head += 1;
        let message = Message {
            seq: row::to_u64(*head, "chat_heads.head")?,
            user: draft.user,
            name: name.clone(),
            text: Some(draft.text.clone()),
            client_id: draft.key_is_client_id.then(|| draft.key.clone()),
            created_at: self.now,
        };
        self.inserts.push((draft, *head, name));
        self.by_key.insert(key, message.clone());
        Ok(Outcome::Stored(message))
    }

    async fn store(&self, tx: &mut Tx) -> Result<()> {
        const MESSAGES: Sql = sql! {
            postgres: "INSERT INTO messages (room_id, seq, user_id, name, body, key, key_is_client_id, created_at)
                SELECT m.room, m.seq, m.\"user\", m.name, m.body, m.key, m.is_client_id, $2
                FROM json_to_recordset($1::JSON) AS m(room UUID, seq BIGINT, \"user\" UUID, name TEXT, body TEXT,
                    key TEXT, is_client_id BOOLEAN)",
            sqlite: "INSERT INTO messages (room_id, seq, user_id, name, body, key, key_is_client_id, created_at)
                SELECT unhex(m.value ->> 'room'), m.value ->> 'seq', unhex(m.value ->> 'user'), m.value ->> 'name',
                    m.value ->> 'body', m.value ->> 'key', m.value ->> 'is_client_id', $2
                FROM json_each($1) m",
        };
        const HEADS: Sql = sql! {
            postgres: "UPDATE chat_heads SET head = h.head
                FROM json_to_recordset($1::JSON) AS h(room UUID, head BIGINT) WHERE room_id = h.room",
            sqlite: "UPDATE chat_heads SET head = h.value ->> 'head'
                FROM json_each($1) h WHERE room_id = unhex(h.value ->> 'room')",
        };
        if self.inserts.is_empty() {
            return Ok(());
        }
        let inserts: Vec<Insert<'_>> = self
            .inserts
            .iter()
            .map(|(draft, seq, name)| Insert {
                room: Hex(draft.room.0),
                seq: *seq,
                user: Hex(draft.user.0),
                name: name.as_str(),
                body: &draft.text,
                key: &draft.key,
                is_client_id: draft.key_is_client_id,
            })
            .collect();
        let heads: Vec<Head> =
            self.heads.iter().map(|(room, head)| Head { room: Hex(*room), head: *head }).collect();
        execute!(tx, MESSAGES, batch::json(&inserts)?, self.now.0)?;
        execute!(tx, HEADS, batch::json(&heads)?)?;
        Ok(())
    }
}
