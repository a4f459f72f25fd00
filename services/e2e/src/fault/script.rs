//! What a seed decides: which faults there are and when, and what people do meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::Draw;

/// How long faults go on.
const LASTS: Duration = Duration::from_secs(15);
/// A node that the others have not heard of for so long may be taken for dead.
const MAY_SEEM_DEAD: Duration = Duration::from_secs(4);

/// A run, as far as a seed can decide it. How the machine spreads its time over the processes can't be decided, so a
/// run that is repeated has the same faults at the same moments, and yet may end another way.
#[derive(Clone, Debug)]
pub struct Script {
    /// What all follows from.
    pub seed: u64,
    /// Realtime nodes.
    pub nodes: usize,
    /// Replicas of the api.
    pub apis: usize,
    /// Whether there is a PostgreSQL that may crash.
    pub has_postgres: bool,
    /// Viewers.
    pub people: usize,
    /// Messages a second, in all.
    pub talk: f64,
    /// Commands a second.
    pub film: f64,
    /// What happens, in the order of its beginning.
    pub acts: Vec<Act>,
    /// For whatever else is to be drawn.
    pub draw: Draw,
}

/// Something that happens for a while.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts, where that means something.
    pub lasts: Duration,
    /// What.
    pub what: What,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A line has a fault.
    Line(Place, Fault),
    /// A node is killed, and started again afterwards.
    KillNode(usize),
    /// A node is asked to stop, and started again when it has.
    StopNode(usize),
    /// A node stands still.
    PauseNode(usize),
    /// An api is killed, and started again afterwards.
    KillApi(usize),
    /// An api stands still.
    PauseApi(usize),
    /// Redis ends, and is empty afterwards.
    KillRedis,
    /// Redis drops every subscription.
    DropSubscriptions,
    /// Redis forgets the scripts.
    ForgetScripts,
    /// Redis forgets where the film stands.
    ForgetFilm,
    /// Redis forgets who is there.
    ForgetRoster,
    /// PostgreSQL crashes, and recovers.
    CrashPostgres,
    /// Somebody else becomes host.
    Transfer(usize),
    /// Somebody says goodbye, and comes back afterwards.
    Leave(usize),
    /// Somebody's line breaks.
    Blink(usize),
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// From clients to a node.
    Clients(usize),
    /// What a node asks of Redis.
    Calls(usize),
    /// What a node is told by Redis.
    News(usize),
    /// From a node to an api.
    Authority(usize, usize),
    /// From an api to Redis.
    ApiRedis(usize),
    /// From an api to PostgreSQL.
    Database(usize),
}

/// What a line may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Everything takes longer.
    Slow,
    /// Few bytes get through.
    Narrow,
    /// Nothing gets through.
    Block,
    /// Nothing is heard of what is asked.
    BlockUp,
    /// What is asked is done, and no answer comes.
    BlockDown,
    /// The connections are reset, once.
    Cut,
    /// All is reset.
    Sever,
    /// What is open is left half-open, and reset in the end.
    Strand,
}

impl Script {
    /// The run of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let has_postgres = draw.happens(0.2);
        let mut script = Self {
            seed,
            nodes: 3,
            apis: 2,
            has_postgres,
            people: 6 + draw.below(7),
            talk: 5.0 + draw.below(15) as f64,
            film: 1.0 + draw.below(5) as f64,
            acts: Vec::new(),
            draw: draw.part(),
        };
        let faults = 4 + draw.below(8);
        let mut busy = HashMap::new();
        for _ in 0..faults {
            let what = script.fault(&mut draw);
            script.plan(what, &mut draw, &mut busy);
        }
        for _ in 0..3 + draw.below(8) {
            let what = script.people_do(&mut draw);
            script.plan(what, &mut draw, &mut busy);
        }
        script.acts.sort_by_key(|act| act.at);
        script
    }

    /// What happens to one thing happens one after the other.
    fn plan(&mut self, what: What, draw: &mut Draw, busy: &mut HashMap<String, Vec<(Duration, Duration)>>) {
        /// A stop takes as long as a drain, a start a moment.
        const AFTERWARDS: Duration = Duration::from_secs(6);
        let at = draw.millis(0..u64::try_from(LASTS.as_millis()).unwrap_or(u64::MAX));
        let lasts = draw.millis(300..5_000).min(LASTS.saturating_sub(at));
        let until = at + lasts + if what.is_of_process() { AFTERWARDS } else { Duration::ZERO };
        let taken = busy.entry(what.subject()).or_default();
        if taken.iter().all(|(begin, end)| until < *begin || at > *end) {
            taken.push((at, until));
            self.acts.push(Act { at, lasts, what });
        }
    }

    fn fault(&self, draw: &mut Draw) -> What {
        let (node, api) = (draw.below(self.nodes), draw.below(self.apis));
        match draw.below(20) {
            0 | 1 => What::KillNode(node),
            2 => What::StopNode(node),
            3 => What::PauseNode(node),
            4 => What::KillApi(api),
            5 => What::PauseApi(api),
            6 => What::KillRedis,
            7 => What::DropSubscriptions,
            8 => What::ForgetScripts,
            9 => What::ForgetFilm,
            10 => What::ForgetRoster,
            11 | 12 if self.has_postgres => What::CrashPostgres,
            _ => {
                let places = [
                    Place::Clients(node),
                    Place::Calls(node),
                    Place::News(node),
                    Place::Authority(node, api),
                    Place::ApiRedis(api),
                    Place::Database(api),
                ];
                let faults = [
                    Fault::Slow,
                    Fault::Narrow,
                    Fault::Block,
                    Fault::BlockUp,
                    Fault::BlockDown,
                    Fault::Cut,
                    Fault::Sever,
                    Fault::Strand,
                ];
                What::Line(*draw.one(&places), *draw.one(&faults))
            }
        }
    }

    fn people_do(&self, draw: &mut Draw) -> What {
        // Some may be host and never leave, the others leave and are never host.
        let hosts = self.people / 2;
        match draw.below(3) {
            0 => What::Transfer(draw.below(hosts)),
            1 => What::Leave(hosts + draw.below(self.people - hosts)),
            _ => What::Blink(draw.below(self.people)),
        }
    }

    /// Whether a node was out of the others' sight for so long that they may have announced its people as gone.
    #[must_use]
    pub fn may_seem_dead(&self) -> bool {
        (0..self.nodes).any(|node| {
            let is_out = |what: What| match what {
                What::PauseNode(n) => n == node,
                What::Line(Place::Calls(n), fault) => n == node && fault != Fault::Cut,
                _ => false,
            };
            let out: Duration = self.acts.iter().filter(|act| is_out(act.what)).map(|act| act.lasts).sum();
            out >= MAY_SEEM_DEAD
        })
    }
}

impl What {
    /// What is one at a time.
    fn subject(self) -> String {
        match self {
            Self::Line(place, _) => format!("{place:?}"),
            Self::KillNode(n) | Self::StopNode(n) | Self::PauseNode(n) => format!("node {n}"),
            Self::KillApi(n) | Self::PauseApi(n) => format!("api {n}"),
            // It must be there to be told something.
            Self::KillRedis
            | Self::DropSubscriptions
            | Self::ForgetScripts
            | Self::ForgetFilm
            | Self::ForgetRoster => "redis".to_owned(),
            Self::CrashPostgres => "postgres".to_owned(),
            Self::Transfer(_) => "host".to_owned(),
            Self::Leave(n) | Self::Blink(n) => format!("viewer {n}"),
        }
    }

    fn is_of_process(self) -> bool {
        matches!(
            self,
            Self::KillNode(_)
                | Self::StopNode(_)
                | Self::KillApi(_)
                | Self::KillRedis
                | Self::CrashPostgres
                | Self::Transfer(_)
        )
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} people on {} nodes and {} apis, {} messages and {} commands a second",
            self.seed, self.people, self.nodes, self.apis, self.talk, self.film
        )?;
        for act in &self.acts {
            write!(
                f,
                "\n{:8.3} for {:5.3} s: {:?}",
                act.at.as_secs_f64(),
                act.lasts.as_secs_f64(),
                act.what
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_run_and_another_makes_another() {
        let text = |seed| Script::of(seed).to_string();
        assert_eq!(text(7), text(7));
        assert_ne!(text(7).split_once(':'), text(8).split_once(':'));
    }

    #[test]
    fn runs_have_faults_of_every_kind_and_one_thing_has_one_at_a_time() {
        let scripts: Vec<Script> = (0..300).map(Script::of).collect();
        let acts = || scripts.iter().flat_map(|script| &script.acts);
        let is_there = |what: fn(&What) -> bool| acts().any(|act| what(&act.what));
        assert!(is_there(|what| matches!(what, What::KillRedis)));
        assert!(is_there(|what| matches!(what, What::PauseNode(_))));
        assert!(is_there(|what| matches!(what, What::CrashPostgres)));
        assert!(is_there(|what| matches!(what, What::Line(Place::News(_), Fault::Strand))));
        assert!(is_there(|what| matches!(what, What::Line(Place::Database(_), Fault::BlockDown))));
        for script in &scripts {
            for (i, act) in script.acts.iter().enumerate() {
                let same =
                    script.acts[i + 1..].iter().filter(|other| other.what.subject() == act.what.subject());
                for other in same {
                    assert!(other.at > act.at + act.lasts, "{script}");
                }
            }
        }
    }
}
