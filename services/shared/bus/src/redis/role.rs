//! Is it the primary who answers, and which Redis is it.
//!
//! A primary that became a replica (a planned switch-over) keeps its connections. It refuses what writes, but it takes
//! what is published, and tells only those who listen to it. So every connection is asked whom it leads to when it is
//! made, and after a pause; the probes ask all the time, and what they find out holds for the other connections.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, ServerErrorKind};

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    /// Drawn anew with each start of it.
    pub(super) run_id: String,
    pub(super) is_replica: bool,
}

/// It answers, and it is not the one who decides.
#[derive(Debug, thiserror::Error)]
#[error("it is a replica")]
pub(super) struct IsReplica;

impl Role {
    /// The question that [`Role::read`] takes the answer of.
    pub(super) fn question() -> Cmd {
        let mut question = redis::cmd("INFO");
        question.arg("server").arg("replication");
        question
    }

    pub(super) fn read(info: &str) -> Self {
        let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        Self {
            run_id: value("run_id:").unwrap_or_default().to_owned(),
            is_replica: value("role:").is_some_and(|role| role.trim() == "slave"),
        }
    }

    /// Asks whom a connection leads to, which must be a primary.
    pub(super) async fn of(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
        let role = Self::read(&Self::question().query_async::<String>(connection).await?);
        if role.is_replica {
            return Err((ServerErrorKind::ReadOnly.into(), "it is a replica").into());
        }
        Ok(role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_who_it_is() {
        let says =
            |role: &str| format!("# Server\r\nrun_id:c0ffee\r\n\r\n# Replication\r\nrole:{role}\r\nx:1\r\n");
        let is = |is_replica| Role { run_id: "c0ffee".to_owned(), is_replica };
        assert_eq!(Role::read(&says("master")), is(false));
        assert_eq!(Role::read(&says("slave")), is(true));
    }
}
