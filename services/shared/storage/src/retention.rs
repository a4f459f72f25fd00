//! What is forgotten when it is old. Each function takes away so much at the most, so that nobody waits long for it; who
//! calls goes on until nothing is left.

use streamit_domain::{Timestamp, UserId};
use uuid::Uuid;

use crate::engine::Sql;
use crate::{Read, Result, Tx};

/// Forgets messages that were stored before `before`: of each room a prefix, as far as it is that old. Says how many went.
///
/// # Errors
/// When the database fails.
pub async fn forget_messages(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64> {
    // What a room keeps is told by its head, so that goes first; its lock keeps others from giving out history meanwhile.
    const HEADS: Sql = sql! {
        postgres: "UPDATE chat_heads SET kept_from = old.last + 1
            FROM (SELECT room_id, MAX(seq) AS last FROM
                    (SELECT room_id, seq FROM messages WHERE created_at < $1 ORDER BY created_at, room_id, seq LIMIT $2) m
                GROUP BY room_id ORDER BY room_id) old
            WHERE chat_heads.room_id = old.room_id AND chat_heads.kept_from <= old.last",
        sqlite: "UPDATE chat_heads SET kept_from = old.last + 1
            FROM (SELECT room_id, MAX(seq) AS last FROM
                    (SELECT room_id, seq FROM messages WHERE created_at < $1 ORDER BY created_at, room_id, seq LIMIT $2) m
                GROUP BY room_id) old
            WHERE chat_heads.room_id = old.room_id AND chat_heads.kept_from <= old.last",
    };
    const MESSAGES: Sql = sql! {
        postgres: "DELETE FROM messages USING
                (SELECT m.room_id, m.seq FROM messages m JOIN chat_heads h ON h.room_id = m.room_id
                 WHERE m.created_at < $1 AND m.seq < h.kept_from ORDER BY m.created_at, m.room_id, m.seq LIMIT $2) old
            WHERE messages.room_id = old.room_id AND messages.seq = old.seq",
        sqlite: "DELETE FROM messages WHERE (room_id, seq) IN
                (SELECT m.room_id, m.seq FROM messages m JOIN chat_heads h ON h.room_id = m.room_id
                 WHERE m.created_at < $1 AND m.seq < h.kept_from ORDER BY m.created_at, m.room_id, m.seq LIMIT $2)",
    };
    execute!(tx, HEADS, before.0, i64::from(limit))?;
    execute!(tx, MESSAGES, before.0, i64::from(limit))
}

/// Guests who came before `before`, whose sessions were all over by then, and who are host of no open room.
///
/// # Errors
/// When the database fails.
pub async fn stale_guests(read: &mut Read, before: Timestamp, limit: u32) -> Result<Vec<UserId>> {
    const SQL: &str = "
        SELECT u.id FROM users u WHERE u.is_guest AND u.anonymised_at IS NULL AND u.created_at < $1
            AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.expires_at > $1
                AND (s.revoked_at IS NULL OR s.revoked_at > $1))
            AND NOT EXISTS (SELECT 1 FROM rooms r WHERE r.owner_id = u.id AND r.life = 'ACTIVE')
            AND NOT EXISTS (SELECT 1 FROM rooms r JOIN participants p ON p.room_id = r.id AND p.user_id = u.id
                WHERE r.host_id = u.id AND r.life = 'ACTIVE')
        ORDER BY u.created_at LIMIT $2";
    let rows = fetch_all!(read, (Uuid,), SQL, before.0, i64::from(limit))?;
    Ok(rows.into_iter().map(|(id,)| UserId(id)).collect())
}

/// Forgets sessions that were over before `before`, those of the panel too, and their refresh tokens. Says how many went.
///
/// # Errors
/// When the database fails.
pub async fn forget_sessions(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64> {
    // The log of revocations names sessions, and is kept for a while of its own.
    const EXPIRED: &str = "
        SELECT s.id FROM sessions s WHERE s.expires_at < $1
            AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.session_id = s.id)
        ORDER BY s.expires_at LIMIT $2";
    const REVOKED: &str = "
        SELECT s.id FROM sessions s WHERE s.revoked_at < $1
            AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.session_id = s.id)
        ORDER BY s.revoked_at LIMIT $2";
    const TOKENS: Sql = sql! {
        postgres: "DELETE FROM refresh_tokens
            WHERE session_id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))",
        sqlite: "DELETE FROM refresh_tokens WHERE session_id IN (SELECT unhex(value) FROM json_each($1))",
    };
    const SESSIONS: Sql = sql! {
        postgres: "DELETE FROM sessions WHERE id IN (SELECT value::UUID FROM json_array_elements_text($1::JSON))",
        sqlite: "DELETE FROM sessions WHERE id IN (SELECT unhex(value) FROM json_each($1))",
    };
    const PANEL: &str = "
        DELETE FROM panel_sessions WHERE id IN
            (SELECT id FROM panel_sessions WHERE expires_at < $1 OR revoked_at < $1 ORDER BY id LIMIT $2)";
    // One statement for each, so that each finds its index.
    let mut over = fetch_all!(tx, (Uuid,), EXPIRED, before.0, i64::from(limit))?;
    over.extend(fetch_all!(tx, (Uuid,), REVOKED, before.0, i64::from(limit))?);
    let mut count = execute!(tx, PANEL, before.0, i64::from(limit))?;
    if !over.is_empty() {
        let ids = crate::batch::ids(over.into_iter().map(|(id,)| id))?;
        execute!(tx, TOKENS, ids.clone())?;
        count += execute!(tx, SESSIONS, ids)?;
    }
    Ok(count)
}
