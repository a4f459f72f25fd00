//! Forgetting what is old: messages, guests, sessions, the audit log, reports. How long each is kept is the operator's to
//! say. Every replica does it, a little at a time; done twice it changes nothing.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use streamit_domain::Timestamp;
use streamit_storage::{Tx, audit, bans, reports, retention, sessions};

use crate::app::App;
use crate::http::error::Result;
use crate::staff::accounts;

/// How long revocations are kept: far longer than a node may be out of touch and keep its sockets.
const REVOCATIONS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How much is forgotten in one transaction.
const AT_ONCE: u32 = 500;
/// And how often in a row, of each kind: what is left then waits for the next round.
const TURNS: u32 = 200;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest time that can be told, far beyond any use.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// For how long something is kept: `forever`, or a duration from a day on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept(Option<Duration>);

impl Kept {
    /// Before when it is too old, at `now`.
    fn before(self, now: Timestamp) -> Option<Timestamp> {
        self.0.map(|kept| now.minus(kept))
    }

    const fn days(days: u32) -> Self {
        Self(Some(Duration::from_secs(days as u64 * 24 * 3600)))
    }
}

impl FromStr for Kept {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const ALLOWED: &str = "must be `forever` or a duration from 1d to 100y, such as 90d";
        if text == "forever" {
            return Ok(Self(None));
        }
        let kept = humantime::parse_duration(text).map_err(|_| ALLOWED.to_owned())?;
        if (DAY..=LONGEST).contains(&kept) { Ok(Self(Some(kept))) } else { Err(ALLOWED.to_owned()) }
    }
}

/// How long things are kept.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long messages are kept: `forever`, or from 1d on.
    #[arg(long, env = "STREAMIT_KEEP_MESSAGES", value_name = "DURATION", default_value = "forever")]
    pub keep_messages: Kept,
    /// How long guests are known who do not come back; then their names are forgotten.
    #[arg(long, env = "STREAMIT_KEEP_GUESTS", value_name = "DURATION", default_value = "90d")]
    pub keep_guests: Kept,
    /// How long sessions are kept that are over.
    #[arg(long, env = "STREAMIT_KEEP_SESSIONS", value_name = "DURATION", default_value = "30d")]
    pub keep_sessions: Kept,
    /// How long the audit log is kept, and reports that were decided about.
    #[arg(long, env = "STREAMIT_KEEP_AUDIT", value_name = "DURATION", default_value = "365d")]
    pub keep_audit: Kept,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_messages: Kept(None),
            keep_guests: Kept::days(90),
            keep_sessions: Kept::days(30),
            keep_audit: Kept::days(365),
        }
    }
}

/// What is forgotten row by row.
#[derive(Clone, Copy, Debug)]
enum Old {
    Messages,
    Sessions,
    Audit,
    Reports,
}

impl Old {
    /// Forgets some of it; says how many rows went.
    async fn forget(self, tx: &mut Tx, before: Timestamp) -> streamit_storage::Result<u64> {
        match self {
            Self::Messages => retention::forget_messages(tx, before, AT_ONCE).await,
            Self::Sessions => retention::forget_sessions(tx, before, AT_ONCE).await,
            Self::Audit => audit::purge(tx, before, AT_ONCE).await,
            Self::Reports => reports::purge(tx, before, AT_ONCE).await,
        }
    }
}

/// One round. What can't be done keeps nothing else from being done.
pub(crate) async fn round(app: &App) -> Result<()> {
    let now = app.now();
    let kept = app.config.retention;
    let mut done = old_revocations(app, now).await;
    for (old, kept) in [
        (Old::Messages, kept.keep_messages),
        (Old::Sessions, kept.keep_sessions),
        (Old::Audit, kept.keep_audit),
        (Old::Reports, kept.keep_audit),
    ] {
        if let Some(before) = kept.before(now) {
            done = done.and(forget_all(app, old, before).await);
        }
    }
    if let Some(before) = kept.keep_guests.before(now) {
        done = done.and(guests(app, before).await);
    }
    done
}

async fn old_revocations(app: &App, now: Timestamp) -> Result<()> {
    let mut tx = app.store.begin().await?;
    sessions::purge(&mut tx, now.minus(REVOCATIONS_KEPT)).await?;
    bans::purge(&mut tx, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn forget_all(app: &App, old: Old, before: Timestamp) -> Result<()> {
    let mut total = 0;
    for _ in 0..TURNS {
        let mut tx = app.store.begin().await?;
        let count = old.forget(&mut tx, before).await?;
        tx.commit().await?;
        total += count;
        if count == 0 {
            break;
        }
    }
    if total > 0 {
        tracing::info!(what = ?old, rows = total, "forgot what was old");
    }
    Ok(())
}

/// Each guest is a transaction of its own, since it takes the locks of his rooms. One who can't be forgotten keeps nobody
/// else from it.
async fn guests(app: &App, before: Timestamp) -> Result<()> {
    let (mut total, mut failed) = (0, Ok(()));
    for _ in 0..TURNS {
        let mut read = app.store.read().await?;
        let stale = retention::stale_guests(&mut read, before, AT_ONCE).await?;
        drop(read);
        let mut done = 0;
        for guest in &stale {
            match app.retrying(|| accounts::forget_guest(app, *guest)).await {
                Ok(()) => done += 1,
                Err(error) => failed = Err(error),
            }
        }
        total += done;
        if done == 0 || failed.is_err() {
            break;
        }
    }
    if total > 0 {
        tracing::info!(guests = total, "forgot guests who were not here for long");
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_kept_for_days_or_forever() {
        assert_eq!("forever".parse(), Ok(Kept(None)));
        assert_eq!("90d".parse(), Ok(Kept::days(90)));
        for bad in ["", "0", "1h", "-1d", "ever", "1000y"] {
            assert!(bad.parse::<Kept>().unwrap_err().contains("forever"), "{bad}");
        }
        assert_eq!(Kept(None).before(Timestamp(0)), None);
    }
}
