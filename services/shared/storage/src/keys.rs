//! Keys: when each signing key was first seen, and the secrets that all replicas share.

use sqlx::FromRow;
use streamit_domain::Timestamp;

use crate::{Error, Read, Result, Tx, batch};

/// A secret of the installation, made once by [`Store::migrate`](crate::Store::migrate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// Keys the MAC of room passwords.
    RoomPasswords,
    /// Keys the tokens against forged requests.
    Csrf,
    /// Keys the hash of client addresses.
    Addresses,
}

/// How long a secret is, in bytes.
pub const SECRET_LEN: usize = 32;

impl Secret {
    const ALL: [Self; 3] = [Self::RoomPasswords, Self::Csrf, Self::Addresses];

    const fn name(self) -> &'static str {
        match self {
            Self::RoomPasswords => "room_passwords",
            Self::Csrf => "csrf",
            Self::Addresses => "addresses",
        }
    }
}

/// Makes the secrets that are missing.
pub(crate) async fn make_secrets(tx: &mut Tx, mut fill: impl FnMut(&mut [u8]) + Send) -> Result<()> {
    const SQL: &str = "
        INSERT INTO secrets (name, value) VALUES ($1, $2), ($3, $4), ($5, $6) ON CONFLICT (name) DO NOTHING";
    let [rooms, csrf, addresses] = Secret::ALL.map(|secret| {
        let mut value = vec![0; SECRET_LEN];
        fill(&mut value);
        (secret.name(), value)
    });
    execute!(tx, SQL, rooms.0, rooms.1, csrf.0, csrf.1, addresses.0, addresses.1)?;
    Ok(())
}

/// Reads a secret.
///
/// # Errors
/// [`Error::Corrupt`] when it is missing: the database has not been migrated.
pub async fn secret(read: &mut Read, secret: Secret) -> Result<Vec<u8>> {
    const SQL: &str = "SELECT value FROM secrets WHERE name = $1";
    let row: Option<(Vec<u8>,)> = fetch_optional!(read, (Vec<u8>,), SQL, secret.name())?;
    row.map(|(value,)| value).ok_or(Error::Corrupt("secrets.value"))
}

/// A signing key, and when a replica first saw it: it may sign once it has been published long enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenKey {
    /// The key's name.
    pub kid: String,
    /// When it first appeared on any replica.
    pub first_seen_at: Timestamp,
}

#[derive(FromRow)]
struct SeenRow {
    kid: String,
    first_seen_at: i64,
}

/// Notes that these keys exist, and gives all of `kids` with the moment each was first seen, in the order of names.
///
/// # Errors
/// When the database fails.
pub async fn see(tx: &mut Tx, kids: &[String], now: Timestamp) -> Result<Vec<SeenKey>> {
    // `WHERE TRUE` keeps SQLite from reading ON CONFLICT as part of a join.
    const INSERT: crate::engine::Sql = sql! {
        postgres: "INSERT INTO signing_keys (kid, first_seen_at)
            SELECT value, $2 FROM json_array_elements_text($1::JSON) ON CONFLICT (kid) DO NOTHING",
        sqlite: "INSERT INTO signing_keys (kid, first_seen_at)
            SELECT value, $2 FROM json_each($1) WHERE TRUE ON CONFLICT (kid) DO NOTHING",
    };
    const SELECT: crate::engine::Sql = sql! {
        postgres: "SELECT kid, first_seen_at FROM signing_keys
            WHERE kid IN (SELECT value FROM json_array_elements_text($1::JSON))",
        sqlite: "SELECT kid, first_seen_at FROM signing_keys WHERE kid IN (SELECT value FROM json_each($1))",
    };
    let kids = batch::json(kids)?;
    execute!(tx, INSERT, &kids, now.0)?;
    let rows = fetch_all!(tx, SeenRow, SELECT, &kids)?;
    let mut seen: Vec<SeenKey> = rows
        .into_iter()
        .map(|row| SeenKey { kid: row.kid, first_seen_at: Timestamp(row.first_seen_at) })
        .collect();
    // Sorted here, since the engines may compare text differently.
    seen.sort_by(|a, b| a.kid.cmp(&b.kid));
    Ok(seen)
}
