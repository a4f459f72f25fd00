//! An api of one room after the other, as slow to read as it is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use streamit_domain::room::{Access, DEFAULT_MAX_MEMBERS, Facts, Life, Settings};
use streamit_domain::{DisplayName, RoomId, UserId};
use streamit_wire::v1;
use streamit_wire::v1::authority_server::{Authority, AuthorityServer};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tower::service_fn;

/// Bytes in the pipe between the node and the api.
const PIPE: usize = 1 << 20;

/// One room's chat, and how long reading it takes: before it is looked at, and until the answer is there.
#[derive(Default)]
pub(crate) struct Chat {
    pub(crate) messages: Vec<v1::ChatMessage>,
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    /// How many messages there were when it was looked at first.
    pub(crate) read: Option<usize>,
}

/// What is stored.
#[derive(Clone, Default)]
pub(crate) struct Api(Arc<Mutex<HashMap<Vec<u8>, Chat>>>);

type Reply<T> = Result<Response<T>, Status>;

impl Api {
    /// Works on a room's chat, which is there afterwards.
    pub(crate) fn with<T>(&self, room: RoomId, work: impl FnOnce(&mut Chat) -> T) -> T {
        work(self.0.lock().entry(room.as_bytes().to_vec()).or_default())
    }

    /// A channel to it without a network: under a clock that is held still, a socket would be waited for in vain.
    pub(crate) fn channel(&self) -> Channel {
        let (dial, mut dialled) = mpsc::channel::<std::io::Result<DuplexStream>>(4);
        let connect = service_fn(move |_| {
            let dial = dial.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(PIPE);
                dial.send(Ok(theirs))
                    .await
                    .map_err(|_| std::io::Error::from(std::io::ErrorKind::NotConnected))?;
                Ok::<_, std::io::Error>(TokioIo::new(ours))
            }
        });
        let incoming = futures_util::stream::poll_fn(move |context| dialled.poll_recv(context));
        let serving = Server::builder().add_service(AuthorityServer::new(self.clone()));
        tokio::spawn(serving.serve_with_incoming(incoming));
        Endpoint::from_static("http://in-process").connect_with_connector_lazy(connect)
    }

    fn room(&self, bytes: &[u8]) -> Result<RoomId, Status> {
        RoomId::from_slice(bytes).map_err(|_| Status::invalid_argument("no room"))
    }
}

fn facts(room: RoomId) -> Facts {
    Facts {
        room,
        code: "ABC123".parse().unwrap(),
        version: 1,
        fence: 1,
        epoch: 1,
        life: Life::Active,
        access: Access::Public,
        settings: Settings::default(),
        host: UserId(uuid::Uuid::from_u128(1)),
        host_name: DisplayName::parse("Ana").unwrap(),
        host_deadline: None,
        lost_host: None,
        source: None,
        max_members: DEFAULT_MAX_MEMBERS,
        people: std::collections::BTreeMap::new(),
    }
}

#[tonic::async_trait]
impl Authority for Api {
    async fn facts(&self, request: Request<v1::FactsRequest>) -> Reply<v1::FactsReply> {
        let asked = request.into_inner().rooms;
        let facts: Result<Vec<_>, Status> = asked
            .iter()
            .map(|since| Ok(v1::Facts::of(&facts(self.room(&since.room)?), since.version)))
            .collect();
        Ok(Response::new(v1::FactsReply { facts: facts? }))
    }

    async fn history(&self, request: Request<v1::HistoryRequest>) -> Reply<v1::HistoryReply> {
        let request = request.into_inner();
        let room = self.room(&request.room)?;
        sleep(self.with(room, |chat| chat.before)).await;
        let (reply, after) = self.with(room, |chat| {
            chat.read.get_or_insert(chat.messages.len());
            let is_in = |message: &&v1::ChatMessage| {
                message.seq > request.after && (request.before == 0 || message.seq < request.before)
            };
            let messages = chat.messages.iter().filter(is_in).cloned().collect();
            let head = chat.messages.len() as u64;
            (v1::HistoryReply { messages, head, kept_from: 1, epoch: 1, ..Default::default() }, chat.after)
        });
        sleep(after).await;
        Ok(Response::new(reply))
    }

    async fn load_playback(&self, _: Request<v1::LoadPlaybackRequest>) -> Reply<v1::LoadPlaybackReply> {
        Ok(Response::new(v1::LoadPlaybackReply::default()))
    }

    async fn keys(&self, _: Request<v1::KeysRequest>) -> Reply<v1::KeysReply> {
        Ok(Response::new(v1::KeysReply::default()))
    }

    async fn admit(&self, _: Request<v1::AdmitRequest>) -> Reply<v1::AdmitReply> {
        Err(Status::unimplemented(""))
    }

    async fn append(&self, _: Request<v1::AppendRequest>) -> Reply<v1::AppendReply> {
        Err(Status::unimplemented(""))
    }

    async fn versions(&self, _: Request<v1::VersionsRequest>) -> Reply<v1::VersionsReply> {
        Err(Status::unimplemented(""))
    }

    async fn save_playback(&self, _: Request<v1::SavePlaybackRequest>) -> Reply<v1::SavePlaybackReply> {
        Err(Status::unimplemented(""))
    }

    async fn report_hosts(&self, _: Request<v1::ReportHostsRequest>) -> Reply<v1::ReportHostsReply> {
        Err(Status::unimplemented(""))
    }

    async fn report_loss(&self, _: Request<v1::ReportLossRequest>) -> Reply<v1::ReportLossReply> {
        Err(Status::unimplemented(""))
    }

    async fn revocations(&self, _: Request<v1::RevocationsRequest>) -> Reply<v1::RevocationsReply> {
        Err(Status::unimplemented(""))
    }

    async fn erasures(&self, _: Request<v1::ErasuresRequest>) -> Reply<v1::ErasuresReply> {
        Err(Status::unimplemented(""))
    }

    async fn moderate(&self, _: Request<v1::ModerateRequest>) -> Reply<v1::ModerateReply> {
        Err(Status::unimplemented(""))
    }
}
