//! People who mean harm, thousands of them, and what rooms notice that have nothing to do with it.
//!
//! Some open a connection and send the request for the upgrade a byte at a time, from many addresses; when they are cut off
//! they come again at once. Others come in properly, say far more than anybody may, and when they are closed for it they
//! come back when they are told to, or sooner: nobody waits longer than ten seconds. They are on a thread of its own that gives way to all others: real ones have
//! machines of their own, and here it is the server that must not be kept from its work, not by its own load tool.
//!
//! Without and with them is one pair; the change is the median of all pairs, held against what two equal runs differ by, as
//! in [`slow`](crate::slow).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::args::{Siege, Target, What};
use crate::beat::{Beat, Counts, Outcome};
use crate::crowd;
use crate::histogram::Quantiles;
use crate::line::{Heard, Seat};
use crate::report::{Promise, Table};
use crate::slow::{grown, median, resident};

/// How much later rooms may have things, as a share.
const BOUND: f64 = 0.1;
/// What the servers may keep for each of those who mean harm, at most, in KiB.
const KEPT_KIB: f64 = 32.0;
/// How many of them share an address: so few that no cap on an address stops them.
const EACH: usize = 20;
/// How many of those who flood share a room.
const ROOM: usize = 20;
/// Between the steps of a pair, for what is still under way.
const REST: Duration = Duration::from_secs(3);
/// All of them come within this time; then it is measured. (A crowd that comes all at once is [`storm`](crate::storm).)
const ARRIVAL: Duration = Duration::from_secs(5);
/// Who floods does not stay away for longer, whatever he is told.
const IMPATIENT: Duration = Duration::from_secs(10);
/// How often memory is read.
const LOOK: Duration = Duration::from_millis(500);
/// How long to wait after a failure that told nothing.
const AGAIN: Duration = Duration::from_millis(500);

/// What the besiegers did, and what was done to them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Slow requests that were begun.
    pub begun: u64,
    /// Of them, how many the server cut off.
    pub cut: u64,
    /// Of them, how many were answered in any way.
    pub answered: u64,
    /// Slow requests that could not even be begun.
    pub not_begun: u64,
    /// How many slow requests were under way at the same time, at most.
    pub most: u64,
    /// How often somebody came in to flood.
    pub floods: u64,
    /// How the connections of those who flood ended, by close code or by what was the matter.
    pub ended: BTreeMap<String, u64>,
    /// The longest time anybody was told to stay away, in milliseconds.
    pub longest_told_ms: u64,
}

/// Memory of the servers during one siege, in MiB.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// Before it.
    pub start: f64,
    /// At most.
    pub peak: f64,
    /// After it.
    pub end: f64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Rooms that are measured.
    pub rooms: u32,
    /// People in each.
    pub members: u32,
    /// Slow requests.
    pub slow: u32,
    /// Those who flood.
    pub flooders: u32,
    /// Latency of the rooms before, each time.
    pub before_us: Vec<Quantiles>,
    /// Latency of the rooms meanwhile, each time.
    pub during_us: Vec<Quantiles>,
    /// The median of the changes of p99, as a share.
    pub change: f64,
    /// The median of how much p99 of two equal runs differs, as a share.
    pub spread: f64,
    /// Memory, each time.
    pub memory_mib: Vec<Memory>,
    /// What the besiegers did.
    pub tally: Tally,
    /// The load on the rooms.
    pub load: Outcome,
}

/// Gathers everybody, and lays siege to the servers again and again.
///
/// # Errors
/// When the crowd can't be gathered.
pub async fn run(target: &Target, wanted: &Siege) -> anyhow::Result<Report> {
    let rooms = wanted.rooms as usize;
    let mut sizes = vec![wanted.members as usize; rooms];
    let flooders = wanted.flooders as usize;
    sizes.extend((0..flooders.div_ceil(ROOM)).map(|room| ROOM.min(flooders - room * ROOM)));
    let gathered = crowd::gather(target, &sizes).await?;
    let mut seats = crowd::seats(target, &gathered)?;
    let mut flooders = seats.split_off(rooms).concat();
    for (index, seat) in flooders.iter_mut().enumerate() {
        seat.from = Some(address(2, index));
    }
    let flooders: Arc<[Seat]> = flooders.into();
    let doors = doors(target).await?;

    let (mut voices, mut lines) = (Vec::new(), Vec::new());
    for (room, seats) in seats.iter().enumerate() {
        let sitting = crowd::sit(target, seats).await?;
        voices.extend(sitting.first().map(|(line, _)| (line.voice(), What::Chat)));
        lines.extend(sitting.into_iter().map(|(line, welcome)| (room, line, welcome)));
    }
    let mut beat = Beat::start(voices, wanted.rate, "The quick brown fox jumps over the lazy dog")?;
    for (room, line, welcome) in lines {
        beat.listen(line, beat.ear(room, welcome.since.seq));
    }

    let (mut windows, mut memory_mib, tally) = (Vec::new(), Vec::new(), Arc::<Mutex<Tally>>::default());
    for _ in 0..wanted.pairs {
        sleep(REST).await;
        let before = beat.windows.open();
        sleep(wanted.calm).await;
        beat.windows.close();

        let start = mib(target)?;
        let siege = Besiegers::begin(wanted, doors.clone(), flooders.clone(), tally.clone());
        let (mut during, begun) = (None, Instant::now());
        let (mut tick, mut peak) = (interval(LOOK), start);
        while begun.elapsed() < ARRIVAL + wanted.calm {
            tick.tick().await;
            peak = peak.max(mib(target)?);
            if during.is_none() && begun.elapsed() >= ARRIVAL {
                during = Some(beat.windows.open());
            }
        }
        beat.windows.close();
        let during = during.context("nothing was measured")?;
        tokio::task::spawn_blocking(|| siege.end()).await??;
        sleep(REST).await;
        memory_mib.push(Memory { start, peak, end: mib(target)? });
        windows.push((before, during));
    }
    let latencies = beat.windows.clone();
    let load = beat.stop().await?;
    let (before_us, during_us): (Vec<_>, Vec<_>) = windows
        .into_iter()
        .map(|(before, during)| {
            (latencies.latency(before, What::Chat), latencies.latency(during, What::Chat))
        })
        .unzip();
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Report {
        rooms: wanted.rooms,
        members: wanted.members,
        slow: wanted.slow,
        flooders: wanted.flooders,
        change: median(before_us.iter().zip(&during_us).map(|(before, during)| grown(before, during))),
        spread: median(before_us.windows(2).map(|two| grown(&two[0], &two[1]).abs())),
        before_us,
        during_us,
        memory_mib,
        tally,
        load,
    })
}

fn mib(target: &Target) -> anyhow::Result<f64> {
    Ok(resident(target)? as f64 / 1_024.0)
}

/// Where the n-th of a crowd comes from: a network of the loopback for each crowd.
fn address(crowd: u8, index: usize) -> IpAddr {
    let last = u8::try_from(index / EACH % 250).unwrap_or(0);
    Ipv4Addr::new(127, crowd, 0, 1 + last).into()
}

/// The sockets of all nodes.
async fn doors(target: &Target) -> anyhow::Result<Arc<[SocketAddr]>> {
    let mut doors = Vec::new();
    for address in if target.ws.is_empty() { std::slice::from_ref(&target.url) } else { &target.ws } {
        let url = Url::parse(address)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let found = lookup_host((host, url.port_or_known_default().unwrap_or(80))).await?.next();
        doors.push(found.with_context(|| format!("nothing is at {address}"))?);
    }
    Ok(doors.into())
}

/// Those who mean harm, on their thread.
struct Besiegers {
    thread: JoinHandle<anyhow::Result<()>>,
    stop: CancellationToken,
}

impl Besiegers {
    fn begin(
        wanted: &Siege,
        doors: Arc<[SocketAddr]>,
        flooders: Arc<[Seat]>,
        tally: Arc<Mutex<Tally>>,
    ) -> Self {
        let stop = CancellationToken::new();
        let (stopped, slow, pause) = (stop.clone(), wanted.slow as usize, wanted.byte_every);
        let thread = thread::spawn(move || {
            // On Linux this is about the calling thread alone. That it can't give way spoils nothing but the measurement.
            let _ = rustix::process::nice(19);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (mut all, under_way) = (JoinSet::new(), Arc::<AtomicU64>::default());
                for index in 0..slow {
                    let crawling = Crawling {
                        door: doors[index % doors.len()],
                        from: address(1, index),
                        pause,
                        tally: tally.clone(),
                        under_way: under_way.clone(),
                    };
                    let begins = ARRIVAL.mul_f64(index as f64 / slow as f64);
                    all.spawn(async move {
                        sleep(begins).await;
                        crawling.live().await;
                    });
                }
                for (index, seat) in flooders.iter().cloned().enumerate() {
                    let begins = ARRIVAL.mul_f64(index as f64 / flooders.len() as f64);
                    let tally = tally.clone();
                    all.spawn(async move {
                        sleep(begins).await;
                        flood(seat, tally).await;
                    });
                }
                stopped.cancelled().await;
                all.shutdown().await;
            });
            Ok(())
        });
        Self { thread, stop }
    }

    fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.thread.join().map_err(|_| anyhow::anyhow!("the besiegers failed"))?
    }
}

fn note(tally: &Mutex<Tally>, change: impl FnOnce(&mut Tally)) {
    change(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Somebody whose request takes for ever.
struct Crawling {
    door: SocketAddr,
    from: IpAddr,
    /// Between two bytes.
    pause: Duration,
    tally: Arc<Mutex<Tally>>,
    under_way: Arc<AtomicU64>,
}

impl Crawling {
    async fn live(self) {
        loop {
            match self.dial().await {
                Ok(stream) => {
                    let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
                    note(&self.tally, |tally| {
                        tally.begun += 1;
                        tally.most = tally.most.max(now);
                    });
                    self.crawl(stream).await;
                    self.under_way.fetch_sub(1, Ordering::Relaxed);
                }
                Err(_) => {
                    note(&self.tally, |tally| tally.not_begun += 1);
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn dial(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.from, 0))?;
        let stream = socket.connect(self.door).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends a byte, waits, sends the next one, until the server has had enough.
    async fn crawl(&self, mut stream: TcpStream) {
        const REQUEST: &[u8] = b"GET /ws/room/ABC123/?token=none HTTP/1.1\r\nHost: localhost\r\n\
              Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nX-Padding: ";
        for byte in REQUEST.iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(std::slice::from_ref(byte)).await.is_err() {
                break;
            }
            sleep(self.pause).await;
            match stream.try_read(&mut [0; 256]) {
                Ok(0) => break,
                Ok(_) => return note(&self.tally, |tally| tally.answered += 1),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        note(&self.tally, |tally| tally.cut += 1);
    }
}

/// Comes in, says far too much, and comes back when told to.
async fn flood(seat: Seat, tally: Arc<Mutex<Tally>>) {
    /// More than the 60 at once that anybody may say; all that is needed to be closed.
    const TOO_MANY: usize = 90;
    let words: Vec<String> = (0..TOO_MANY).map(|n| format!("flood {n}")).collect();
    for turn in 0.. {
        let end = match seat.take(turn, None).await {
            Ok((mut line, _)) => {
                note(&tally, |tally| tally.floods += 1);
                let _ = line.voice().chats(&words).await; // closed meanwhile, perhaps
                let closed = async {
                    loop {
                        if let Heard::End(end) = line.next().await {
                            break end;
                        }
                    }
                };
                timeout(seat.patience, closed).await.ok()
            }
            Err(end) => Some(end),
        };
        let wait = end.as_ref().and_then(|end| end.retry_in_ms);
        note(&tally, |tally| {
            let how = end.map_or_else(|| "not closed".to_owned(), |end| end.name());
            *tally.ended.entry(how).or_default() += 1;
            tally.longest_told_ms = tally.longest_told_ms.max(wait.unwrap_or(0));
        });
        sleep(wait.map_or(AGAIN, Duration::from_millis).min(IMPATIENT)).await;
    }
}

impl Table for Report {
    fn rows(&self) -> Vec<(String, String)> {
        let Self { rooms, members, slow, flooders, tally, .. } = self;
        let mut rows = vec![
            ("rooms".to_owned(), format!("{rooms} of {members}")),
            ("besieged by".to_owned(), format!("{slow} slow requests, {flooders} who flood")),
        ];
        for ((before, during), memory) in self.before_us.iter().zip(&self.during_us).zip(&self.memory_mib) {
            rows.push(("before".to_owned(), format!("{before} ({})", before.count)));
            rows.push(("meanwhile".to_owned(), format!("{during} ({})", during.count)));
            rows.push((
                "memory".to_owned(),
                format!(
                    "{:.0} MiB before, {:.0} MiB at most, {:.0} MiB after",
                    memory.start, memory.peak, memory.end
                ),
            ));
        }
        rows.push((
            "slow requests".to_owned(),
            format!(
                "{} begun, {} at once at most, {} cut off, {} answered, {} not begun",
                tally.begun, tally.most, tally.cut, tally.answered, tally.not_begun
            ),
        ));
        rows.push((
            "floods".to_owned(),
            format!("{}, told to stay away for {} ms at most", tally.floods, tally.longest_told_ms),
        ));
        rows.extend(tally.ended.iter().map(|(how, times)| ("ended".to_owned(), format!("{times}: {how}"))));
        let Counts { received, lost, repeated, ended } = self.load.counts;
        rows.push((
            "messages".to_owned(),
            format!("{received} received, {lost} lost, {repeated} repeated, {ended} thrown out"),
        ));
        rows
    }
}

impl Report {
    /// What the servers kept for each who means harm, at most, in KiB.
    fn kib_each(&self) -> f64 {
        let more = self.memory_mib.iter().map(|memory| memory.peak - memory.start).fold(0.0, f64::max);
        more * 1_024.0 / f64::from(self.slow + self.flooders)
    }
}

impl Promise for Report {
    fn about(&self) -> String {
        format!("{} slow handshakes and {} who flood", self.slow, self.flooders)
    }

    fn figures(&self) -> String {
        let p99 = |all: &[Quantiles]| median(all.iter().map(|one| one.p99 as f64 / 1_000.0));
        let coded = self.tally.ended.get("4104").copied().unwrap_or(0);
        let memory = |pick: fn(&Memory) -> f64| self.memory_mib.iter().map(pick).fold(0.0, f64::max);
        format!(
            "rooms' p99 {:.1} ms before, {:.1} ms meanwhile: {:+.0} % (two equal runs differ by {:.0} %; {} pairs); {} slow \
             requests at once, {} cut off, {} floods, {coded} closed 4104; memory {:.0} MiB before, {:.0} MiB at most, \
             {:.0} MiB after ({:.1} KiB each)",
            p99(&self.before_us),
            p99(&self.during_us),
            self.change * 100.0,
            self.spread * 100.0,
            self.before_us.len(),
            self.tally.most,
            self.tally.cut,
            self.tally.floods,
            memory(|memory| memory.start),
            memory(|memory| memory.peak),
            memory(|memory| memory.end),
            self.kib_each(),
        )
    }

    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let bound = BOUND.max(self.spread);
        if self.change > bound {
            broken.push(format!(
                "rooms wait {:.0} % longer, more than {:.0} %",
                self.change * 100.0,
                bound * 100.0
            ));
        }
        if self.kib_each() > KEPT_KIB {
            broken.push(format!("{:.0} KiB are kept for each, more than {KEPT_KIB}", self.kib_each()));
        }
        // A siege that is none proves nothing.
        if self.tally.most < u64::from(self.slow) * 9 / 10 {
            broken.push(format!("no more than {} slow requests were under way", self.tally.most));
        }
        if self.tally.answered > 0 {
            broken.push(format!("{} slow requests were answered", self.tally.answered));
        }
        let closed = self.tally.ended.get("4104").copied().unwrap_or(0);
        if self.tally.floods < u64::from(self.flooders) || closed < u64::from(self.flooders) {
            broken.push("not everybody flooded and was closed for it".to_owned());
        }
        if !self.load.counts.is_sound() || self.load.not_sent > 0 {
            broken.push("not everything came once, to everybody".to_owned());
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_has_more_than_a_few_of_a_crowd() {
        let mut each = BTreeMap::<_, usize>::new();
        for index in 0..5_000 {
            *each.entry(address(1, index)).or_default() += 1;
        }
        assert!(each.values().all(|count| *count == EACH) && each.len() == 250);
        assert!(each.keys().all(IpAddr::is_loopback) && !each.contains_key(&address(2, 0)));
    }
}
