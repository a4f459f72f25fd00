//! Asking the api.
//!
//! Several replicas serve the same calls. Which one is asked follows from the room (rendezvous hashing, so that the
//! messages of one room meet in one replica's batch); when it is down, another is asked (`replicas`). All calls may
//! be made twice without harm. What waits for the same replica travels together: one call is under way, the rest is
//! the next batch. Replicas are listed one by one, or found behind a name (`names`).

pub mod batch;
mod measured;
pub mod names;
mod replicas;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::{Arc, Weak};

use secrecy::{ExposeSecret, SecretString};
use streamit_telemetry::trace::{self, Cause};
use streamit_wire::v1;
use streamit_wire::v1::authority_client::AuthorityClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tracing::{Instrument, Span};

use crate::metrics::Calls;
use crate::room::effect::Away;
use batch::Batcher;
use measured::Measured;
use names::{LookUps, Name};
use replicas::{Replica, Replicas};

const ADMIT: &str = "streamit.v1.Authority/Admit";
const APPEND: &str = "streamit.v1.Authority/Append";
/// How many items travel in one call. (The api takes 1,000.)
const MAX_BATCH: usize = 256;
/// How many messages travel in one call.
const MAX_DRAFTS: usize = 500;

/// A client of one replica.
pub type Client = AuthorityClient<InterceptedService<Measured<Channel>, Token>>;

/// Shows the shared token, if there is one.
#[derive(Clone)]
pub struct Token {
    shown: Option<MetadataValue<Ascii>>,
    /// What is recorded of the calls that show it.
    calls: Calls,
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.shown {
            request.metadata_mut().insert("authorization", token.clone());
        }
        // Of the span that the call is made in, which is the caller's.
        if let Ok(context) = trace::traceparent().parse() {
            request.metadata_mut().insert(trace::TRACEPARENT, context);
        }
        Ok(request)
    }
}

impl Token {
    fn client(&self, channel: Channel) -> Client {
        AuthorityClient::with_interceptor(Measured::new(channel, self.calls.clone()), self.clone())
            .max_decoding_message_size(16 << 20)
    }
}

/// The api, as a node sees it.
#[derive(Clone)]
pub struct Authority {
    replicas: Arc<Replicas>,
    token: Token,
}

impl Authority {
    /// An api behind these channels. Must be called inside a tokio runtime; nothing is connected before the first call
    /// or [`Authority::watch`].
    ///
    /// # Errors
    /// When the token can't travel as a header.
    pub fn new(channels: Vec<(String, Channel)>, token: Option<&SecretString>) -> anyhow::Result<Self> {
        let token = token
            .map(|token| {
                let mut value: MetadataValue<Ascii> =
                    format!("Bearer {}", token.expose_secret()).parse().map_err(|_| {
                        anyhow::anyhow!("STREAMIT_GRPC_TOKEN must consist of visible ASCII characters")
                    })?;
                value.set_sensitive(true);
                anyhow::Ok(value)
            })
            .transpose()?;
        let token = Token { shown: token, calls: Calls::new() };
        let clients = channels.into_iter().map(|(name, channel)| (name, token.client(channel)));
        let replicas = Replicas::new(clients.collect(), token.calls.clone());
        let weak = Arc::downgrade(&replicas);
        Calls::observe_replicas(move || {
            let mut all = weak.upgrade()?.all().to_vec();
            all.retain(|replica| replica.is_in()); // an address that never answered is no replica yet
            Some((all.iter().filter(|replica| replica.is_up()).count(), all.len()))
        });
        Ok(Self { replicas, token })
    }

    /// Asks those as well that are found behind these names, from the moment on in which they are.
    #[must_use]
    pub fn follow(self, names: Vec<Name>, look_ups: &LookUps) -> Self {
        for name in names {
            let (replicas, token) = (Arc::downgrade(&self.replicas), self.token.clone());
            tokio::spawn(names::follow(replicas, name, look_ups.clone(), token));
        }
        self
    }

    /// From now on knows by itself which replicas are up. Not for one inside the process, which is up if anything is.
    #[must_use]
    pub fn watch(self) -> Self {
        self.replicas.watch();
        self
    }

    /// May this person enter this room now?
    ///
    /// # Errors
    /// When no replica has answered in time.
    pub async fn admit(&self, admission: v1::Admission) -> Result<v1::Admitted, Away> {
        let first = self.replicas.first(admission.code.as_bytes());
        let first = first.inspect_err(|Away| self.replicas.note_unasked(ADMIT))?;
        first.desk.admit.ask((admission, Cause::of(Span::current()))).await
    }

    /// Stores messages of one room; `causes` is what is traced of them.
    ///
    /// # Errors
    /// When no replica has answered in time. The messages may have been stored all the same.
    pub async fn append(
        &self,
        room: &[u8],
        drafts: Vec<v1::ChatDraft>,
        causes: Vec<Cause>,
    ) -> Result<Vec<v1::Appended>, Away> {
        let first = self.replicas.first(room).inspect_err(|Away| self.replicas.note_unasked(APPEND))?;
        first.desk.append.ask((drafts, causes)).await
    }

    /// Makes any call about `key`, on the replica that serves it, else on another.
    ///
    /// # Errors
    /// When no replica has answered in time.
    pub async fn call<A, F>(&self, key: &[u8], call: impl Fn(Client) -> F) -> Result<A, Away>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        self.replicas.call(&self.replicas.first(key)?, call).await
    }
}

/// What waits for one replica. It goes with it, when nobody waits any more: who waits holds the replica.
struct Desk {
    admit: Batcher<(v1::Admission, Cause), v1::Admitted>,
    append: Batcher<(Vec<v1::ChatDraft>, Vec<Cause>), Vec<v1::Appended>>,
}

impl Desk {
    /// The desk of `first`, which is asked before the others are.
    fn new(replicas: Weak<Replicas>, first: Weak<Replica>) -> Self {
        let both = move || replicas.upgrade().zip(first.upgrade()).ok_or(Away);
        let admit = {
            let both = both.clone();
            move |asked: Vec<(v1::Admission, Cause)>| {
                let both = both();
                let (admissions, causes): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
                let span = trace::calling(ADMIT, &causes);
                let ask = async move {
                    let (replicas, first) = both?;
                    let asked = admissions.len();
                    let call = replicas.call(&first, |mut client| {
                        let request = v1::AdmitRequest { admissions: admissions.clone() };
                        async move { client.admit(request).await }
                    });
                    let reply = call.await.inspect_err(|Away| replicas.note_unasked(ADMIT))?;
                    complete(reply.results, asked)
                };
                ask.instrument(span)
            }
        };
        let append = move |asked: Vec<(Vec<v1::ChatDraft>, Vec<Cause>)>| {
            let both = both();
            let (rooms, causes): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            let span = trace::calling(APPEND, causes.iter().flatten());
            let ask = async move {
                let (replicas, first) = both?;
                let sizes: Vec<usize> = rooms.iter().map(Vec::len).collect();
                let drafts: Vec<v1::ChatDraft> = rooms.into_iter().flatten().collect();
                let mut results = Vec::with_capacity(drafts.len());
                for drafts in drafts.chunks(MAX_DRAFTS) {
                    let call = replicas.call(&first, |mut client| {
                        let request = v1::AppendRequest { drafts: drafts.to_vec() };
                        async move { client.append(request).await }
                    });
                    let reply = call.await.inspect_err(|Away| replicas.note_unasked(APPEND))?;
                    results.extend(complete(reply.results, drafts.len())?);
                }
                let mut results = results.into_iter();
                Ok(sizes.into_iter().map(|size| results.by_ref().take(size).collect()).collect())
            };
            ask.instrument(span)
        };
        Self { admit: Batcher::spawn(MAX_BATCH, admit), append: Batcher::spawn(MAX_BATCH, append) }
    }
}

fn complete<T>(results: Vec<T>, asked: usize) -> Result<Vec<T>, Away> {
    if results.len() == asked {
        return Ok(results);
    }
    tracing::error!(
        asked,
        answered = results.len(),
        "the api answered another number of items than it was asked"
    );
    Err(Away)
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("replicas", &self.replicas.all().len()).finish_non_exhaustive()
    }
}
