//! A database of a system's own, on the PostgreSQL that the environment names.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

/// Databases of tests that ended longer ago than this are dropped, in seconds.
const OLD: i64 = 3600;

/// Makes an empty database on the PostgreSQL that `STREAMIT_TEST_POSTGRES` names; its URL. Earlier tests' databases go, when nobody is connected to them any more.
///
/// # Errors
/// When there is none, or it can't be used.
pub async fn database() -> Result<String, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("STREAMIT_TEST_POSTGRES")
        .map_err(|_| "STREAMIT_TEST_POSTGRES must name a PostgreSQL; `make test` starts one and sets it")?;
    let mut url = Url::parse(&server).map_err(|error| format!("STREAMIT_TEST_POSTGRES: {error}"))?;
    let told = |error: sqlx::Error| format!("STREAMIT_TEST_POSTGRES can't be used: {error}");
    let mut server = PgConnection::connect(&server).await.map_err(told)?;

    let now: i64 = sqlx::query_scalar("SELECT extract(epoch FROM now())::bigint")
        .fetch_one(&mut server)
        .await
        .map_err(told)?;
    let old: Vec<String> = sqlx::query_scalar(
        "SELECT datname FROM pg_database WHERE datname ~ '^streamit_e2e_[0-9]+_[0-9]+_[0-9]+$' \
         AND split_part(datname, '_', 3)::bigint < $1 \
         AND datname NOT IN (SELECT datname FROM pg_stat_activity WHERE datname IS NOT NULL)",
    )
    .bind(now - OLD)
    .fetch_all(&mut server)
    .await
    .map_err(told)?;
    for name in old {
        // Somebody else may have been faster.
        let _ =
            sqlx::query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"))).execute(&mut server).await;
    }

    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("streamit_e2e_{now}_{}_{count}", std::process::id());
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut server).await.map_err(told)?;
    url.set_path(&name);
    Ok(url.into())
}
