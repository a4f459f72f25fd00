//! May these people enter these rooms now? Asked for all who wait at once.

use serde::Serialize;
use sqlx::FromRow;
use streamit_domain::room::{Life, Standing};
use streamit_domain::{DisplayName, RoomCode, RoomId, SessionId, Timestamp, UserId};
use uuid::Uuid;

use crate::batch::{self, Hex};
use crate::engine::Sql;
use crate::{Error, Read, Result, row};

/// What decides whether somebody may enter a room, as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The session holds, belongs to the user, and the user is not banned from the service.
    pub is_session_live: bool,
    /// The room, unless there is none with this code.
    pub room: Option<RoomSeen>,
    /// The person's entry there, if there is one.
    pub entry: Option<EntrySeen>,
}

/// The room, as far as an admission depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomSeen {
    /// Which.
    pub id: RoomId,
    /// Whether it lives.
    pub life: Life,
    /// The facts version at which all this was so.
    pub facts_version: u64,
}

/// Somebody's entry, as far as an admission depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySeen {
    /// How they stand with the room.
    pub standing: Standing,
    /// Until when a kick holds.
    pub kicked_until: Option<Timestamp>,
    /// What they are called there.
    pub name: DisplayName,
}

#[derive(Serialize)]
struct Ask<'a> {
    i: usize,
    code: Option<&'a str>,
    user: Hex,
    session: Hex,
}

#[derive(FromRow)]
struct AdmissionRow {
    is_session_live: bool,
    room_id: Option<Uuid>,
    life: Option<String>,
    facts_version: Option<i64>,
    standing: Option<String>,
    kicked_until: Option<i64>,
    display_name: Option<String>,
}

impl TryFrom<AdmissionRow> for Admission {
    type Error = Error;

    fn try_from(row: AdmissionRow) -> Result<Self> {
        let room = match (row.room_id, row.life, row.facts_version) {
            (Some(id), Some(life), Some(version)) => Some(RoomSeen {
                id: RoomId(id),
                life: row::life(&life)?,
                facts_version: row::to_u64(version, "rooms.facts_version")?,
            }),
            _ => None,
        };
        let entry = match (row.standing, row.display_name) {
            (Some(standing), Some(name)) => Some(EntrySeen {
                standing: standing.parse().map_err(|_| Error::Corrupt("participants.standing"))?,
                kicked_until: row::time(row.kicked_until),
                name: row::name(&name, "participants.display_name")?,
            }),
            _ => None,
        };
        Ok(Self { is_session_live: row.is_session_live, room, entry })
    }
}

/// What decides each of these, in the order asked. One statement, so each answer is of one moment: what it says of
/// the person is what its facts version says. Without a code it is the session alone that is asked about.
///
/// # Errors
/// When the database fails.
pub async fn admissions(
    read: &mut Read,
    asked: &[(Option<RoomCode>, UserId, SessionId)],
    now: Timestamp,
) -> Result<Vec<Admission>> {
    const SQL: Sql = sql! {
        postgres: "SELECT u.id IS NOT NULL AS is_session_live, r.id AS room_id, r.life, r.facts_version,
                p.standing, p.kicked_until, p.display_name
            FROM json_to_recordset($1::JSON) AS a(i BIGINT, code TEXT, \"user\" UUID, session UUID)
            LEFT JOIN rooms r ON r.code = a.code
            LEFT JOIN participants p ON p.room_id = r.id AND p.user_id = a.\"user\"
            LEFT JOIN sessions s ON s.id = a.session AND s.user_id = a.\"user\"
                AND s.revoked_at IS NULL AND s.expires_at > $2
            LEFT JOIN users u ON u.id = s.user_id AND u.is_active
            ORDER BY a.i",
        sqlite: "SELECT u.id IS NOT NULL AS is_session_live, r.id AS room_id, r.life, r.facts_version,
                p.standing, p.kicked_until, p.display_name
            FROM json_each($1) a
            LEFT JOIN rooms r ON r.code = a.value ->> 'code'
            LEFT JOIN participants p ON p.room_id = r.id AND p.user_id = unhex(a.value ->> 'user')
            LEFT JOIN sessions s ON s.id = unhex(a.value ->> 'session')
                AND s.user_id = unhex(a.value ->> 'user')
                AND s.revoked_at IS NULL AND s.expires_at > $2
            LEFT JOIN users u ON u.id = s.user_id AND u.is_active
            ORDER BY a.value ->> 'i'",
    };
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let asks: Vec<Ask<'_>> = asked
        .iter()
        .enumerate()
        .map(|(i, (code, user, session))| Ask {
            i,
            code: code.as_ref().map(RoomCode::as_str),
            user: Hex(user.0),
            session: Hex(session.0),
        })
        .collect();
    let rows = fetch_all!(read, AdmissionRow, SQL, batch::json(&asks)?, now.0)?;
    if rows.len() != asked.len() {
        return Err(Error::Corrupt("place in a batch"));
    }
    rows.into_iter().map(Admission::try_from).collect()
}
