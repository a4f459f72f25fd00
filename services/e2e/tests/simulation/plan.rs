//! What goes wrong in a run, and how much of it. All of it follows from the seed.

use fastrand::Rng;
use streamit_domain::room::ReadinessMode;

/// A promise that is broken on purpose, to see that the checker notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The store takes playback under any fence.
    Fence,
    /// Nobody gets what he lacks: the gap stays.
    Gap,
    /// A room reads first and subscribes later.
    ReadFirst,
    /// The api stores what is sent again.
    Keys,
}

/// One kind of trouble of the network between two programs: chances are in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    /// The question gets lost.
    pub(crate) asked_in_vain: u16,
    /// The answer gets lost, after the question had its effect.
    pub(crate) unanswered: u16,
    /// The effect comes only after whoever asked has given up.
    pub(crate) late: u16,
}

/// A run before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) sabotage: Option<Sabotage>,
    /// How many nodes and clients there are.
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    /// For how long things go wrong, in milliseconds.
    pub(crate) active: u64,
    /// Between two things that one client does, on average, in milliseconds.
    pub(crate) pace: u64,
    /// Whether rates hold.
    pub(crate) limits: bool,
    /// Whether nodes compare versions every now and then, which heals what nobody was told.
    pub(crate) repairs: bool,

    /// News: how much of a thousand is lost or doubled, and how late it may be, in milliseconds.
    pub(crate) news_lost: u16,
    pub(crate) news_doubled: u16,
    pub(crate) news_late: u64,
    /// Between nodes and the store.
    pub(crate) bus: Trouble,
    /// Between nodes and the api.
    pub(crate) api: Trouble,
    /// How long a room may take between subscribing and reading, in milliseconds.
    pub(crate) opening: u64,

    /// How often each of these happens in the run.
    pub(crate) kills: u32,
    pub(crate) pauses: u32,
    pub(crate) drains: u32,
    pub(crate) deaf: u32,
    pub(crate) store_away: u32,
    pub(crate) store_empty: u32,
    pub(crate) api_away: u32,
    pub(crate) cuts: u32,
    pub(crate) half_open: u32,
    pub(crate) stuck: u32,
    pub(crate) transfers: u32,
    pub(crate) removals: u32,
    pub(crate) settings: u32,
    pub(crate) jumps: u32,
    pub(crate) restores: u32,
    /// What the room does about players that are not ready.
    pub(crate) readiness: ReadinessMode,
}

impl Plan {
    /// The plan that follows from `seed`. About a third of all kinds of trouble is in each.
    pub(crate) fn of(seed: u64) -> Self {
        // A generator of its own: what happens in the run must not depend on how many questions the plan asks.
        let mut rng = Rng::with_seed(seed ^ 0x5157_eed5);
        let rng = &mut rng;
        let mut plan = Self {
            seed,
            sabotage: None,
            nodes: rng.usize(1..=3),
            clients: rng.usize(2..=6),
            active: rng.u64(8_000..20_000),
            pace: rng.u64(150..2_000),
            limits: rng.bool(),
            repairs: true,
            news_lost: some(rng, 200),
            news_doubled: some(rng, 200),
            news_late: if rng.bool() { rng.u64(5..1_500) } else { 5 },
            bus: Trouble::of(rng, 40),
            api: Trouble::of(rng, 150),
            opening: if rng.bool() { rng.u64(1..800) } else { 1 },
            kills: few(rng, 2),
            pauses: few(rng, 1),
            drains: few(rng, 2),
            deaf: few(rng, 2),
            store_away: few(rng, 1),
            store_empty: few(rng, 1),
            api_away: few(rng, 1),
            cuts: few(rng, 8),
            half_open: if rng.u8(0..8) == 0 { 1 } else { 0 },
            stuck: few(rng, 2),
            transfers: few(rng, 4),
            removals: few(rng, 2),
            settings: few(rng, 2),
            jumps: few(rng, 2),
            restores: u32::from(rng.u8(0..8) == 0),
            readiness: [ReadinessMode::Off, ReadinessMode::Soft, ReadinessMode::Strict][rng.usize(0..3)],
        };
        if plan.restores > 0 {
            // Who was host is told by the order of hosts, which a restore would turn back. And what the database has lost
            // is noticed only by those who remember it, are there when versions are compared, and hear of other messages
            // under the same numbers.
            (plan.transfers, plan.kills, plan.drains, plan.store_empty) = (0, 0, 0, 0);
            (plan.news_lost, plan.deaf, plan.store_away, plan.bus) = (0, 0, 0, Trouble::default());
            (plan.cuts, plan.stuck, plan.removals) = (0, 0, 0);
        }
        if plan.store_empty > 0 {
            // What the store has lost is put back by the nodes, or else from the database, which is up to a second late.
            (plan.kills, plan.drains) = (0, 0);
        }
        plan
    }

    /// A run in which nothing goes wrong by itself.
    pub(crate) fn calm(seed: u64) -> Self {
        Self {
            limits: false,
            news_lost: 0,
            news_doubled: 0,
            news_late: 5,
            bus: Trouble::default(),
            api: Trouble::default(),
            opening: 1,
            kills: 0,
            pauses: 0,
            drains: 0,
            deaf: 0,
            store_away: 0,
            store_empty: 0,
            api_away: 0,
            cuts: 0,
            half_open: 0,
            stuck: 0,
            transfers: 0,
            removals: 0,
            settings: 0,
            jumps: 0,
            restores: 0,
            readiness: ReadinessMode::default(),
            ..Self::of(seed)
        }
    }

    /// The same with one promise broken.
    pub(crate) fn with(self, sabotage: Sabotage) -> Self {
        Self { sabotage: Some(sabotage), ..self }
    }

    pub(crate) fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}

impl Trouble {
    fn of(rng: &mut Rng, most: u16) -> Self {
        Self { asked_in_vain: some(rng, most), unanswered: some(rng, most), late: some(rng, most) }
    }
}

/// Mostly nothing, else at most `most` of a thousand.
fn some(rng: &mut Rng, most: u16) -> u16 {
    if rng.u8(0..3) == 0 { rng.u16(1..=most) } else { 0 }
}

/// Mostly nothing, else at most `most` times.
fn few(rng: &mut Rng, most: u32) -> u32 {
    if rng.u8(0..3) == 0 { rng.u32(1..=most) } else { 0 }
}
