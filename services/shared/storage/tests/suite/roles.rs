//! The roles that `docs/operations.md` tells operators to make on PostgreSQL. The whole suite runs as the one of the
//! apis; here is what that one can't do.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::harness::Db;

/// Roles belong to a server, where real ones may have the document's names.
pub(crate) const OWNER: &str = "streamit_test_owner";
/// The role of the apis.
pub(crate) const APP: &str = "streamit_test_app";
/// The password of both.
pub(crate) const PASSWORD: &str = "only for tests";

/// The document's SQL of this name.
pub(crate) fn sql(name: &str) -> &'static str {
    let document = include_str!("../../../../../docs/operations.md");
    let (_, rest) = document.split_once(&format!("```sql {name}\n")).expect("the document has this SQL");
    rest.split("```").next().expect("it ends")
}

/// Its statements, for the roles of tests and this database.
pub(crate) fn statements(name: &str, database: &str) -> Vec<String> {
    let sql = sql(name)
        .replace("'a secret'", &format!("'{PASSWORD}'"))
        .replace("'another secret'", &format!("'{PASSWORD}'"))
        .replace("DATABASE streamit ", &format!("DATABASE {database} "))
        .replace("streamit_owner", OWNER)
        .replace("streamit_app", APP);
    sql.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

async fn what_the_apis_do_not_do_they_cannot_do(db: Db) {
    let mut url = url::Url::parse(&db.url).unwrap();
    url.set_username(APP).unwrap();
    url.set_password(Some(PASSWORD)).unwrap();
    let mut app = PgConnection::connect(url.as_str()).await.unwrap();
    for statement in [
        "CREATE TABLE mine (id INT)",
        "CREATE TABLE pg_temp.mine AS SELECT * FROM pg_authid",
        "DROP TABLE messages",
        "ALTER TABLE users ADD COLUMN mine INT",
        "TRUNCATE messages",
        "DELETE FROM users",
        "DELETE FROM participants",
        "UPDATE audit_log SET reason = NULL",
        "DELETE FROM rooms",
        "UPDATE revocations SET created_at = 0",
        "UPDATE secrets SET value = value",
        "DELETE FROM secrets",
        "UPDATE signing_keys SET first_seen_at = 0",
        "INSERT INTO _sqlx_migrations SELECT * FROM _sqlx_migrations",
        "CREATE ROLE streamit_mine",
        "COPY users TO PROGRAM 'cat'",
    ] {
        let error = app.execute(AssertSqlSafe(statement)).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
    }
    app.close().await.unwrap();
    assert!(db.store.migrate(|bytes| bytes.fill(1)).await.is_err(), "that is the owner's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_the_apis_has_no_more_rights_than_it_needs() {
    crate::harness::on_postgres(what_the_apis_do_not_do_they_cannot_do).await;
}
