//! The figures of now. None is counted further than it has to be: "1,000 and more" is as good as the number.

use streamit_domain::Timestamp;
use streamit_domain::audit::Action;

use crate::{Read, Result, audit, row};

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
    // In an order, so that each goes by its index: without one, a limit makes the planner of PostgreSQL read the table from
    // its oldest rows on.
    const MESSAGES: &str = "SELECT COUNT(*) FROM
        (SELECT 1 FROM messages WHERE created_at >= $1 ORDER BY created_at DESC LIMIT $2) few";
    const REPORTS: &str = "SELECT COUNT(*) FROM
        (SELECT 1 FROM reports WHERE state = 'OPEN' ORDER BY id DESC LIMIT $1) few";
    const USERS: &str = "SELECT COUNT(*) FROM
        (SELECT 1 FROM users WHERE created_at >= $1 ORDER BY created_at DESC LIMIT $2) few";
    const ROOMS: &str = "SELECT COUNT(*) FROM
        (SELECT 1 FROM rooms WHERE created_at >= $1 ORDER BY created_at DESC LIMIT $2) few";
    // Ids of the log sort by time, and its index by action holds them.
    const FAILED: &str = "SELECT COUNT(*) FROM
        (SELECT 1 FROM audit_log WHERE action = $1 AND id >= $2 ORDER BY id DESC LIMIT $3) few";
    let hour = now.minus(std::time::Duration::from_secs(3600));
    let day = now.minus(std::time::Duration::from_secs(24 * 3600));
    let most = row::to_i64(MOST + 1);
    let number = |(count,): (i64,)| row::to_u64(count, "COUNT(*)");
    let failed = async |read: &mut Read, action: Action| {
        number(fetch_one!(read, (i64,), FAILED, action.as_str(), audit::first_id(hour), most)?)
    };
    let failed = failed(read, Action::LoginFailed).await? + failed(read, Action::PanelLoginFailed).await?;
    Ok(Counts {
        messages_hour: number(fetch_one!(read, (i64,), MESSAGES, hour.0, most)?)?,
        messages_day: number(fetch_one!(read, (i64,), MESSAGES, day.0, most)?)?,
        reports_open: number(fetch_one!(read, (i64,), REPORTS, most)?)?,
        logins_failed: failed.min(MOST + 1),
        users_day: number(fetch_one!(read, (i64,), USERS, day.0, most)?)?,
        rooms_day: number(fetch_one!(read, (i64,), ROOMS, day.0, most)?)?,
    })
}
