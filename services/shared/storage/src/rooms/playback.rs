//! Playback as last saved, behind its home: what a room goes on from when its live state was lost.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;
use streamit_domain::playback::Version;
use streamit_domain::{MediaTime, Playback, RoomId, Timestamp};

use crate::batch::{self, Hex};
use crate::engine::Sql;
use crate::{Error, Read, Result, Tx, row};

#[derive(Serialize)]
struct Save {
    room: Hex,
    fence: i64,
    version: i64,
    playing: bool,
    time: f64,
    at: i64,
    rate: f64,
}

/// Keeps these states, each unless a newer one is kept already. One statement, however many rooms; several nodes
/// may save the same room.
///
/// # Errors
/// When the database fails.
pub async fn save_playback(tx: &mut Tx, states: &[(RoomId, Playback)]) -> Result<()> {
    // Rows are locked in the order of their ids, so that two savers of the same rooms wait for each other in line.
    const SQL: Sql = sql! {
        postgres: "WITH s AS MATERIALIZED (
                SELECT * FROM json_to_recordset($1::JSON) AS s(room UUID, fence BIGINT, version BIGINT,
                    playing BOOLEAN, time DOUBLE PRECISION, at BIGINT, rate DOUBLE PRECISION)
            ), locked AS MATERIALIZED (
                SELECT r.id FROM rooms r WHERE r.id IN (SELECT s.room FROM s) ORDER BY r.id FOR NO KEY UPDATE
            )
            UPDATE rooms SET playback_fence = s.fence, playback_version = s.version,
                playback_playing = s.playing, playback_time = s.time, playback_at = s.at, playback_rate = s.rate
            FROM s JOIN locked ON locked.id = s.room
            WHERE rooms.id = locked.id
                AND (COALESCE(playback_fence, -1), COALESCE(playback_version, -1)) < (s.fence, s.version)",
        sqlite: "UPDATE rooms SET playback_fence = s.value ->> 'fence', playback_version = s.value ->> 'version',
                playback_playing = s.value ->> 'playing', playback_time = s.value ->> 'time',
                playback_at = s.value ->> 'at', playback_rate = s.value ->> 'rate'
            FROM json_each($1) s
            WHERE rooms.id = unhex(s.value ->> 'room')
                AND (COALESCE(playback_fence, -1), COALESCE(playback_version, -1))
                    < (s.value ->> 'fence', s.value ->> 'version')",
    };
    // Of two states of one room the newer one counts; a statement would pick either.
    let mut newest: BTreeMap<RoomId, &Playback> = BTreeMap::new();
    for (room, state) in states {
        let kept = newest.entry(*room).or_insert(state);
        if kept.version < state.version {
            *kept = state;
        }
    }
    if newest.is_empty() {
        return Ok(());
    }
    let saves: Vec<Save> = newest
        .into_iter()
        .map(|(room, state)| Save {
            room: Hex(room.0),
            fence: row::to_i64(state.version.fence),
            version: row::to_i64(state.version.number),
            // Nobody waits on after what made the room forget its live state.
            playing: state.is_running(),
            time: state.time.secs(),
            at: state.at.0,
            rate: state.rate,
        })
        .collect();
    execute!(tx, SQL, batch::json(&saves)?)?;
    Ok(())
}

#[derive(FromRow)]
pub(super) struct PlaybackRow {
    playback_fence: Option<i64>,
    playback_version: Option<i64>,
    playback_playing: Option<bool>,
    playback_time: Option<f64>,
    playback_at: Option<i64>,
    playback_rate: Option<f64>,
}

impl PlaybackRow {
    pub(super) fn read(self) -> Result<Option<Playback>> {
        let (Some(fence), Some(number), Some(is_playing), Some(time), Some(at), Some(rate)) = (
            self.playback_fence,
            self.playback_version,
            self.playback_playing,
            self.playback_time,
            self.playback_at,
            self.playback_rate,
        ) else {
            return Ok(None);
        };
        Ok(Some(Playback {
            version: Version {
                fence: row::to_u64(fence, "rooms.playback_fence")?,
                number: row::to_u64(number, "rooms.playback_version")?,
            },
            is_playing,
            held_until: None,
            time: MediaTime::try_from(time).map_err(|_| Error::Corrupt("rooms.playback_time"))?,
            at: Timestamp(at),
            rate,
        }))
    }
}

/// The state that was last saved of a room; nothing when there is none, or no such room.
///
/// # Errors
/// When the database fails.
pub async fn load_playback(read: &mut Read, room: RoomId) -> Result<Option<Playback>> {
    const SQL: &str = "
        SELECT playback_fence, playback_version, playback_playing, playback_time, playback_at, playback_rate
        FROM rooms WHERE id = $1";
    match fetch_optional!(read, PlaybackRow, SQL, room.0)? {
        Some(row) => row.read(),
        None => Ok(None),
    }
}

/// Notes that somebody is in these rooms at `now`. One statement, however many.
///
/// # Errors
/// When the database fails.
pub async fn touch(tx: &mut Tx, rooms: &[RoomId], now: Timestamp) -> Result<()> {
    const SQL: Sql = sql! {
        postgres: "WITH locked AS MATERIALIZED (
                SELECT r.id FROM rooms r
                WHERE r.id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))
                    AND r.last_active_at < $2
                ORDER BY r.id FOR NO KEY UPDATE
            )
            UPDATE rooms SET last_active_at = $2 FROM locked
            WHERE rooms.id = locked.id AND rooms.last_active_at < $2",
        sqlite: "UPDATE rooms SET last_active_at = $2
            WHERE id IN (SELECT unhex(value) FROM json_each($1)) AND last_active_at < $2",
    };
    if rooms.is_empty() {
        return Ok(());
    }
    execute!(tx, SQL, batch::ids(rooms.iter().map(|room| room.0))?, now.0)?;
    Ok(())
}
