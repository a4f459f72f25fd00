//! What storage promises, tried on both engines: each test runs once on SQLite and once on PostgreSQL, in a
//! database of its own.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

/// Makes a test for each engine out of `async fn name(db: Db)`.
macro_rules! both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::harness::on_sqlite(super::$name).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::harness::on_postgres(super::$name).await;
            })+
        }
    };
}

mod admissions;
mod audit;
mod chat;
mod facts;
mod harness;
mod joins;
mod loss;
mod moderation;
mod outages;
mod outbox;
mod panel;
mod playback;
mod proxy;
mod retention;
mod roles;
mod rooms;
mod schema;
mod sessions;
mod succession;
mod sweep;
mod users;
