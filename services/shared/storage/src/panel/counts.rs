//! The figures of now. None is counted further than it has to be: "1,000 and more" is as good as the number.

use streamit_domain::Timestamp;
use streamit_domain::audit::Action;
use uuid::Uuid;

use crate::engine::Sql;
use crate::{Read, Result, row};

/// How far each is counted.
pub const MOST: u64 = 1_000;

/// What the dashboard shows; each number stops at [`MOST`] and one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages of the last hour.
    pub messages_hour: u64,
    /// Messages of the last day.
    pub messages_day: u64,
    /// Reports that nobody has decided about.
    pub reports_open: u64,
    /// Logins that failed in the last hour, of viewers and of staff.
    pub logins_failed: u64,
    /// People who came in the last day, guests too.
    pub users_day: u64,
    /// Rooms opened in the last day.
    pub rooms_day: u64,
}

/// Counts.
///
/// # Errors
/// When the database fails.
pub async fn read(read: &mut Read, now: Timestamp) -> Result<Counts> {
    const MESSAGES: &str =
        "SELECT COUNT(*) FROM (SELECT 1 FROM messages WHERE created_at >= $1 LIMIT $2) few";
    const REPORTS: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM reports WHERE state = 'OPEN' LIMIT $1) few";
    const USERS: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM users WHERE created_at >= $1 LIMIT $2) few";
    const ROOMS: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM rooms WHERE created_at >= $1 LIMIT $2) few";
    // Ids of the log sort by time, and its index by action holds them.
    const FAILED: Sql = sql! {
        postgres: "SELECT COUNT(*) FROM (SELECT 1 FROM audit_log WHERE action IN ($1, $2) AND id >= $3 LIMIT $4) few",
        sqlite: "SELECT COUNT(*) FROM (SELECT 1 FROM audit_log WHERE action IN ($1, $2) AND id >= $3 LIMIT $4) few",
    };
    let hour = now.minus(std::time::Duration::from_secs(3600));
    let day = now.minus(std::time::Duration::from_secs(24 * 3600));
    let most = row::to_i64(MOST + 1);
    let number = |(count,): (i64,)| row::to_u64(count, "COUNT(*)");
    let (failed, refused) = (Action::LoginFailed.as_str(), Action::PanelLoginFailed.as_str());
    Ok(Counts {
        messages_hour: number(fetch_one!(read, (i64,), MESSAGES, hour.0, most)?)?,
        messages_day: number(fetch_one!(read, (i64,), MESSAGES, day.0, most)?)?,
        reports_open: number(fetch_one!(read, (i64,), REPORTS, most)?)?,
        logins_failed: number(fetch_one!(read, (i64,), FAILED, failed, refused, first_id(hour), most)?)?,
        users_day: number(fetch_one!(read, (i64,), USERS, day.0, most)?)?,
        rooms_day: number(fetch_one!(read, (i64,), ROOMS, day.0, most)?)?,
    })
}

/// The lowest id that sorts by time (UUID version 7, RFC 9562, section 5.7) of this moment.
fn first_id(at: Timestamp) -> Uuid {
    Uuid::from_u128(u128::from(at.0.max(0).unsigned_abs()) << 80)
}
