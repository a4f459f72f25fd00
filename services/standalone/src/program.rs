//! Putting the parts together.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use streamit_api::{Api, Deps, identity};
use streamit_bus::SharedRooms;
use streamit_bus::memory::{MemoryQuota, MemoryRooms};
use streamit_realtime::Realtime;
use streamit_realtime::authority::Authority;
use streamit_realtime::config::{Drain, Public};
use streamit_storage::{Options, Store};
use streamit_telemetry::shutdown::Stop;
use streamit_telemetry::{Guard, SystemClock, SystemEntropy};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Server};
use tower::service_fn;

use crate::config::{Config, DataDir, private_dir};

/// Bytes in the pipe between the realtime node and the api.
const PIPE: usize = 1 << 20;
/// How long the last writes may take at the end.
const FLUSH: Duration = Duration::from_millis(800);
/// How long closing the database may take after them.
const CLOSE: Duration = Duration::from_millis(500);

/// Opens the database of a data directory, made and migrated if need be.
pub(crate) async fn open_store(data: &DataDir) -> anyhow::Result<Store> {
    data.make()?;
    let store = Store::connect(&data.database()?, Options::default())
        .await
        .context("the database in STREAMIT_DATA_DIR can't be opened")?;
    let entropy = SystemEntropy::shared();
    store.migrate(|bytes| entropy.fill(bytes)).await?;
    Ok(store)
}

/// Serves until `stop`.
pub(crate) async fn serve(config: Config, telemetry: &Guard, stop: &Stop) -> anyhow::Result<()> {
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let token = config.public.grpc_token()?.cloned();
    let listen = config.listen.listen;
    let listener = streamit_edge::listen(listen)
        .await
        .with_context(|| format!("STREAMIT_LISTEN (--listen): {listen} can't be listened on"))?;
    let address = listener.local_addr()?;
    let scraped = match telemetry.scrape() {
        Some(scrape) => streamit_edge::metrics(config.metrics, move || scrape.text()).await?,
        None => None,
    };
    let store = open_store(&config.data).await?;
    let rooms: SharedRooms = Arc::new(MemoryRooms::new(clock.clone()));

    let dir = config.data.keys();
    private_dir(&dir)?;
    if std::fs::read_dir(&dir)?.next().is_none() {
        identity::keys::generate(&dir, "k1", &*entropy)?;
    }
    let keys = identity::Keys::open(&dir, &store, rooms.now()).await?;

    let public = Public {
        allowed_origins: config.public.allowed_origins.clone(),
        trusted_proxies: config.public.trusted_proxies.clone(),
        limits: config.public.limits,
    };
    let deps = Deps {
        store: store.clone(),
        rooms: rooms.clone(),
        quota: Arc::new(MemoryQuota::new(clock.clone())),
        keys,
        clock: clock.clone(),
        entropy: entropy.clone(),
    };
    let api = Api::new(config.public, deps)?;
    let (channel, calls) = pipe(&api);
    let authority = Authority::new(vec![("api".into(), channel)], token.as_ref())?;
    let realtime = Realtime::new(&public, "standalone".into(), authority, rooms, clock, entropy);

    let (node, end) = (CancellationToken::new(), CancellationToken::new());
    // Said no more from the moment a stop begins: balancers look elsewhere while the connections are being closed.
    let staying = api.health().check("not draining");
    staying.set(true);
    let calls = tokio::spawn(calls);
    let router = api.http().merge(realtime.sockets());
    let serving = tokio::spawn(streamit_edge::serve(listener, router, end.clone()));
    greet(address)?;
    if let Some(address) = scraped {
        say(&format!("listening metrics://{address}\n"))?;
    }

    let node_work = async {
        realtime.background(node.clone()).await;
        end.cancel(); // the node's last words went to the api, so the api ends after it
    };
    let work = async {
        let serving = async {
            let ended = serving.await; // with `end`, or because of a fault inside: better gone than deaf
            if !end.is_cancelled() {
                tracing::error!(?ended, "what takes connections has ended");
                node.cancel();
            }
        };
        tokio::join!(node_work, api.background(end.clone()), serving);
    };
    let stopping = async {
        stop.first.cancelled().await;
        staying.set(false);
        let plan = Drain::within(Duration::from_secs(u64::from(config.drain_seconds)));
        realtime.drain(plan, &stop.second).await;
        node.cancel();
        tokio::time::sleep(FLUSH).await;
    };
    tokio::select! {
        () = work => {}
        () = stopping => tracing::warn!("left before everything was written"),
    }
    calls.abort();
    let _ = tokio::time::timeout(CLOSE, store.close()).await; // a file that is not closed is read back as after a crash
    Ok(())
}

/// gRPC without a network: a channel whose connections are pipes in memory, and the api's end of them.
fn pipe(api: &Api) -> (Channel, impl Future<Output = ()> + Send + 'static) {
    let (dial, mut dialled) = mpsc::channel::<io::Result<DuplexStream>>(4);
    let connect = service_fn(move |_| {
        let dial = dial.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(PIPE);
            dial.send(Ok(theirs)).await.map_err(|_| io::Error::from(io::ErrorKind::NotConnected))?;
            Ok::<_, io::Error>(TokioIo::new(ours))
        }
    });
    let channel = Endpoint::from_static("http://in-process").connect_with_connector_lazy(connect);
    let routes = api.grpc();
    let calls = async move {
        let incoming = futures_util::stream::poll_fn(move |context| dialled.poll_recv(context));
        if let Err(error) = Server::builder().add_routes(routes).serve_with_incoming(incoming).await {
            tracing::error!(%error, "the api can't be reached inside the process any more");
        }
    };
    (channel, calls)
}

/// Tells where it listens, for programs, and how to try it, for people.
fn greet(address: SocketAddr) -> anyhow::Result<()> {
    let host = if address.ip().is_unspecified() {
        format!("127.0.0.1:{}", address.port())
    } else {
        address.to_string()
    };
    say(&format!(
        r#"listening http://{address}

  Watch together: open http://{host}/ in a browser, make a room, and send its link to somebody.

  From a terminal, over HTTP at http://{host}/api/ and a WebSocket at ws://{host}/ws/room/<code>/:

  H={host}; get() {{ sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }}; TOKEN=$(curl -s $H/api/auth/guest/ --json '{{"display_name":"Ana"}}' | get access_token); CODE=$(curl -s -X POST $H/api/rooms/create/ -H "authorization: Bearer $TOKEN" | get code); echo "room $CODE"
  curl -sN --http1.1 --max-time 5 -o - -H 'connection: upgrade' -H 'upgrade: websocket' -H 'sec-websocket-version: 13' -H 'sec-websocket-key: c3RyZWFtaXQgc3RyZWFtaQ==' "$H/ws/room/$CODE/?token=$TOKEN" | cat -v

"#
    ))
}

/// Says something to whoever started this program: not a log event.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
