//! The world of one run: a clock that jumps from event to event, and everything there is, as values.
//!
//! What happens next is the earliest entry of the queue; entries of one moment come in the order in which they were
//! made. All chance comes from one generator, so a seed tells the whole story.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use streamit_domain::{RoomId, Timestamp};
use streamit_telemetry::{Clock, ManualClock};
use uuid::Uuid;

use crate::api::Api;
use crate::client::Client;
use crate::node::Node;
use crate::plan::{Plan, Sabotage};
use crate::store::Store;

/// When every run begins, in Unix milliseconds.
pub(crate) const START: i64 = 1_700_000_000_000;
/// The room. Its id tells that it was made at [`START`]. One is enough: rooms share nothing.
pub(crate) const ROOM: RoomId = RoomId(Uuid::from_u128(0x018b_cfe5_6800_7000_8000_0000_0000_0001));

/// Something that is going to happen.
pub(crate) type Job = Box<dyn FnOnce(&mut World)>;

/// See the module's words.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    /// Milliseconds since the beginning.
    pub(crate) now: u64,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Store,
    pub(crate) api: Api,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    /// Something was said between a subscription and the reading that followed it.
    pub(crate) raced: bool,
    /// Nobody says anything any more.
    pub(crate) is_over: bool,
    /// Nothing goes wrong any more.
    pub(crate) is_quiet: bool,
    queue: BTreeMap<(u64, u64), Job>,
    made: u64,
    trace: Option<Vec<String>>,
}

/// Puts a line into the trace, if there is one.
macro_rules! note {
    ($world:expr, $($line:tt)*) => {
        if $world.is_traced() {
            let line = format!($($line)*);
            $world.write(line);
        }
    };
}
pub(crate) use note;

impl World {
    pub(crate) fn new(plan: Plan, is_traced: bool) -> Self {
        let clock = ManualClock::at_ms(START);
        let mut rng = Rng::with_seed(plan.seed);
        let store = Store::new(clock.clone(), !plan.is(Sabotage::Fence));
        let nodes = (0..plan.nodes).map(|_| Node::new(&mut rng)).collect();
        let clients = (0..plan.clients).map(Client::new).collect();
        let mut world = Self {
            api: Api::new(plan.clients, !plan.is(Sabotage::Keys)),
            store,
            nodes,
            clients,
            rng,
            now: 0,
            clock,
            raced: false,
            is_quiet: false,
            is_over: false,
            queue: BTreeMap::new(),
            made: 0,
            trace: is_traced.then(Vec::new),
            plan,
        };
        world.api.stored.facts.settings.readiness = world.plan.readiness;
        note!(world, "{:?}", world.plan);
        world.tell_fence();
        for n in 0..world.nodes.len() {
            world.start_node(n);
        }
        world
    }

    /// Does `job` in `ms` milliseconds.
    pub(crate) fn after(&mut self, ms: u64, job: impl FnOnce(&mut Self) + 'static) {
        self.made += 1;
        self.queue.insert((self.now + ms, self.made), Box::new(job));
    }

    /// Lets time pass until `end`.
    pub(crate) fn run_until(&mut self, end: u64) {
        while let Some(next) = self.queue.first_entry().filter(|next| next.key().0 <= end) {
            let (at, _) = *next.key();
            let job = next.remove();
            self.pass_to(at);
            job(self);
        }
        self.pass_to(end);
    }

    fn pass_to(&mut self, at: u64) {
        if at > self.now {
            self.clock.advance(Duration::from_millis(at - self.now));
            self.now = at;
        }
    }

    pub(crate) fn room_time(&self) -> Timestamp {
        self.store.now()
    }

    pub(crate) fn instant(&self) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.clock.monotonic())
    }

    /// Whether something happens that happens `chance` times in a thousand, while things go wrong.
    pub(crate) fn happens(&mut self, chance: u16) -> bool {
        // The generator is asked in any case: a run without one kind of trouble stays close to the run with it.
        self.rng.u16(0..1_000) < chance && !self.is_quiet
    }

    pub(crate) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    pub(crate) fn write(&mut self, line: String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>7}  {line}"));
        }
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }
}
