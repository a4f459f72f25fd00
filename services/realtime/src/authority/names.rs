//! Finding the api's replicas behind a name.
//!
//! Every address of a name is a replica. A name is looked up again and again, beside all calls: nobody waits for it. A
//! new address is probed and serves keys from its first answer on. One that an answer lacks goes when it is down as
//! well: an answer may tell of a part only, and one who is leaving still answers what it was asked. A look-up that
//! fails, or finds nothing, changes nothing.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tonic::transport::{ClientTlsConfig, Endpoint, Error};

use super::Token;
use super::replicas::Replicas;

/// How many addresses of one name are asked.
pub const MOST: usize = 64;
/// Between two look-ups at least, however often it is said that somebody is gone.
const AT_LEAST: Duration = Duration::from_millis(250);

/// A name whose addresses are replicas.
#[derive(Clone, Debug)]
pub struct Name {
    host: String,
    port: u16,
    /// How to make sure that a replica is one of this name, over TLS.
    tls: Option<ClientTlsConfig>,
}

impl Name {
    /// The replicas at `port` of `host`; over TLS, they show a certificate for `host`.
    #[must_use]
    pub fn new(host: &str, port: u16, tls: Option<ClientTlsConfig>) -> Self {
        let tls = tls.map(|tls| tls.domain_name(host.trim_end_matches('.')));
        Self { host: host.to_owned(), port, tls }
    }

    /// How the replica at this address of it is reached.
    ///
    /// # Errors
    /// When what is said of TLS can't be used, or the address can't stand in a URL.
    pub fn endpoint(&self, address: SocketAddr) -> Result<Endpoint, Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let by_name = Uri::try_from(format!("{scheme}://{}:{}", self.host, self.port));
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?;
        let endpoint = match by_name {
            Ok(by_name) => endpoint.origin(by_name),
            Err(_) => endpoint,
        };
        match &self.tls {
            Some(tls) => endpoint.tls_config(tls.clone()),
            None => Ok(endpoint),
        }
    }
}

/// What knows the addresses of names.
pub trait Resolver: std::fmt::Debug + Send + Sync {
    /// The addresses of `host`, each with `port`.
    fn look_up(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The resolver of the operating system, with its files and search lists.
#[derive(Debug)]
struct System;

impl Resolver for System {
    fn look_up(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// How names are looked up.
#[derive(Clone, Debug)]
pub struct LookUps {
    /// Who is asked.
    pub resolver: Arc<dyn Resolver>,
    /// How often, while all replicas that are known are up. Five times as often otherwise.
    pub every: Duration,
    /// How long one may take before it counts as failed.
    pub deadline: Duration,
}

impl Default for LookUps {
    fn default() -> Self {
        Self {
            resolver: Arc::new(System),
            every: Duration::from_secs(5),
            // What the system's resolver takes when a packet of it is lost.
            deadline: Duration::from_secs(6),
        }
    }
}

/// Keeps the replicas of one name what the name says, for as long as somebody holds them.
pub(super) async fn follow(replicas: Weak<Replicas>, name: Name, look_ups: LookUps, token: Token) {
    let again = Arc::new(Notify::new());
    let (mut has_failed, mut is_cut) = (false, false);
    loop {
        let answer = look_up(&name, &look_ups, &mut has_failed).await;
        let Some(held) = replicas.upgrade() else { return };
        if let Some(found) = answer {
            let was_cut = is_cut;
            is_cut = take_in(&held, &name, &token, &again, &found);
            if is_cut && !was_cut {
                tracing::warn!(
                    name = name.host,
                    most = MOST,
                    "the name of the api has too many addresses; some are not asked"
                );
            }
        }
        let ours = held.found(&again);
        let is_well = !ours.is_empty() && ours.iter().all(|replica| replica.is_up());
        drop((ours, held));
        let pause = if is_well { look_ups.every } else { look_ups.every / 5 };
        sleep(AT_LEAST.min(pause)).await;
        tokio::select! {
            () = sleep(pause.saturating_sub(AT_LEAST)) => {}
            () = again.notified() => {}
        }
    }
}

/// Looks a name up, one call at a time: the system's can't be given up, and those that hang would pile up. Nothing
/// comes of one that fails; `has_failed` is what the log knows.
async fn look_up(name: &Name, look_ups: &LookUps, has_failed: &mut bool) -> Option<BTreeSet<SocketAddr>> {
    let mut complain = |error: &io::Error| {
        if !std::mem::replace(has_failed, true) {
            tracing::warn!(%error, name = name.host, "the name of the api can't be looked up; trying again");
        }
    };
    let mut looking = pin!(look_ups.resolver.look_up(&name.host, name.port));
    let answer = match timeout(look_ups.deadline, &mut looking).await {
        Ok(answer) => answer,
        Err(_) => {
            complain(&io::ErrorKind::TimedOut.into());
            looking.await
        }
    };
    let answer = answer.and_then(|found| {
        // The same address may come in two spellings.
        let found: BTreeSet<_> =
            found.into_iter().map(|at| SocketAddr::new(at.ip().to_canonical(), at.port())).collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
        }
        Ok(found)
    });
    match answer {
        Ok(found) => {
            if std::mem::take(has_failed) {
                tracing::info!(name = name.host, "the name of the api is found again");
            }
            Some(found)
        }
        Err(error) => {
            complain(&error);
            None
        }
    }
}

/// Takes in what is new and forgets what is gone; whether there was too much of it.
fn take_in(
    replicas: &Arc<Replicas>,
    name: &Name,
    token: &Token,
    finder: &Arc<Notify>,
    found: &BTreeSet<SocketAddr>,
) -> bool {
    let endpoint = |address: &SocketAddr| match name.endpoint(*address) {
        Ok(endpoint) => Some((endpoint.uri().to_string(), endpoint)),
        Err(error) => {
            tracing::debug!(%error, %address, "an address of the api can't be used");
            None
        }
    };
    let found: Vec<_> = found.iter().filter_map(endpoint).collect();
    replicas.retain(finder, |replica| {
        replica.is_up() || found.iter().any(|(address, _)| *address == replica.name)
    });
    let known = replicas.all();
    let is_new = |address: &String| known.iter().all(|replica| replica.name != *address);
    let new: Vec<_> = found.into_iter().filter(|(address, _)| is_new(address)).collect();
    let room = MOST.saturating_sub(replicas.found(finder).len());
    let is_cut = new.len() > room;
    for (address, endpoint) in new.into_iter().take(room) {
        replicas.add(address, token.client(crate::patient(endpoint).connect_lazy()), finder);
    }
    is_cut
}
