//! gRPC: what realtime nodes ask. Calls carry many items and answer each; one bad item fails alone. Every call is
//! answered in time, if only by saying that it can't be done now.

mod admit;
mod append;
mod guard;
mod playback;
mod rooms;
mod traced;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state};
use streamit_domain::{RoomId, Timestamp};
use streamit_storage::sessions;
use streamit_wire::v1::authority_server::{Authority, AuthorityServer};
use streamit_wire::{Code, rpc, v1};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::server::HealthReporter;

pub(crate) use self::append::Appender;
use crate::app::App;
use crate::http::error::ApiError;

/// The most items that one call may carry.
const MOST_ITEMS: usize = 1_000;
/// How long a call may take. Nodes wait longer for one replica before they ask another, and would not hear why.
const CALL: Duration = Duration::from_millis(800);
/// How long revocations are told again after they were made: a lower id may become visible after a higher one.
const RETOLD_MS: i64 = 30_000;

/// The implementation of `proto/streamit/v1/authority.proto`.
#[derive(Clone)]
pub(crate) struct Service {
    app: App,
    appender: Appender,
}

/// All services, and the handle that says whether they serve.
pub(crate) fn routes(app: &App, appender: &Appender) -> anyhow::Result<(Routes, HealthReporter)> {
    let service = Service { app: app.clone(), appender: appender.clone() };
    let guard = guard::Guard::new(app.config.grpc_token()?);
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
        .build_v1()?;
    let authority = traced::Traced::new(AuthorityServer::with_interceptor(service, guard.clone()), guard);
    let routes = Routes::new(authority).add_service(health).add_service(reflection);
    let measured = routes.into_axum_router().layer(from_fn_with_state(app.clone(), measure));
    Ok((Routes::from(measured), reporter))
}

/// Measures a call: until its answer begins, which for all but streams is when it is complete.
async fn measure(
    State(app): State<App>,
    request: axum::extract::Request,
    next: Next,
) -> axum::response::Response {
    let (since, method) = (app.clock.monotonic(), rpc::method(request.uri().path()));
    let answer = next.run(request).await;
    let took = app.clock.monotonic().saturating_duration_since(since);
    app.metrics.called(method, rpc::outcome(answer.headers()), took);
    answer
}

/// A refusal of a whole call. Its message is the stable code, so that nodes can act on it.
fn status(error: ApiError) -> Status {
    error.log();
    Status::new(error.code().grpc(), error.code().as_str())
}

fn failed(error: streamit_storage::Error) -> Status {
    status(error.into())
}

fn check_count(items: usize) -> Result<(), Status> {
    if items > MOST_ITEMS {
        return Err(Status::invalid_argument(format!("at most {MOST_ITEMS} items fit into one call")));
    }
    Ok(())
}

fn room_id(bytes: &[u8]) -> Result<RoomId, Status> {
    RoomId::from_slice(bytes).map_err(|why| Status::invalid_argument(why.0))
}

/// Runs a call, and says in time when it will not have an answer in time.
async fn answer<T>(call: impl Future<Output = Result<T, Status>>) -> Result<Response<T>, Status> {
    match tokio::time::timeout(CALL, call).await {
        Ok(done) => done.map(Response::new),
        Err(_) => Err(status(ApiError::because(Code::TryAgain, "a node's call took too long"))),
    }
}

#[tonic::async_trait]
impl Authority for Service {
    async fn keys(&self, _: Request<v1::KeysRequest>) -> Result<Response<v1::KeysReply>, Status> {
        let keys = self.app.keys.public().into_iter();
        let keys = keys.map(|key| v1::PublicKey { kid: key.kid, ed25519: key.ed25519.to_vec() }).collect();
        Ok(Response::new(v1::KeysReply { keys }))
    }

    async fn admit(&self, request: Request<v1::AdmitRequest>) -> Result<Response<v1::AdmitReply>, Status> {
        let asked = request.into_inner().admissions;
        check_count(asked.len())?;
        answer(async {
            let results = admit::admit(&self.app, &asked).await.map_err(failed)?;
            Ok(v1::AdmitReply { results })
        })
        .await
    }

    async fn facts(&self, request: Request<v1::FactsRequest>) -> Result<Response<v1::FactsReply>, Status> {
        answer(rooms::facts(&self.app, request.into_inner())).await
    }

    async fn versions(
        &self,
        request: Request<v1::VersionsRequest>,
    ) -> Result<Response<v1::VersionsReply>, Status> {
        answer(rooms::versions(&self.app, request.into_inner())).await
    }

    async fn append(&self, request: Request<v1::AppendRequest>) -> Result<Response<v1::AppendReply>, Status> {
        let drafts = request.into_inner().drafts;
        check_count(drafts.len())?;
        answer(async {
            let results = self.appender.append(drafts).await.map_err(|code| status(code.into()))?;
            Ok(v1::AppendReply { results })
        })
        .await
    }

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryReply>, Status> {
        answer(rooms::history(&self.app, request.into_inner())).await
    }

    async fn load_playback(
        &self,
        request: Request<v1::LoadPlaybackRequest>,
    ) -> Result<Response<v1::LoadPlaybackReply>, Status> {
        answer(playback::load(&self.app, request.into_inner())).await
    }

    async fn save_playback(
        &self,
        request: Request<v1::SavePlaybackRequest>,
    ) -> Result<Response<v1::SavePlaybackReply>, Status> {
        answer(playback::save(&self.app, request.into_inner())).await
    }

    async fn report_hosts(
        &self,
        request: Request<v1::ReportHostsRequest>,
    ) -> Result<Response<v1::ReportHostsReply>, Status> {
        answer(rooms::report_hosts(&self.app, request.into_inner())).await
    }

    async fn report_loss(
        &self,
        request: Request<v1::ReportLossRequest>,
    ) -> Result<Response<v1::ReportLossReply>, Status> {
        answer(rooms::report_loss(&self.app, request.into_inner())).await
    }

    async fn revocations(
        &self,
        request: Request<v1::RevocationsRequest>,
    ) -> Result<Response<v1::RevocationsReply>, Status> {
        let after = request.into_inner().after;
        answer(async {
            let since = Timestamp(self.app.now().0 - RETOLD_MS);
            let mut read = self.app.store.read().await.map_err(failed)?;
            let (entries, head) =
                sessions::revocations_after(&mut read, after, since).await.map_err(failed)?;
            let entries = entries
                .into_iter()
                .map(|entry| v1::RevocationEntry {
                    id: entry.id,
                    user: entry.user.as_bytes().to_vec(),
                    session: entry.session.map(|session| session.as_bytes().to_vec()).unwrap_or_default(),
                    created_at: entry.created_at.0,
                })
                .collect();
            Ok(v1::RevocationsReply { entries, head })
        })
        .await
    }

    async fn erasures(
        &self,
        request: Request<v1::ErasuresRequest>,
    ) -> Result<Response<v1::ErasuresReply>, Status> {
        answer(rooms::erasures(&self.app, request.into_inner())).await
    }

    async fn moderate(
        &self,
        request: Request<v1::ModerateRequest>,
    ) -> Result<Response<v1::ModerateReply>, Status> {
        let request = request.into_inner();
        answer(async {
            let error = match rooms::moderate(&self.app, &request).await {
                Ok(()) => String::new(),
                Err(error) => {
                    error.log();
                    error.code().as_str().to_owned()
                }
            };
            Ok(v1::ModerateReply { error })
        })
        .await
    }
}

/// The word of a code, for a field that is empty when all is well.
fn word(code: Code) -> String {
    code.as_str().to_owned()
}

/// Puts values that belong to rooms side by side, each room's in their order.
fn by_room<T>(items: impl IntoIterator<Item = (RoomId, T)>) -> BTreeMap<RoomId, Vec<T>> {
    let mut rooms: BTreeMap<RoomId, Vec<T>> = BTreeMap::new();
    for (room, item) in items {
        rooms.entry(room).or_default().push(item);
    }
    rooms
}
