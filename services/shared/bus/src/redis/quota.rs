//! [`Quota`] on Redis.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::pipe;
use streamit_domain::rate::Rate;

use super::codec::read;
use super::pool::Pool;
use super::probe::Pulse;
use super::{keys, script};
use crate::memory::MemoryQuota;
use crate::{Error, Quota};

/// Limits that all replicas count together; while Redis is away, each counts alone.
pub struct RedisQuota {
    pub(super) pool: Arc<Pool>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) alone: MemoryQuota,
}

impl RedisQuota {
    async fn count(&self, key: &str, rate: Rate, how: &'static str) -> Result<Result<(), Duration>, Error> {
        if !self.pulse.is_healthy() {
            // Nobody should wait for a deadline at each attempt to log in.
            return Err(Error::Away(None));
        }
        let mut call = pipe();
        script::call(&mut call, &script::QUOTA, &[keys::quota(key)])
            .arg(rate.interval_micros())
            .arg(rate.tolerance_micros())
            .arg(how);
        let answers = self.pool.ask(&call, &script::QUOTA).await?;
        let wait: u64 = read(answers.into_iter().next().unwrap_or_default())?;
        Ok(if wait == 0 { Ok(()) } else { Err(Duration::from_micros(wait)) })
    }
}

#[async_trait]
impl Quota for RedisQuota {
    async fn take(&self, key: &str, rate: Rate) -> Result<(), Duration> {
        match self.count(key, rate, "take").await {
            Ok(outcome) => outcome,
            Err(_) => self.alone.take(key, rate).await,
        }
    }

    async fn peek(&self, key: &str, rate: Rate) -> Result<(), Duration> {
        match self.count(key, rate, "peek").await {
            Ok(outcome) => outcome,
            Err(_) => self.alone.peek(key, rate).await,
        }
    }

    async fn give_back(&self, key: &str, rate: Rate) {
        if self.count(key, rate, "give back").await.is_err() {
            self.alone.give_back(key, rate).await;
        }
    }
}

impl std::fmt::Debug for RedisQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisQuota").finish_non_exhaustive()
    }
}
