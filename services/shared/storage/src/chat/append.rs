//! Storing messages: four statements for a batch, however many messages and rooms; one more where a room is slow.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::Serialize;
use sqlx::FromRow;
use streamit_domain::room::{Life, Standing};
use streamit_domain::words::WordFilter;
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
    /// Only host and co-hosts may chat.
    ChatLocked,
    /// The room is slow: the sender may chat again at this moment.
    SlowMode(Timestamp),
    /// It holds what must not be said.
    Blocked,
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
    is_chat_locked: Option<bool>,
    slow_mode_seconds: Option<i64>,
    blocked_words: Option<String>,
    display_name: Option<String>,
    standing: Option<String>,
    muted_until: Option<i64>,
    last_said_at: Option<i64>,
    /// Host or co-host.
    is_in_charge: bool,
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
struct Slowed {
    room: Hex,
    user: Hex,
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
        postgres: "SELECT h.head, r.epoch, r.life, r.is_chat_enabled, r.is_chat_locked, r.slow_mode_seconds, r.blocked_words,
                p.display_name, p.standing, p.muted_until, p.last_said_at,
                COALESCE(r.host_id = p.user_id OR p.role = 'COHOST', FALSE) AS is_in_charge,
                m.seq, m.name, m.body, m.key_is_client_id, m.created_at
            FROM json_to_recordset($1::JSON) AS a(i BIGINT, room UUID, \"user\" UUID, key TEXT)
            LEFT JOIN rooms r ON r.id = a.room
            LEFT JOIN chat_heads h ON h.room_id = r.id
            LEFT JOIN participants p ON p.room_id = r.id AND p.user_id = a.\"user\"
            LEFT JOIN messages m ON m.room_id = r.id AND m.user_id = a.\"user\" AND m.key = a.key
            ORDER BY a.i",
        sqlite: "SELECT h.head, r.epoch, r.life, r.is_chat_enabled, r.is_chat_locked, r.slow_mode_seconds, r.blocked_words,
                p.display_name, p.standing, p.muted_until, p.last_said_at,
                COALESCE(r.host_id = p.user_id OR p.role = 'COHOST', FALSE) AS is_in_charge,
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
    filters: HashMap<RoomId, WordFilter>,
    /// Who has spoken in a slow room, in this batch.
    slowed: BTreeSet<(Uuid, Uuid)>,
    inserts: Vec<(&'a Draft, i64, DisplayName)>,
}

impl<'a> Batch<'a> {
    fn new(now: Timestamp) -> Self {
        Self {
            now,
            heads: BTreeMap::new(),
            by_key: HashMap::new(),
            filters: HashMap::new(),
            slowed: BTreeSet::new(),
            inserts: Vec::new(),
        }
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
        if !row.is_in_charge {
            if row.is_chat_locked == Some(true) {
                return Ok(Outcome::Refused(Refusal::ChatLocked));
            }
            if let Some(until) = self.slow_until(draft, row.slow_mode_seconds, row.last_said_at)? {
                return Ok(Outcome::Refused(Refusal::SlowMode(until)));
            }
        }
        if let Some(list) = &row.blocked_words
            && self.filter(draft.room, list)?.blocks(&draft.text)
        {
            return Ok(Outcome::Refused(Refusal::Blocked));
        }
        if !row.is_in_charge && row.slow_mode_seconds.is_some_and(|seconds| seconds > 0) {
            self.slowed.insert((draft.room.0, draft.user.0));
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

    /// When the sender may speak again, in a room that is slow.
    fn slow_until(
        &self,
        draft: &Draft,
        seconds: Option<i64>,
        last: Option<i64>,
    ) -> Result<Option<Timestamp>> {
        let pause = u64::from(row::to_u32(seconds.unwrap_or(0), "rooms.slow_mode_seconds")?);
        let said_now = self.slowed.contains(&(draft.room.0, draft.user.0)).then_some(self.now);
        let last = said_now.or(row::time(last));
        let until = last.map(|last| last.plus(Duration::from_secs(pause)));
        Ok(until.filter(|until| pause > 0 && *until > self.now))
    }

    fn filter(&mut self, room: RoomId, list: &str) -> Result<&WordFilter> {
        Ok(match self.filters.entry(room) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let patterns = row::patterns(Some(list))?;
                place.insert(WordFilter::new(patterns.iter().map(String::as_str)))
            }
        })
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
        const SLOWED: Sql = sql! {
            postgres: "UPDATE participants SET last_said_at = $2
                FROM json_to_recordset($1::JSON) AS s(room UUID, \"user\" UUID)
                WHERE room_id = s.room AND user_id = s.\"user\"",
            sqlite: "UPDATE participants SET last_said_at = $2 FROM json_each($1) s
                WHERE room_id = unhex(s.value ->> 'room') AND user_id = unhex(s.value ->> 'user')",
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
        // Before anything of users is held: who is forgotten meanwhile is held by his entries first.
        if !self.slowed.is_empty() {
            let slowed: Vec<Slowed> = self
                .slowed
                .iter()
                .map(|(room, user)| Slowed { room: Hex(*room), user: Hex(*user) })
                .collect();
            execute!(tx, SLOWED, batch::json(&slowed)?, self.now.0)?;
        }
        execute!(tx, MESSAGES, batch::json(&inserts)?, self.now.0)?;
        execute!(tx, HEADS, batch::json(&heads)?)?;
        Ok(())
    }
}
