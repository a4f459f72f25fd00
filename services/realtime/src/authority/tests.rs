//! Real gRPC servers, on lines that can go dead without being cut.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use streamit_wire::v1::authority_server::{Authority as Service, AuthorityServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tonic::Response;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};

use super::*;

/// What a call may take while a replica that was asked before it dies.
const SECOND: Duration = Duration::from_secs(1);

/// An api that knows nothing, and how often it was asked to store something.
#[derive(Clone, Default)]
pub(super) struct Fake {
    pub(super) takes: Duration,
    pub(super) admits: Arc<AtomicUsize>,
    pub(super) appends: Arc<AtomicUsize>,
    pub(super) keys: Arc<Mutex<Vec<String>>>,
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Service for Fake {
    async fn keys(&self, _: Request<v1::KeysRequest>) -> Reply<v1::KeysReply> {
        Ok(Response::new(v1::KeysReply::default()))
    }

    async fn admit(&self, request: Request<v1::AdmitRequest>) -> Reply<v1::AdmitReply> {
        let asked = request.into_inner().admissions;
        self.admits.fetch_add(asked.len(), Ordering::SeqCst);
        sleep(self.takes).await;
        let results =
            asked.into_iter().map(|asked| v1::Admitted { name: asked.code, ..v1::Admitted::default() });
        Ok(Response::new(v1::AdmitReply { results: results.collect() }))
    }

    async fn append(&self, request: Request<v1::AppendRequest>) -> Reply<v1::AppendReply> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        let drafts = request.into_inner().drafts;
        self.keys.lock().extend(drafts.iter().map(|draft| draft.key.clone()));
        sleep(self.takes).await;
        Ok(Response::new(v1::AppendReply { results: vec![v1::Appended::default(); drafts.len()] }))
    }

    async fn versions(&self, _: Request<v1::VersionsRequest>) -> Reply<v1::VersionsReply> {
        Ok(Response::new(v1::VersionsReply::default()))
    }

    async fn facts(&self, _: Request<v1::FactsRequest>) -> Reply<v1::FactsReply> {
        Err(Status::unimplemented(""))
    }

    async fn history(&self, _: Request<v1::HistoryRequest>) -> Reply<v1::HistoryReply> {
        Err(Status::unimplemented(""))
    }

    async fn load_playback(&self, _: Request<v1::LoadPlaybackRequest>) -> Reply<v1::LoadPlaybackReply> {
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

/// The way to one replica. While it is dead it takes bytes and connections, and carries nothing.
struct Line {
    address: String,
    carries: watch::Sender<bool>,
}

impl Line {
    async fn to(fake: Fake) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = server.local_addr().unwrap();
        let serving = Server::builder().add_service(AuthorityServer::new(fake));
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(server)));
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", front.local_addr().unwrap());
        let (carries, carrying) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = front.accept().await {
                let carrying = carrying.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(behind).await.unwrap();
                    let (mut client, mut server) = (client, server);
                    let (from_client, to_client) = client.split();
                    let (from_server, to_server) = server.split();
                    tokio::join!(
                        carry(from_client, to_server, carrying.clone()),
                        carry(from_server, to_client, carrying)
                    );
                });
            }
        });
        Self { address, carries }
    }

    fn dies(&self) {
        self.carries.send_replace(false);
    }

    fn heals(&self) {
        self.carries.send_replace(true);
    }
}

async fn carry(
    from: tokio::net::tcp::ReadHalf<'_>,
    to: tokio::net::tcp::WriteHalf<'_>,
    mut carries: watch::Receiver<bool>,
) {
    let mut bytes = [0; 16 * 1024];
    loop {
        from.readable().await.unwrap();
        carries.wait_for(|carries| *carries).await.unwrap();
        let Ok(count) = from.try_read(&mut bytes) else { continue };
        if count == 0 {
            return;
        }
        let mut rest = &bytes[..count];
        while !rest.is_empty() {
            to.writable().await.unwrap();
            match to.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

fn api(lines: &[Line]) -> Authority {
    let channel = |line: &Line| {
        let endpoint = Endpoint::from_shared(line.address.clone()).unwrap();
        (line.address.clone(), crate::patient(endpoint).connect_lazy())
    };
    Authority::new(lines.iter().map(channel).collect(), None).unwrap().watch()
}

/// Lets somebody into a room of this number; how long that took, and whether it was answered.
pub(super) async fn admitted(api: &Authority, room: usize) -> (Duration, bool) {
    let begun = Instant::now();
    let answer = api.admit(v1::Admission { code: room.to_string(), ..v1::Admission::default() }).await;
    if let Ok(answer) = &answer {
        assert_eq!(answer.name, room.to_string(), "each gets its own answer");
    }
    (begun.elapsed(), answer.is_ok())
}

/// Asks for many rooms, a few milliseconds apart, for so long. From what each took is taken for how long this machine stood
/// still at the longest: nobody could be answered then.
async fn asks_for(api: &Authority, time: Duration) -> Vec<(Duration, bool)> {
    const PACE: Duration = Duration::from_millis(2);
    let begun = Instant::now();
    let (mut asked, mut stood_still) = (Vec::new(), Duration::ZERO);
    for room in 0.. {
        if begun.elapsed() >= time {
            break;
        }
        let api = api.clone();
        asked.push(tokio::spawn(async move { admitted(&api, room).await }));
        let slept = Instant::now();
        sleep(PACE).await;
        stood_still = stood_still.max(slept.elapsed().saturating_sub(PACE * 10));
    }
    let asked = join_all(asked).await.into_iter().map(Result::unwrap);
    asked.map(|(took, is_answered)| (took.saturating_sub(stood_still), is_answered)).collect()
}

fn longest(asked: &[(Duration, bool)]) -> Duration {
    asked.iter().map(|(took, _)| *took).max().unwrap_or_default()
}

/// Waits until every call is answered.
pub(super) async fn answers(api: &Authority) {
    while !join_all((0..20).map(|room| admitted(api, room))).await.iter().all(|(_, is_answered)| *is_answered)
    {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_replica_that_vanished_costs_nothing_after_the_first_second() {
    let lines = [Line::to(Fake::default()).await, Line::to(Fake::default()).await];
    let api = api(&lines);
    answers(&api).await;
    for line in &lines {
        line.dies();
        let first = asks_for(&api, SECOND).await;
        assert!(first.iter().all(|(_, is_answered)| *is_answered), "the other one was there");
        assert!(longest(&first) < SECOND, "{:?}", longest(&first));

        let then = asks_for(&api, SECOND * 2).await;
        assert!(then.iter().all(|(_, is_answered)| *is_answered));
        assert!(longest(&then) < SECOND / 2, "nobody waits any more: {:?}", longest(&then));

        line.heals();
        let is_up = |i: usize| api.replicas.all()[i].is_up();
        while !(is_up(0) && is_up(1)) {
            sleep(Duration::from_millis(20)).await;
        }
        answers(&api).await;
    }
}

#[tokio::test]
async fn when_none_is_there_everybody_learns_it_within_a_second_and_it_is_over_when_one_is_back() {
    let lines = [Line::to(Fake::default()).await, Line::to(Fake::default()).await];
    let api = api(&lines);
    answers(&api).await;
    for line in &lines {
        line.dies();
    }
    // The first ones wait for the discovery, and what waits behind them does not wait once more.
    let asked = asks_for(&api, SECOND * 3).await;
    assert!(longest(&asked) < SECOND, "{:?}", longest(&asked));
    let late = &asked[asked.len() / 2..];
    assert!(late.iter().all(|(_, is_answered)| !is_answered) && longest(late) < SECOND / 2);

    lines[1].heals();
    tokio::time::timeout(SECOND * 2, answers(&api)).await.unwrap();
}

#[tokio::test]
async fn slow_is_not_dead_and_every_try_has_the_same_keys() {
    let slow = Fake { takes: SECOND, ..Fake::default() };
    let lines = [Line::to(slow.clone()).await];
    let api = api(&lines);
    let draft = |key: &str| v1::ChatDraft { key: key.into(), ..v1::ChatDraft::default() };

    let stored = api.append(b"a room", vec![draft("one"), draft("two")], Vec::new()).await;

    assert_eq!(stored.unwrap().len(), 2);
    assert_eq!(slow.appends.load(Ordering::SeqCst), 1, "a commit of a second is waited for");
    assert!(api.replicas.all()[0].is_up());

    // One that takes too long for one try is asked again, with what makes that harmless.
    let stuck = Fake { takes: SECOND * 60, ..Fake::default() };
    let lines = [Line::to(stuck.clone()).await, Line::to(Fake::default()).await];
    let api = self::api(&lines);
    for room in 0_u8..20 {
        let stored = api.append(&[room], vec![draft(&format!("key {room}"))], Vec::new()).await;
        assert!(stored.is_ok());
        if stuck.appends.load(Ordering::SeqCst) > 0 {
            assert_eq!(*stuck.keys.lock(), [format!("key {room}")]);
            return;
        }
    }
    panic!("no room belongs to the first replica");
}

#[tokio::test]
async fn a_node_may_be_older_than_the_api() {
    let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let api = Authority::new(vec![("a".into(), crate::patient(endpoint).connect_lazy())], None);
    let api = api.unwrap().watch();
    for _ in 0..10 {
        let (took, is_answered) = admitted(&api, 1).await;
        assert!(!is_answered && took < SECOND);
    }

    let listener = TcpListener::bind(address).await.unwrap();
    let serving = Server::builder().add_service(AuthorityServer::new(Fake::default()));
    tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));

    tokio::time::timeout(SECOND * 2, answers(&api)).await.unwrap();
}
