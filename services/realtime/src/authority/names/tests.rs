//! A name whose addresses the tests say, and real gRPC servers at these.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use parking_lot::Mutex;
use streamit_wire::v1;
use streamit_wire::v1::authority_server::AuthorityServer;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::super::tests::{Fake, admitted, answers};
use super::super::{Authority, replicas::Replica};
use super::*;

const OFTEN: Duration = Duration::from_millis(50);
const HARDLY_EVER: Duration = Duration::from_secs(600);

/// What the name server says, and how often it was asked.
#[derive(Clone, Debug, Default)]
struct Book(Arc<Mutex<Says>>, Arc<AtomicUsize>);

#[derive(Clone, Debug, Default)]
enum Says {
    #[default]
    Nothing,
    Fails,
    Hangs,
    At(Vec<u8>),
}

impl Resolver for Book {
    fn look_up(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        assert_eq!(host, "api.test");
        self.1.fetch_add(1, Ordering::SeqCst);
        let says = self.0.lock().clone();
        Box::pin(async move {
            match says {
                Says::Nothing => Ok(Vec::new()),
                Says::Fails => Err(io::ErrorKind::NotFound.into()),
                Says::Hangs => std::future::pending().await,
                Says::At(all) => Ok(all.into_iter().map(|at| address(at, port)).collect()),
            }
        })
    }
}

impl Book {
    fn says(&self, says: Says) {
        *self.0.lock() = says;
    }

    fn says_at(&self, all: &[u8]) {
        self.says(Says::At(all.to_vec()));
    }

    /// Waits until what it says now was surely heard: the second look-up from now begins after the first was taken in.
    async fn is_heard(&self) {
        let before = self.1.load(Ordering::SeqCst);
        until("it is looked up again", || self.1.load(Ordering::SeqCst) > before + 1).await;
    }
}

fn address(at: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 77, at), port).into()
}

/// An api at one of the addresses, which ends at once, its connections with it.
struct Pod(Option<Runtime>);

impl Pod {
    async fn start(at: u8, port: u16, fake: Fake) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let serving = runtime.spawn(async move {
            let listener = TcpListener::bind(address(at, port)).await.unwrap();
            let serving = Server::builder().add_service(AuthorityServer::new(fake));
            tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        });
        serving.await.unwrap();
        Self(Some(runtime))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn free_port() -> u16 {
    TcpListener::bind(address(1, 0)).await.unwrap().local_addr().unwrap().port()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

fn api(book: &Book, port: u16, every: Duration) -> Authority {
    let look_ups = LookUps { resolver: Arc::new(book.clone()), every, deadline: Duration::from_millis(50) };
    Authority::new(Vec::new(), None).unwrap().follow(vec![Name::new("api.test", port, None)], &look_ups)
}

/// Waits until exactly these serve keys.
async fn is_asked(api: &Authority, all: &[u8]) {
    let mut seen = Vec::new();
    let is_asked = || {
        let owners = owners(api);
        seen = owners.into_values().collect();
        seen.sort_unstable();
        seen.dedup();
        seen == all
    };
    until(&format!("{all:?} serve keys"), is_asked).await;
}

/// Who serves which of many keys.
fn owners(api: &Authority) -> BTreeMap<u32, u8> {
    let keys = 0..1_000_u32;
    keys.filter_map(|key| Some((key, place(&*api.replicas.first(&key.to_be_bytes()).ok()?)))).collect()
}

fn place(replica: &Replica) -> u8 {
    let host = replica.name.rsplit_once(':').unwrap().0;
    host.rsplit_once('.').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn every_address_of_a_name_is_a_replica_and_a_new_one_takes_only_its_share() {
    let (book, port) = (Book::default(), free_port().await);
    let fakes: [Fake; 3] = Default::default();
    let _pods = join_all((0..3).map(|i| Pod::start(2 + i, port, fakes[usize::from(i)].clone()))).await;
    let api = api(&book, port, OFTEN);
    assert!(!admitted(&api, 1).await.1, "nobody is known yet, and nobody waits");

    book.says_at(&[2, 3]);
    is_asked(&api, &[2, 3]).await;
    let before = owners(&api);
    book.says_at(&[4, 3, 2]);
    is_asked(&api, &[2, 3, 4]).await;

    let after = owners(&api);
    let moved: Vec<_> = before.iter().filter(|(key, at)| after[*key] != **at).collect();
    assert!(moved.iter().all(|(key, _)| after[*key] == 4), "nothing moves between those that stay");
    assert!((200..470).contains(&moved.len()), "a third of 1,000 moves, not {}", moved.len());
    assert!(join_all((0..200).map(|room| admitted(&api, room))).await.iter().all(|(_, answered)| *answered));
    let admits: Vec<_> = fakes.iter().map(|fake| fake.admits.load(Ordering::SeqCst)).collect();
    assert!(admits.iter().all(|admits| *admits > 30), "all are asked: {admits:?}");
    assert_eq!(admits.iter().sum::<usize>(), 200, "each question is asked once");
}

#[tokio::test]
async fn an_address_serves_nobody_before_it_answers() {
    let (book, port) = (Book::default(), free_port().await);
    let _pod = Pod::start(2, port, Fake::default()).await;
    book.says_at(&[2, 3]);
    let api = api(&book, port, OFTEN);
    is_asked(&api, &[2]).await;
    book.is_heard().await;
    is_asked(&api, &[2]).await;
    assert!(join_all((0..50).map(|room| admitted(&api, room))).await.iter().all(|(_, answered)| *answered));

    let _late = Pod::start(3, port, Fake::default()).await;
    is_asked(&api, &[2, 3]).await;
}

#[tokio::test]
async fn one_that_an_answer_lacks_stays_while_it_answers_and_goes_when_it_does_not() {
    let (book, port) = (Book::default(), free_port().await);
    let _pod = Pod::start(2, port, Fake::default()).await;
    let leaves = Pod::start(3, port, Fake::default()).await;
    book.says_at(&[2, 3]);
    let api = api(&book, port, OFTEN);
    is_asked(&api, &[2, 3]).await;

    book.says_at(&[2]);
    book.is_heard().await;
    is_asked(&api, &[2, 3]).await;
    answers(&api).await;

    drop(leaves);
    is_asked(&api, &[2]).await;
    assert_eq!(api.replicas.all().len(), 1, "nobody probes it any more");
    answers(&api).await;

    let _again = Pod::start(3, port, Fake::default()).await;
    book.says_at(&[2, 3]);
    is_asked(&api, &[2, 3]).await;
}

#[tokio::test]
async fn one_that_is_down_and_still_listed_keeps_its_keys_and_others_are_asked() {
    let (book, port) = (Book::default(), free_port().await);
    let _pod = Pod::start(2, port, Fake::default()).await;
    let dies = Pod::start(3, port, Fake::default()).await;
    book.says_at(&[2, 3]);
    let api = api(&book, port, OFTEN);
    is_asked(&api, &[2, 3]).await;

    drop(dies);
    until("it is down", || api.replicas.all().iter().any(|replica| !replica.is_up())).await;
    book.is_heard().await;
    is_asked(&api, &[2, 3]).await;
    answers(&api).await;
}

#[tokio::test]
async fn a_look_up_that_fails_changes_nothing() {
    let (book, port) = (Book::default(), free_port().await);
    let mut pods = vec![Pod::start(2, port, Fake::default()).await];
    pods.push(Pod::start(3, port, Fake::default()).await);
    book.says_at(&[2, 3]);
    let api = api(&book, port, OFTEN);
    is_asked(&api, &[2, 3]).await;

    // Not even of one that is down: the name may lead there again.
    pods.pop();
    for says in [Says::Fails, Says::Nothing] {
        book.says(says);
        book.is_heard().await;
        is_asked(&api, &[2, 3]).await;
        answers(&api).await;
    }
    book.says_at(&[2]);
    is_asked(&api, &[2]).await;

    // One that hangs is alone, and nobody waits for it.
    book.says(Says::Hangs);
    let before = book.1.load(Ordering::SeqCst);
    until("it is looked up again", || book.1.load(Ordering::SeqCst) > before).await;
    answers(&api).await;
    is_asked(&api, &[2]).await;
}

#[tokio::test]
async fn who_goes_down_is_looked_for_at_once() {
    let (book, port) = (Book::default(), free_port().await);
    let pods = join_all([2, 3].map(|at| Pod::start(at, port, Fake::default()))).await;
    book.says_at(&[2, 3]);
    let api = api(&book, port, HARDLY_EVER);
    is_asked(&api, &[2, 3]).await;
    // Both are up, and so the next look-up is far away; but for the one that was looked for first of all.
    book.says_at(&[4, 5]);
    let _new = join_all([4, 5].map(|at| Pod::start(at, port, Fake::default()))).await;
    drop(pods);
    is_asked(&api, &[4, 5]).await;
    answers(&api).await;
}

#[tokio::test]
async fn what_waits_for_one_that_goes_is_asked_of_another_and_answered_once() {
    let (book, port) = (Book::default(), free_port().await);
    let (stays, goes) = (Fake::default(), Fake { takes: Duration::from_secs(60), ..Fake::default() });
    let _pod = Pod::start(2, port, stays.clone()).await;
    let leaves = Pod::start(3, port, goes.clone()).await;
    book.says_at(&[2, 3]);
    let api = api(&book, port, OFTEN);
    is_asked(&api, &[2, 3]).await;

    let asking = (0..300_usize).map(|room| {
        let api = api.clone();
        tokio::spawn(async move {
            let key = format!("key {room}");
            let draft = v1::ChatDraft { key, ..v1::ChatDraft::default() };
            let stored = api.append(&room.to_be_bytes(), vec![draft], Vec::new()).await;
            let (_, is_admitted) = admitted(&api, room).await;
            is_admitted && stored.is_ok_and(|stored| stored.len() == 1)
        })
    });
    let asking: Vec<_> = asking.collect();
    until("it is asked", || goes.appends.load(Ordering::SeqCst) > 0).await;
    book.says_at(&[2]);
    drop(leaves);

    assert!(join_all(asking).await.into_iter().all(Result::unwrap));
    let mut keys = stays.keys.lock().clone();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((keys.len(), stays.keys.lock().len()), (300, 300), "each is stored once by who stays");
    is_asked(&api, &[2]).await;
}

#[tokio::test]
async fn so_many_and_no_more() {
    let (book, port) = (Book::default(), free_port().await);
    book.says_at(&(2..202).collect::<Vec<u8>>());
    let api = api(&book, port, OFTEN);
    until("some are known", || !api.replicas.all().is_empty()).await;
    book.is_heard().await;
    assert_eq!(api.replicas.all().len(), MOST);
}

#[tokio::test]
async fn listed_ones_and_a_name_stand_side_by_side_and_nobody_twice() {
    let (book, port) = (Book::default(), free_port().await);
    let pods = join_all([2, 3].map(|at| Pod::start(at, port, Fake::default()))).await;
    let listed = Endpoint::from_shared(format!("http://{}", address(2, port))).unwrap();
    let listed = (listed.uri().to_string(), crate::patient(listed).connect_lazy());
    book.says_at(&[2, 3]);
    let look_ups = LookUps { resolver: Arc::new(book.clone()), every: OFTEN, ..LookUps::default() };
    let names = vec![Name::new("api.test", port, None)];
    let api = Authority::new(vec![listed], None).unwrap().watch().follow(names, &look_ups);
    is_asked(&api, &[2, 3]).await;
    assert_eq!(api.replicas.all().len(), 2);

    // A listed one stays, whatever the name says.
    book.says_at(&[9]);
    drop(pods);
    is_asked(&api, &[2]).await;
}
