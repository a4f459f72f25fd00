//! Asking the api.
//!
//! Several replicas serve the same calls. Which one is asked follows from the room (rendezvous hashing, so that the
//! messages of one room meet in one replica's batch); when it does not answer, the next is asked, and the dead one is
//! left alone for a moment. All calls may be made twice without harm. What waits for the same replica travels
//! together: one call is under way, the rest is the next batch.

pub mod batch;

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use streamit_telemetry::SharedClock;
use streamit_wire::v1;
use streamit_wire::v1::authority_client::AuthorityClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code as GrpcCode, Request, Status};

use crate::room::effect::Away;
use batch::Batcher;

/// How long one replica may take for one call.
const TRY: Duration = Duration::from_millis(1_500);
/// How long all tries together may take.
const TOTAL: Duration = Duration::from_millis(4_500);
/// For how long a replica that failed is asked last, in milliseconds.
const SHUN_MS: u64 = 3_000;
/// How many items travel in one call. (The api takes 1,000.)
const MAX_BATCH: usize = 256;
/// How many messages travel in one call.
const MAX_DRAFTS: usize = 500;

/// A client of one replica.
pub type Client = AuthorityClient<InterceptedService<Channel, Token>>;

/// Shows the shared token, if there is one.
#[derive(Clone)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

struct Replica {
    name: String,
    client: Client,
    /// Uptime in milliseconds until which it is asked last.
    shunned_until: AtomicU64,
}

struct Inner {
    replicas: Vec<Replica>,
    clock: SharedClock,
    start: std::time::Instant,
}

/// The api, as a node sees it.
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
    admit: Arc<[Batcher<v1::Admission, v1::Admitted>]>,
    append: Arc<[Batcher<Vec<v1::ChatDraft>, Vec<v1::Appended>>]>,
}

impl Authority {
    /// An api behind these channels. Must be called inside a tokio runtime; nothing is connected before the first call.
    ///
    /// # Errors
    /// When the token can't travel as a header.
    pub fn new(
        channels: Vec<(String, Channel)>,
        token: Option<&SecretString>,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
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
        let replicas: Vec<Replica> = channels
            .into_iter()
            .map(|(name, channel)| Replica {
                name,
                client: AuthorityClient::with_interceptor(channel, Token(token.clone()))
                    .max_decoding_message_size(16 << 20),
                shunned_until: AtomicU64::new(0),
            })
            .collect();
        let start = clock.monotonic();
        let inner = Arc::new(Inner { replicas, clock, start });
        let admit = (0..inner.replicas.len()).map(|first| {
            let inner = inner.clone();
            Batcher::spawn(MAX_BATCH, move |admissions: Vec<v1::Admission>| {
                let inner = inner.clone();
                async move {
                    let asked = admissions.len();
                    let call = inner.call(first, |mut client| {
                        let request = v1::AdmitRequest { admissions: admissions.clone() };
                        async move { client.admit(request).await }
                    });
                    call.await.map(|reply| reply.results).and_then(|results| complete(results, asked))
                }
            })
        });
        let append = (0..inner.replicas.len()).map(|first| {
            let inner = inner.clone();
            Batcher::spawn(MAX_BATCH, move |rooms: Vec<Vec<v1::ChatDraft>>| {
                let inner = inner.clone();
                async move {
                    let sizes: Vec<usize> = rooms.iter().map(Vec::len).collect();
                    let drafts: Vec<v1::ChatDraft> = rooms.into_iter().flatten().collect();
                    let mut results = Vec::with_capacity(drafts.len());
                    for drafts in drafts.chunks(MAX_DRAFTS) {
                        let call = inner.call(first, |mut client| {
                            let request = v1::AppendRequest { drafts: drafts.to_vec() };
                            async move { client.append(request).await }
                        });
                        results.extend(complete(call.await?.results, drafts.len())?);
                    }
                    let mut results = results.into_iter();
                    Ok(sizes.into_iter().map(|size| results.by_ref().take(size).collect()).collect())
                }
            })
        });
        Ok(Self { admit: admit.collect(), append: append.collect(), inner })
    }

    /// May this person enter this room now?
    ///
    /// # Errors
    /// When no replica has answered in time.
    pub async fn admit(&self, admission: v1::Admission) -> Result<v1::Admitted, Away> {
        let first = self.inner.first(admission.code.as_bytes());
        self.admit[first].ask(admission).await
    }

    /// Stores messages of one room.
    ///
    /// # Errors
    /// When no replica has answered in time. The messages may have been stored all the same.
    pub async fn append(&self, room: &[u8], drafts: Vec<v1::ChatDraft>) -> Result<Vec<v1::Appended>, Away> {
        self.append[self.inner.first(room)].ask(drafts).await
    }

    /// Makes any call about `key`, on the replica that serves it, else on another.
    ///
    /// # Errors
    /// When no replica has answered in time.
    pub async fn call<A, F>(&self, key: &[u8], call: impl Fn(Client) -> F) -> Result<A, Away>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        self.inner.call(self.inner.first(key), call).await
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

impl Inner {
    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    /// The replica for a key: the one whose name and the key hash highest, so that the loss of one moves only its own.
    fn first(&self, key: &[u8]) -> usize {
        let weight = |replica: &Replica| {
            let mut hasher = DefaultHasher::new();
            (&replica.name, key).hash(&mut hasher);
            hasher.finish()
        };
        (0..self.replicas.len()).max_by_key(|i| weight(&self.replicas[*i])).unwrap_or(0)
    }

    async fn call<A, F>(&self, first: usize, call: impl Fn(Client) -> F) -> Result<A, Away>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let tries = async {
            let now = self.uptime_ms();
            let count = self.replicas.len();
            let mut order: Vec<usize> = (0..count).map(|i| (first + i) % count).collect();
            order.sort_by_key(|i| self.replicas[*i].shunned_until.load(Ordering::Relaxed) > now);
            // A second round: a replica that was just restarted refuses the first try on its old connection.
            for i in order.iter().chain(&order) {
                let replica = &self.replicas[*i];
                let status = match tokio::time::timeout(TRY, call(replica.client.clone())).await {
                    Ok(Ok(reply)) => {
                        replica.shunned_until.store(0, Ordering::Relaxed);
                        return Ok(reply.into_inner());
                    }
                    Ok(Err(status)) => status,
                    Err(_) => Status::deadline_exceeded("no answer in time"),
                };
                if !matches!(
                    status.code(),
                    GrpcCode::Unavailable
                        | GrpcCode::DeadlineExceeded
                        | GrpcCode::Cancelled
                        | GrpcCode::Unknown
                ) {
                    tracing::error!(replica = replica.name, code = %status.code(), message = status.message(), "the api refused a call");
                    return Err(Away);
                }
                tracing::debug!(replica = replica.name, code = %status.code(), "an api replica did not answer");
                replica.shunned_until.store(self.uptime_ms() + SHUN_MS, Ordering::Relaxed);
            }
            Err(Away)
        };
        tokio::time::timeout(TOTAL, tries).await.unwrap_or(Err(Away))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("replicas", &self.inner.replicas.len()).finish_non_exhaustive()
    }
}
