//! One connection through a proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::draw::Draw;
use super::proxy::{Lane, State, Way, Weather, reset};

/// The most that is taken in at once.
const CHUNK: usize = 16 * 1024;
/// How many chunks are under way when each takes long.
const UNDER_WAY: usize = 64;
/// How often a narrow line lets something through.
const DRIP: Duration = Duration::from_millis(50);
/// How long a target may take to accept.
const CONNECT: Duration = Duration::from_secs(5);
/// How a subscription is told from other connections to Redis.
const SUBSCRIBE: &[u8] = b"$9\r\nSUBSCRIBE\r\n";

/// Which way a pump looks.
type Pick = fn(&Weather) -> &Way;

/// What both directions of a connection share. They run in one task.
struct Shared {
    lane: AtomicUsize,
    state: watch::Receiver<State>,
    at_first: State,
    open: Arc<[AtomicUsize; 2]>,
}

impl Shared {
    fn lane(&self) -> usize {
        self.lane.load(Ordering::Relaxed)
    }

    fn weather(&self) -> Weather {
        self.state.borrow().weather[self.lane()]
    }

    /// Returns when nothing is blocked there; an error when the proxy has ended.
    async fn is_passable(&self, pick: Pick) -> io::Result<Way> {
        let mut state = self.state.clone();
        loop {
            let (way, strands) = {
                let (now, lane) = (state.borrow_and_update(), self.lane());
                (*pick(&now.weather[lane]), now.strands[lane])
            };
            if !way.is_blocked && strands == self.at_first.strands[self.lane()] {
                return Ok(way);
            }
            state.changed().await.map_err(io::Error::other)?;
        }
    }

    fn moves_to(&self, lane: Lane) -> io::Result<()> {
        self.open[self.lane()].fetch_sub(1, Ordering::Relaxed);
        self.lane.store(lane as usize, Ordering::Relaxed);
        self.open[self.lane()].fetch_add(1, Ordering::Relaxed);
        if self.weather().refuses { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.open[self.lane()].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries a connection until it ends, is cut, or the proxy is gone.
pub(super) async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    mut state: watch::Receiver<State>,
    at_first: State,
    open: Arc<[AtomicUsize; 2]>,
    number: u64,
) {
    open[0].fetch_add(1, Ordering::Relaxed);
    let shared = Shared { lane: AtomicUsize::new(0), state: state.clone(), at_first, open };
    let Ok(Ok(mut server)) = timeout(CONNECT, TcpStream::connect(target)).await else {
        return reset(&client);
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let is_over = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let mut draw = Draw::new(number);
        let up = pump(from_client, to_server, &shared, |weather| &weather.up, draw.part(), true);
        let down = pump(from_server, to_client, &shared, |weather| &weather.down, draw.part(), false);
        let is_cut = state.wait_for(|state| {
            let lane = shared.lane();
            state.cuts[lane] != at_first.cuts[lane]
        });
        tokio::select! {
            done = async { tokio::try_join!(up, down) } => done.is_ok(),
            _ = is_cut => false,
        }
    };
    if !is_over {
        reset(&client);
        reset(&server);
    }
}

/// Reads, and writes when it is time, at once: what takes long to arrive does not hold up what follows.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    pick: Pick,
    mut draw: Draw,
    is_up: bool,
) -> io::Result<()> {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let reading = async move {
        let mut buffer = vec![0; CHUNK];
        let (mut due, mut tail) = (Instant::now(), Vec::new());
        loop {
            let way = shared.is_passable(pick).await?;
            let most = way.per_second.map_or(CHUNK, |rate| (rate as usize).clamp(1, CHUNK));
            let length = from.read(&mut buffer[..most]).await?;
            // An end travels like everything else.
            let way = shared.is_passable(pick).await?;
            due = due.max(Instant::now() + way.delay + draw.millis(0..millis(way.jitter) + 1));
            let bytes = &buffer[..length];
            if is_up && shared.lane() == Lane::Calls as usize && has_subscribe(&mut tail, bytes) {
                shared.moves_to(Lane::News)?;
            }
            if sender.send((due, bytes.to_vec())).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = under_way.recv().await {
            sleep_until(due).await;
            if bytes.is_empty() {
                break;
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let way = shared.is_passable(pick).await?;
                let most = way.per_second.map_or(rest.len(), |rate| drip(rate).0.min(rest.len()));
                to.write_all(&rest[..most]).await?;
                rest = &rest[most..];
                if let Some(rate) = way.per_second {
                    sleep(drip(rate).1).await;
                }
            }
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}

/// How much a narrow line lets through at once, and how long it then rests.
fn drip(rate: u32) -> (usize, Duration) {
    let rate = rate.max(1);
    let bytes = (f64::from(rate) * DRIP.as_secs_f64()).max(1.0) as u32;
    (bytes as usize, Duration::from_secs_f64(f64::from(bytes) / f64::from(rate)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX - 1)
}

/// Whether the command is in what was sent, also when it came in two parts.
fn has_subscribe(tail: &mut Vec<u8>, bytes: &[u8]) -> bool {
    tail.extend_from_slice(bytes);
    let found = tail.windows(SUBSCRIBE.len()).any(|window| window == SUBSCRIBE);
    let kept = tail.len().min(SUBSCRIBE.len() - 1);
    tail.drain(..tail.len() - kept);
    found
}
