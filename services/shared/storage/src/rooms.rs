//! Rooms: their settings, host and source, and the versions of all that.
//!
//! Functions that change a fact raise `facts_version` by one with their first statement, which also takes the
//! lock of the room's row; they give the new version. What only lives beside the facts (playback as last saved,
//! when somebody was last there) changes no version.

mod facts;
mod loss;
mod playback;
mod succession;
mod sweep;

use sqlx::FromRow;
use streamit_domain::room::{Access, Drift, Life, Settings, Source};
use streamit_domain::{DisplayName, RoomCode, RoomId, Timestamp, UserId};
use uuid::Uuid;

pub use facts::{Versions, facts, versions};
pub use loss::{Seen, raise_epochs};
pub use playback::{load_playback, save_playback, touch};
pub use succession::{
    Heard, HostReport, Returned, asleep, candidates, lock_as_seen, pass_on, passed_on, report_hosts,
};
pub use sweep::{due_deadlines, expired, playing, set_host_deadline, stale_active};

use crate::{Read, Result, Tx, batch, outbox, row};

/// A room as it is stored.
#[derive(Clone, PartialEq)]
pub struct Room {
    /// Which.
    pub id: RoomId,
    /// What people type.
    pub code: RoomCode,
    /// Who opened it.
    pub owner: UserId,
    /// Who controls it.
    pub host: UserId,
    /// Whether it lives.
    pub life: Life,
    /// How people come in.
    pub access: Access,
    /// The MAC of its password, if it has one.
    pub password_mac: Option<Vec<u8>>,
    /// What the host set.
    pub settings: Settings,
    /// How many may be online at once.
    pub max_members: u32,
    /// What is being watched.
    pub source: Option<Source>,
    /// The version of its facts.
    pub facts_version: u64,
    /// The fence of those who may control playback.
    pub fence: u64,
    /// Grows when the database lost something that was already shown.
    pub epoch: u64,
    /// When the room stops waiting for a lost host.
    pub host_deadline: Option<Timestamp>,
    /// To whom it goes back when they return: it passed on while they were lost.
    pub lost_host: Option<UserId>,
    /// The roster version of the last report about its host that was taken.
    pub host_lost_roster_version: Option<u64>,
    /// When somebody was last there.
    pub last_active_at: Timestamp,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("id", &self.id)
            .field("life", &self.life)
            .field("facts_version", &self.facts_version)
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}

/// A room to be opened.
#[derive(Clone)]
pub struct NewRoom {
    /// Which.
    pub id: RoomId,
    /// What people type.
    pub code: RoomCode,
    /// Who opens it: its first host, approved at once.
    pub owner: UserId,
    /// What they are called there.
    pub owner_name: DisplayName,
    /// How people come in.
    pub access: Access,
    /// The MAC of the password, for [`Access::Password`].
    pub password_mac: Option<Vec<u8>>,
    /// What the host may change later.
    pub settings: Settings,
    /// How many may be online at once.
    pub max_members: u32,
    /// Now.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for NewRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewRoom").field("id", &self.id).field("access", &self.access).finish_non_exhaustive()
    }
}

#[derive(FromRow)]
pub(crate) struct RoomRow {
    id: Uuid,
    code: String,
    owner_id: Uuid,
    host_id: Uuid,
    life: String,
    access: String,
    password_mac: Option<Vec<u8>>,
    is_chat_enabled: bool,
    host_grace_seconds: i64,
    on_host_lost: String,
    expiry_days: i64,
    sync_threshold_ms: i64,
    readiness: String,
    drift_enter_ms: i64,
    drift_leave_ms: i64,
    drift_seek_ms: i64,
    is_locked: bool,
    is_chat_locked: bool,
    slow_mode_seconds: i64,
    max_members: i64,
    source_url: Option<String>,
    source_title: Option<String>,
    source_provider: Option<String>,
    source_video_id: Option<String>,
    facts_version: i64,
    host_fence: i64,
    epoch: i64,
    host_deadline: Option<i64>,
    lost_host_id: Option<Uuid>,
    host_lost_roster_version: Option<i64>,
    last_active_at: i64,
    created_at: i64,
    ended_at: Option<i64>,
}

/// What [`RoomRow`] reads, of a table or alias named `r`.
macro_rules! room_columns {
    () => {
        "r.id, r.code, r.owner_id, r.host_id, r.life, r.access, r.password_mac, r.is_chat_enabled, \
         r.host_grace_seconds, r.on_host_lost, r.expiry_days, r.sync_threshold_ms, r.readiness, r.drift_enter_ms, \
         r.drift_leave_ms, r.drift_seek_ms, r.is_locked, r.is_chat_locked, r.slow_mode_seconds, r.max_members, r.source_url, r.source_title, r.source_provider, r.source_video_id, r.facts_version, r.host_fence, r.epoch, \
         r.host_deadline, r.lost_host_id, r.host_lost_roster_version, r.last_active_at, r.created_at, r.ended_at"
    };
}
pub(crate) use room_columns;

impl TryFrom<RoomRow> for Room {
    type Error = crate::Error;

    fn try_from(row: RoomRow) -> Result<Self> {
        let source = Source {
            url: row.source_url,
            title: row.source_title,
            provider: row.source_provider,
            video_id: row.source_video_id,
        };
        let roster_version = row.host_lost_roster_version;
        Ok(Self {
            id: RoomId(row.id),
            code: row::code(&row.code)?,
            owner: UserId(row.owner_id),
            host: UserId(row.host_id),
            life: row::life(&row.life)?,
            access: row::access(&row.access)?,
            password_mac: row.password_mac,
            settings: Settings {
                is_chat_enabled: row.is_chat_enabled,
                host_grace_seconds: row::to_u32(row.host_grace_seconds, "rooms.host_grace_seconds")?,
                on_host_lost: row::on_host_lost(&row.on_host_lost)?,
                expiry_days: row::to_u32(row.expiry_days, "rooms.expiry_days")?,
                sync_threshold_ms: row::to_u32(row.sync_threshold_ms, "rooms.sync_threshold_ms")?,
                readiness: row::readiness(&row.readiness)?,
                drift: Drift {
                    enter_ms: row::to_u32(row.drift_enter_ms, "rooms.drift_enter_ms")?,
                    leave_ms: row::to_u32(row.drift_leave_ms, "rooms.drift_leave_ms")?,
                    seek_ms: row::to_u32(row.drift_seek_ms, "rooms.drift_seek_ms")?,
                },
                is_locked: row.is_locked,
                is_chat_locked: row.is_chat_locked,
                slow_mode_seconds: row::to_u32(row.slow_mode_seconds, "rooms.slow_mode_seconds")?,
            },
            max_members: row::to_u32(row.max_members, "rooms.max_members")?,
            source: (source != Source::default()).then_some(source),
            facts_version: row::to_u64(row.facts_version, "rooms.facts_version")?,
            fence: row::to_u64(row.host_fence, "rooms.host_fence")?,
            epoch: row::to_u64(row.epoch, "rooms.epoch")?,
            host_deadline: row::time(row.host_deadline),
            lost_host: row.lost_host_id.map(UserId),
            host_lost_roster_version: roster_version
                .map(|version| row::to_u64(version, "rooms.host_lost_roster_version"))
                .transpose()?,
            last_active_at: Timestamp(row.last_active_at),
            created_at: Timestamp(row.created_at),
            ended_at: row::time(row.ended_at),
        })
    }
}

/// Opens a room: the room itself, its owner as an approved participant, the head of its chat, and the word of its
/// fence to its live state.
///
/// # Errors
/// [`Conflict::Code`](crate::Conflict::Code) when there is or was a room with this code; begin again with another.
pub async fn insert(tx: &mut Tx, room: &NewRoom) -> Result<()> {
    const ROOM: &str = "
        INSERT INTO rooms (id, code, owner_id, host_id, access, password_mac, is_chat_enabled, host_grace_seconds,
            on_host_lost, expiry_days, sync_threshold_ms, max_members, last_active_at, created_at,
            readiness, drift_enter_ms, drift_leave_ms, drift_seek_ms, is_locked, is_chat_locked, slow_mode_seconds)
        VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15, $16, $17, $18, $19)";
    const OWNER: &str = "
        INSERT INTO participants (room_id, user_id, display_name, name_key, standing, created_at, joined_at)
        VALUES ($1, $2, $3, $4, 'APPROVED', $5, $5)";
    const CHAT: &str = "INSERT INTO chat_heads (room_id) VALUES ($1)";
    execute!(
        tx,
        ROOM,
        room.id.0,
        room.code.as_str(),
        room.owner.0,
        row::access_word(room.access),
        room.password_mac.as_deref(),
        room.settings.is_chat_enabled,
        i64::from(room.settings.host_grace_seconds),
        row::on_host_lost_word(room.settings.on_host_lost),
        i64::from(room.settings.expiry_days),
        i64::from(room.settings.sync_threshold_ms),
        i64::from(room.max_members),
        room.created_at.0,
        row::readiness_word(room.settings.readiness),
        i64::from(room.settings.drift.enter_ms),
        i64::from(room.settings.drift.leave_ms),
        i64::from(room.settings.drift.seek_ms),
        room.settings.is_locked,
        room.settings.is_chat_locked,
        i64::from(room.settings.slow_mode_seconds),
    )?;
    let name = &room.owner_name;
    execute!(tx, OWNER, room.id.0, room.owner.0, name.as_str(), name.key(), room.created_at.0)?;
    execute!(tx, CHAT, room.id.0)?;
    outbox::insert_fence(tx, room.id, 1, room.created_at).await
}

/// Finds a room, ended ones too, by what people type.
///
/// # Errors
/// When the database fails.
pub async fn by_code(read: &mut Read, code: &RoomCode) -> Result<Option<Room>> {
    const SQL: &str = concat!("SELECT ", room_columns!(), " FROM rooms r WHERE r.code = $1");
    fetch_optional!(read, RoomRow, SQL, code.as_str())?.map(Room::try_from).transpose()
}

/// Finds a room, ended ones too.
///
/// # Errors
/// When the database fails.
pub async fn by_id(read: &mut Read, id: RoomId) -> Result<Option<Room>> {
    const SQL: &str = concat!("SELECT ", room_columns!(), " FROM rooms r WHERE r.id = $1");
    fetch_optional!(read, RoomRow, SQL, id.0)?.map(Room::try_from).transpose()
}

/// Finds a room and keeps its facts from changing until this transaction ends: what was checked against them
/// stays true.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: RoomId) -> Result<Option<Room>> {
    // NO KEY: a message or a joiner only needs the room's row to be there, and must not wait.
    const SQL: crate::engine::Sql = sql! {
        postgres: concat!("SELECT ", room_columns!(), " FROM rooms r WHERE r.id = $1 FOR NO KEY UPDATE"),
        sqlite: concat!("SELECT ", room_columns!(), " FROM rooms r WHERE r.id = $1"),
    };
    fetch_optional!(tx, RoomRow, SQL, id.0)?.map(Room::try_from).transpose()
}

/// Raises the version of a room's facts and gives the new one; nothing when there is no such room.
pub(crate) async fn bump(tx: &mut Tx, id: RoomId) -> Result<Option<u64>> {
    const SQL: &str = "
        UPDATE rooms SET facts_version = facts_version + 1 WHERE id = $1 RETURNING facts_version";
    version(fetch_optional!(tx, (i64,), SQL, id.0)?)
}

/// Raises the fence of a room, since other people may control its playback now, and has its live state told.
pub(crate) async fn raise_fence(tx: &mut Tx, id: RoomId, now: Timestamp) -> Result<u64> {
    const SQL: &str = "UPDATE rooms SET host_fence = host_fence + 1 WHERE id = $1 RETURNING host_fence";
    let (fence,) = fetch_one!(tx, (i64,), SQL, id.0)?;
    let fence = row::to_u64(fence, "rooms.host_fence")?;
    outbox::insert_fence(tx, id, fence, now).await?;
    Ok(fence)
}

fn version(row: Option<(i64,)>) -> Result<Option<u64>> {
    row.map(|(version,)| row::to_u64(version, "rooms.facts_version")).transpose()
}

/// Replaces what the host may set. Gives the new facts version; nothing when there is no such room.
///
/// # Errors
/// When the database fails.
pub async fn update_settings(tx: &mut Tx, id: RoomId, settings: &Settings) -> Result<Option<u64>> {
    const SQL: &str = "
        UPDATE rooms SET facts_version = facts_version + 1, is_chat_enabled = $2, host_grace_seconds = $3,
            on_host_lost = $4, expiry_days = $5, sync_threshold_ms = $6, readiness = $7, drift_enter_ms = $8,
            drift_leave_ms = $9, drift_seek_ms = $10, is_locked = $11, is_chat_locked = $12, slow_mode_seconds = $13
        WHERE id = $1 RETURNING facts_version";
    version(fetch_optional!(
        tx,
        (i64,),
        SQL,
        id.0,
        settings.is_chat_enabled,
        i64::from(settings.host_grace_seconds),
        row::on_host_lost_word(settings.on_host_lost),
        i64::from(settings.expiry_days),
        i64::from(settings.sync_threshold_ms),
        row::readiness_word(settings.readiness),
        i64::from(settings.drift.enter_ms),
        i64::from(settings.drift.leave_ms),
        i64::from(settings.drift.seek_ms),
        settings.is_locked,
        settings.is_chat_locked,
        i64::from(settings.slow_mode_seconds),
    )?)
}

/// What must not be said in a room.
///
/// # Errors
/// When the database fails.
pub async fn blocked_words(read: &mut Read, id: RoomId) -> Result<Vec<String>> {
    const SQL: &str = "SELECT blocked_words FROM rooms WHERE id = $1";
    let row = fetch_optional!(read, (Option<String>,), SQL, id.0)?;
    row::patterns(row.and_then(|(list,)| list).as_deref())
}

/// Replaces what must not be said in a room. It is looked at where messages are stored, so nobody has to be told and no
/// version grows.
///
/// # Errors
/// When the database fails.
pub async fn set_blocked_words(tx: &mut Tx, id: RoomId, patterns: &[String]) -> Result<()> {
    const SQL: &str = "UPDATE rooms SET blocked_words = $2 WHERE id = $1";
    let list = if patterns.is_empty() { None } else { Some(batch::json(patterns)?) };
    execute!(tx, SQL, id.0, list)?;
    Ok(())
}

/// Replaces what is being watched. Gives the new facts version; nothing when there is no such room.
///
/// # Errors
/// When the database fails.
pub async fn set_source(tx: &mut Tx, id: RoomId, source: Option<&Source>) -> Result<Option<u64>> {
    const SQL: &str = "
        UPDATE rooms SET facts_version = facts_version + 1, source_url = $2, source_title = $3,
            source_provider = $4, source_video_id = $5
        WHERE id = $1 RETURNING facts_version";
    let column = |get: fn(&Source) -> &Option<String>| source.and_then(|source| get(source).as_deref());
    version(fetch_optional!(
        tx,
        (i64,),
        SQL,
        id.0,
        column(|source| &source.url),
        column(|source| &source.title),
        column(|source| &source.provider),
        column(|source| &source.video_id),
    )?)
}

/// Hands the room to somebody else, who must be an approved participant, and stops waiting for the host before. A room
/// that is to go back to somebody who was lost still is: whoever has it meanwhile can't give away what is not his. Gives
/// the new fence; nothing when there is no such room or `host` is not in it.
///
/// # Errors
/// When the database fails.
pub async fn set_host(tx: &mut Tx, id: RoomId, host: UserId, now: Timestamp) -> Result<Option<u64>> {
    const SQL: &str = "
        UPDATE rooms SET facts_version = facts_version + 1, host_id = $2, host_deadline = NULL,
            host_lost_roster_version = NULL,
            lost_host_roster_version = CASE WHEN lost_host_id = $2 THEN NULL ELSE lost_host_roster_version END,
            lost_host_id = CASE WHEN lost_host_id = $2 THEN NULL ELSE lost_host_id END
        WHERE id = $1 AND EXISTS (SELECT 1 FROM participants p
            WHERE p.room_id = $1 AND p.user_id = $2 AND p.standing = 'APPROVED')
        RETURNING facts_version";
    // Being host is more than being co-host; once it is over, nothing of that is left.
    const ROLE: &str = "
        UPDATE participants SET role = 'VIEWER', changed_version = $3
        WHERE room_id = $1 AND user_id = $2 AND role <> 'VIEWER'";
    // First the lock, in a statement of its own: a statement that waits for it would still see the person as they
    // stood before whoever held it kicked them.
    lock(tx, id).await?;
    let Some((version,)) = fetch_optional!(tx, (i64,), SQL, id.0, host.0)? else {
        return Ok(None);
    };
    execute!(tx, ROLE, id.0, host.0, version)?;
    raise_fence(tx, id, now).await.map(Some)
}

/// Ends a room. Gives the new facts version; nothing when there is no such room or it had ended before.
///
/// # Errors
/// When the database fails.
pub async fn end(tx: &mut Tx, id: RoomId, life: Life, now: Timestamp) -> Result<Option<u64>> {
    const SQL: &str = "
        UPDATE rooms SET facts_version = facts_version + 1, life = $2, ended_at = $3, host_deadline = NULL
        WHERE id = $1 AND life = 'ACTIVE' RETURNING facts_version";
    version(fetch_optional!(tx, (i64,), SQL, id.0, row::life_word(life), now.0)?)
}

/// A room of the public listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The room.
    pub room: Room,
    /// What its host is called there.
    pub host_name: DisplayName,
}

#[derive(FromRow)]
struct ListedRow {
    #[sqlx(flatten)]
    room: RoomRow,
    host_name: String,
}

/// Open public rooms, the newest first; `after` is the moment and id of the last one that was shown.
///
/// # Errors
/// When the database fails.
pub async fn public_page(
    read: &mut Read,
    after: Option<(Timestamp, RoomId)>,
    limit: u32,
) -> Result<Vec<Listed>> {
    const SQL: &str = concat!(
        "SELECT ",
        room_columns!(),
        ", p.display_name AS host_name FROM rooms r
         JOIN participants p ON p.room_id = r.id AND p.user_id = r.host_id
         WHERE r.life = 'ACTIVE' AND r.access = 'PUBLIC' AND (r.created_at, r.id) < ($1, $2)
         ORDER BY r.created_at DESC, r.id DESC LIMIT $3",
    );
    let (at, id) = after.unwrap_or((Timestamp(i64::MAX), RoomId(Uuid::max())));
    fetch_all!(read, ListedRow, SQL, at.0, id.0, i64::from(limit))?
        .into_iter()
        .map(|row| {
            let host_name = row::name(&row.host_name, "participants.display_name")?;
            Ok(Listed { room: row.room.try_into()?, host_name })
        })
        .collect()
}
