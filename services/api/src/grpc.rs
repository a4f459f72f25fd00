//! gRPC: what realtime nodes ask. Calls carry many items and answer each; one bad item fails alone.

mod admit;
mod append;
mod guard;
mod rooms;

use std::collections::BTreeMap;

use streamit_domain::{Playback, RoomId, Timestamp, UserId};
use streamit_storage::rooms::{HostReport, Seen};
use streamit_storage::sessions;
use streamit_wire::v1::authority_server::{Authority, AuthorityServer};
use streamit_wire::{Code, v1};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::server::HealthReporter;

pub(crate) use self::append::Appender;
use crate::app::App;
use crate::http::error::ApiError;

/// The most items that one call may carry.
const MOST_ITEMS: usize = 1_000;
/// No version or number comes near this: they travel as JSON numbers, too.
const MOST_VERSION: u64 = (1 << 53) - 1;
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
    let guard = guard::Guard::new(app.config.grpc_token());
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
        .build_v1()?;
    let authority = AuthorityServer::with_interceptor(service, guard);
    Ok((Routes::new(authority).add_service(health).add_service(reflection), reporter))
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
        let results = admit::admit(&self.app, &asked).await.map_err(failed)?;
        Ok(Response::new(v1::AdmitReply { results }))
    }

    async fn facts(&self, request: Request<v1::FactsRequest>) -> Result<Response<v1::FactsReply>, Status> {
        rooms::facts(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn versions(
        &self,
        request: Request<v1::VersionsRequest>,
    ) -> Result<Response<v1::VersionsReply>, Status> {
        rooms::versions(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn append(&self, request: Request<v1::AppendRequest>) -> Result<Response<v1::AppendReply>, Status> {
        let drafts = request.into_inner().drafts;
        check_count(drafts.len())?;
        let results = self.appender.append(drafts).await;
        Ok(Response::new(v1::AppendReply { results }))
    }

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryReply>, Status> {
        rooms::history(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn load_playback(
        &self,
        request: Request<v1::LoadPlaybackRequest>,
    ) -> Result<Response<v1::LoadPlaybackReply>, Status> {
        let room = room_id(&request.into_inner().room)?;
        let mut read = self.app.store.read().await.map_err(failed)?;
        let playback = streamit_storage::rooms::load_playback(&mut read, room).await.map_err(failed)?;
        Ok(Response::new(v1::LoadPlaybackReply { playback: playback.as_ref().map(Into::into) }))
    }

    async fn save_playback(
        &self,
        request: Request<v1::SavePlaybackRequest>,
    ) -> Result<Response<v1::SavePlaybackReply>, Status> {
        let rooms = request.into_inner().rooms;
        check_count(rooms.len())?;
        let read = |saved: &v1::SavedPlayback| {
            let room = RoomId::from_slice(&saved.room).ok()?;
            Some((room, Playback::try_from(saved.playback.as_ref()?).ok()?))
        };
        let states: Vec<_> = rooms.iter().filter_map(read).collect();
        if states.len() < rooms.len() {
            tracing::warn!(skipped = rooms.len() - states.len(), "a node sent playback that can't be read");
        }
        let save = async {
            let mut tx = self.app.store.begin().await?;
            streamit_storage::rooms::save_playback(&mut tx, &states).await?;
            tx.commit().await
        };
        save.await.map_err(failed)?;
        Ok(Response::new(v1::SavePlaybackReply {}))
    }

    async fn report_hosts(
        &self,
        request: Request<v1::ReportHostsRequest>,
    ) -> Result<Response<v1::ReportHostsReply>, Status> {
        let reports = request.into_inner().reports;
        check_count(reports.len())?;
        let read = |report: &v1::HostReport| {
            Some(HostReport {
                room: RoomId::from_slice(&report.room).ok()?,
                host: UserId::from_slice(&report.host).ok()?,
                fence: report.fence,
                roster_version: report.roster_version,
                is_back: report.is_back,
            })
        };
        let reports: Vec<_> = reports.iter().filter_map(read).collect();
        rooms::report_hosts(&self.app, &reports).await.map_err(status)?;
        Ok(Response::new(v1::ReportHostsReply {}))
    }

    async fn report_loss(
        &self,
        request: Request<v1::ReportLossRequest>,
    ) -> Result<Response<v1::ReportLossReply>, Status> {
        let seen = request.into_inner().rooms;
        check_count(seen.len())?;
        let seen: Vec<_> = seen.iter().filter_map(read_seen).collect();
        rooms::report_loss(&self.app, &seen).await.map_err(status)?;
        Ok(Response::new(v1::ReportLossReply {}))
    }

    async fn revocations(
        &self,
        request: Request<v1::RevocationsRequest>,
    ) -> Result<Response<v1::RevocationsReply>, Status> {
        let after = request.into_inner().after;
        let since = Timestamp(self.app.now().0 - RETOLD_MS);
        let mut read = self.app.store.read().await.map_err(failed)?;
        let (entries, head) = sessions::revocations_after(&mut read, after, since).await.map_err(failed)?;
        let entries = entries
            .into_iter()
            .map(|entry| v1::RevocationEntry {
                id: entry.id,
                user: entry.user.as_bytes().to_vec(),
                session: entry.session.map(|session| session.as_bytes().to_vec()).unwrap_or_default(),
            })
            .collect();
        Ok(Response::new(v1::RevocationsReply { entries, head }))
    }

    async fn moderate(
        &self,
        request: Request<v1::ModerateRequest>,
    ) -> Result<Response<v1::ModerateReply>, Status> {
        let error = match rooms::moderate(&self.app, &request.into_inner()).await {
            Ok(()) => String::new(),
            Err(error) => {
                error.log();
                error.code().as_str().to_owned()
            }
        };
        Ok(Response::new(v1::ModerateReply { error }))
    }
}

/// What was seen of a room, unless it can't be: no version or number gets above 2^53, and one that did would stay there.
fn read_seen(seen: &v1::Seen) -> Option<Seen> {
    let numbers = [seen.epoch, seen.facts_version, seen.chat_head, seen.fence];
    numbers.iter().all(|number| *number < MOST_VERSION).then_some(())?;
    Some(Seen {
        room: RoomId::from_slice(&seen.room).ok()?,
        epoch: seen.epoch,
        facts_version: seen.facts_version,
        chat_head: seen.chat_head,
        chat_at: (seen.chat_at != 0).then_some(Timestamp(seen.chat_at)),
        fence: seen.fence,
    })
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
