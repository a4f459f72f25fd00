//! A TCP proxy whose behaviour changes while it runs.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::line;

/// What happens to bytes on their way in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// How long each byte takes.
    pub delay: Duration,
    /// Up to how much longer, drawn anew each time. Bytes stay in order.
    pub jitter: Duration,
    /// Nothing gets through and nobody is told: as behind a network that drops every packet. What was on its way
    /// arrives when this ends, unless the connection was cut by then.
    pub is_blocked: bool,
    /// How many bytes get through in a second, when that is limited.
    pub per_second: Option<u32>,
}

/// How a line behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Towards the server.
    pub up: Way,
    /// Towards the client.
    pub down: Way,
    /// New connections are reset.
    pub refuses: bool,
}

/// One address may serve two purposes: the second is told by what a client says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Every connection, until it shows to be of the other.
    Calls,
    /// Connections on which Redis was told to `SUBSCRIBE`.
    News,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) target: Option<SocketAddr>,
    pub(super) weather: [Weather; 2],
    /// Counted up to cut what is open.
    pub(super) cuts: [u64; 2],
    /// Counted up to strand what is open.
    pub(super) strands: [u64; 2],
}

/// Listens on a port of its own and hands on to a target that may change. Ends with the last handle to it, and all its
/// connections with it.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    state: watch::Sender<State>,
    open: Arc<[AtomicUsize; 2]>,
}

impl Proxy {
    /// Begins to listen. Without a target, connections are reset.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(target: Option<SocketAddr>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, watched) = watch::channel(State { target, ..State::default() });
        let open: Arc<[AtomicUsize; 2]> = Arc::default();
        tokio::spawn(accept(listener, watched, open.clone()));
        Ok(Self(Arc::new(Inner { address, state, open })))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Sends new connections there from now on.
    pub fn leads_to(&self, target: Option<SocketAddr>) {
        self.0.state.send_modify(|state| state.target = target);
    }

    /// Where new connections go.
    #[must_use]
    pub fn target(&self) -> Option<SocketAddr> {
        self.0.state.borrow().target
    }

    /// A hand on the connections of one purpose.
    #[must_use]
    pub fn lane(&self, lane: Lane) -> Link {
        Link { proxy: self.clone(), lane: lane as usize }
    }

    /// A hand on all connections of a proxy that serves one purpose.
    #[must_use]
    pub fn link(&self) -> Link {
        self.lane(Lane::Calls)
    }
}

/// A hand on the weather of one line.
#[derive(Clone, Debug)]
pub struct Link {
    proxy: Proxy,
    lane: usize,
}

impl Link {
    /// How it is.
    #[must_use]
    pub fn weather(&self) -> Weather {
        self.proxy.0.state.borrow().weather[self.lane]
    }

    /// Changes how it is, also for connections that are open.
    pub fn set(&self, weather: Weather) {
        self.proxy.0.state.send_modify(|state| state.weather[self.lane] = weather);
    }

    /// Fair weather again. What was blocked and not cut arrives late.
    pub fn heal(&self) {
        self.set(Weather::default());
    }

    /// Resets what is open. New connections are as before.
    pub fn cut(&self) {
        self.proxy.0.state.send_modify(|state| state.cuts[self.lane] += 1);
    }

    /// Resets what is open, and whatever comes, until [`Link::heal`].
    pub fn sever(&self) {
        self.proxy.0.state.send_modify(|state| {
            state.weather[self.lane].refuses = true;
            state.cuts[self.lane] += 1;
        });
    }

    /// Leaves what is open half-open: nothing gets through any more, and nobody is told, until it is cut. New
    /// connections are as before.
    pub fn strand(&self) {
        self.proxy.0.state.send_modify(|state| state.strands[self.lane] += 1);
    }

    /// Lets nothing through, and tells nobody.
    pub fn block(&self) {
        self.change(|weather| (weather.up.is_blocked, weather.down.is_blocked) = (true, true));
    }

    /// Lets nothing through to the server.
    pub fn block_up(&self) {
        self.change(|weather| weather.up.is_blocked = true);
    }

    /// Lets nothing through from the server: what is asked is done, and the answer does not come.
    pub fn block_down(&self) {
        self.change(|weather| weather.down.is_blocked = true);
    }

    /// Makes everything take longer, both ways.
    pub fn slow(&self, delay: Duration, jitter: Duration) {
        self.change(|weather| {
            for way in [&mut weather.up, &mut weather.down] {
                (way.delay, way.jitter) = (delay, jitter);
            }
        });
    }

    /// Lets so many bytes a second through from the server.
    pub fn narrow(&self, per_second: u32) {
        self.change(|weather| weather.down.per_second = Some(per_second));
    }

    /// How many connections there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.proxy.0.open[self.lane].load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.proxy.0.state.send_modify(|state| change(&mut state.weather[self.lane]));
    }
}

async fn accept(listener: TcpListener, mut state: watch::Receiver<State>, open: Arc<[AtomicUsize; 2]>) {
    let mut count = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = state.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        // Out of descriptors, say: whoever called sees it, and others may yet be served.
        let Ok((client, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let now = *state.borrow();
        match now.target {
            Some(target) if !now.weather[0].refuses => {
                count += 1;
                tokio::spawn(line::carry(client, target, state.clone(), now, open.clone(), count));
            }
            _ => reset(&client),
        }
    }
}

/// Has the connection end with a reset when it is dropped.
pub(super) fn reset(stream: &TcpStream) {
    // It may be gone already.
    let _ = stream.set_zero_linger();
}
