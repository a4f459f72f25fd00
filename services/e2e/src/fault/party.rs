//! A room full of viewers.

mod talk;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::record::{REIGN, message};
use super::{Cluster, Draw, Record, Verdict, Viewer};
use crate::check::{End, Message, Run};
use crate::{PATIENCE, Person, Room, until};

pub use talk::Talk;

/// Who was away for less was never gone, to the others: the grace is 3 s, and a loss is noticed on both ends.
const NEVER_GONE: Duration = Duration::from_millis(2_500);
/// How long quiet may take to come, once all is healed.
const QUIET: Duration = Duration::from_secs(20);

/// A room, its viewers, and who rules.
#[derive(Debug)]
pub struct Party<'a> {
    cluster: &'a Cluster,
    /// The room.
    pub room: Room,
    /// The viewers: the one who opened the room first.
    pub viewers: Vec<Viewer>,
    /// Who was away for less counts as never gone; nobody does when that can't be said.
    pub never_gone: Option<Duration>,
    /// Who is in the room besides, by name.
    pub others: BTreeSet<String>,
    rule: Rule,
    draw: Draw,
    started: Instant,
}

/// Who is host, and how many were before.
#[derive(Clone, Debug)]
pub(super) struct Rule(Arc<Mutex<(usize, u32, u32)>>);

impl Rule {
    /// The host, and a position that only this host goes to, and only once.
    fn next(&self) -> (usize, f64) {
        let mut rule = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rule.2 += 1;
        (rule.0, REIGN * f64::from(rule.1) + 1.0 + f64::from(rule.2) / 4.0)
    }

    fn host(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn passes_to(&self, viewer: usize) {
        let mut rule = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *rule = (viewer, rule.1 + 1, 0);
    }
}

impl<'a> Party<'a> {
    /// Opens a room and has so many come, one node after the other, until all see all.
    ///
    /// # Panics
    /// When they can't.
    pub async fn open(cluster: &'a Cluster, people: usize) -> Self {
        Self::open_with(cluster, people, Draw::new(1)).await
    }

    /// The same, by a draw.
    ///
    /// # Panics
    /// When they can't.
    pub async fn open_with(cluster: &'a Cluster, people: usize, mut draw: Draw) -> Self {
        let started = Instant::now();
        let names = (0..people).map(|i| format!("P{i}"));
        let persons = join_all(names.map(async |name| cluster.system.guest(&name).await)).await;
        let room = persons[0].public_room().await;
        join_all(persons.iter().map(|person| room.admit(person))).await;
        let start =
            |(i, person): (usize, &Person)| Viewer::start(&room, person, i % cluster.nodes(), draw.part());
        let viewers = persons.iter().enumerate().map(start).collect();
        let rule = Rule(Arc::new(Mutex::new((0, 0, 0))));
        let party = Self {
            cluster,
            room,
            viewers,
            never_gone: Some(NEVER_GONE),
            others: BTreeSet::new(),
            rule,
            draw,
            started,
        };
        party.see_each_other().await;
        party
    }

    /// Has another one come, who is not host, to this node.
    ///
    /// # Panics
    /// When that fails.
    pub async fn welcome(&mut self, node: usize) -> Viewer {
        let person = self.cluster.system.guest(&format!("P{}", self.viewers.len())).await;
        self.room.admit(&person).await;
        let viewer = Viewer::start(&self.room, &person, node, self.draw.part());
        self.viewers.push(viewer.clone());
        viewer
    }

    /// Has everybody talk in turn, so many messages a second in all.
    #[must_use]
    pub fn talk(&self, per_second: f64) -> Talk {
        talk::talk(self.viewers.clone(), per_second)
    }

    /// The same, of some of them.
    #[must_use]
    pub fn talk_of(&self, who: impl Fn(usize) -> bool, per_second: f64) -> Talk {
        let viewers =
            self.viewers.iter().enumerate().filter(|(i, _)| who(*i)).map(|(_, viewer)| viewer.clone());
        talk::talk(viewers.collect(), per_second)
    }

    /// Has the host play, pause and seek, so many times a second.
    #[must_use]
    pub fn direct(&mut self, per_second: f64) -> Talk {
        talk::direct(self.viewers.clone(), self.rule.clone(), per_second, self.draw.part())
    }

    /// Who is host now.
    #[must_use]
    pub fn host(&self) -> &Viewer {
        &self.viewers[self.rule.host()]
    }

    /// A position that only the host of now goes to, and only once.
    #[must_use]
    pub fn next_position(&self) -> f64 {
        self.rule.next().1
    }

    /// Makes somebody else host, and asks again until it is known to be done.
    ///
    /// # Errors
    /// When that is refused, or not known in time. It may have happened all the same, and then the former host is
    /// refused from now on.
    pub async fn transfer(&self, to: usize) -> Result<(), String> {
        /// How long a call may take: the line may be dead.
        const CALL: Duration = Duration::from_secs(4);
        let (host, next) = (self.host().person.clone(), self.viewers[to].person.id());
        let start = Instant::now();
        for api in 0.. {
            let asked = timeout(CALL, host.http_at(api).transfer(self.room.id, next)).await;
            let why = match asked {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            // An earlier try may have been served, and its answer was lost.
            if timeout(CALL, self.is_host(api, to)).await.unwrap_or_default() {
                break;
            }
            if start.elapsed() > PATIENCE {
                return Err(why);
            }
            sleep(Duration::from_millis(200)).await;
        }
        self.rule.passes_to(to);
        Ok(())
    }

    async fn is_host(&self, api: usize, viewer: usize) -> bool {
        let person = &self.viewers[viewer].person;
        person
            .http_at(api)
            .detail(&self.room.code)
            .await
            .is_ok_and(|detail| detail.host_id == Some(person.id()))
    }

    /// Who wants to be there.
    #[must_use]
    pub fn expected(&self) -> BTreeSet<String> {
        let here = self.viewers.iter().map(|viewer| viewer.record());
        let here = here.filter(|record| record.wants_in).map(|record| record.name.clone());
        here.chain(self.others.iter().cloned()).collect()
    }

    /// Waits until all see all.
    ///
    /// # Panics
    /// When they don't.
    pub async fn see_each_other(&self) {
        let seen = until("all to see each other", async || {
            let expected = self.expected();
            let is_so = |record: &Record| !record.wants_in || (record.is_in && record.present == expected);
            self.viewers.iter().all(|viewer| is_so(&viewer.record())).then_some(())
        });
        if let Err(why) = seen.await {
            panic!("{}\n{why}:\n{}", self.cluster.last_words(), self.describe());
        }
    }

    /// Has the host seek, again and again, until all have seen the film move; how long that took.
    ///
    /// # Panics
    /// When it never does.
    pub async fn film_moves(&self) -> Duration {
        let (start, before) = (Instant::now(), self.highest_version());
        let mut sent = None;
        let moved = until("the film to move for all", async || {
            if sent.is_none_or(|sent: Instant| sent.elapsed() > Duration::from_millis(250)) {
                self.host().seek(self.next_position()).await;
                sent = Some(Instant::now());
            }
            let has_moved = |viewer: &Viewer| {
                let record = viewer.record();
                !record.wants_in || (record.is_in && record.version > before)
            };
            self.viewers.iter().all(has_moved).then_some(())
        });
        if let Err(why) = moved.await {
            panic!("{}\n{why}:\n{}", self.cluster.last_words(), self.describe());
        }
        start.elapsed()
    }

    fn highest_version(&self) -> u64 {
        self.viewers.iter().map(|viewer| viewer.record().version).max().unwrap_or_default()
    }

    /// Waits until all who want to are in the room.
    ///
    /// # Panics
    /// When they are not.
    pub async fn are_back(&self) {
        let back = until("all to be back", async || {
            let is_in = |viewer: &Viewer| {
                let record = viewer.record();
                record.is_in || !record.wants_in
            };
            self.viewers.iter().all(is_in).then_some(())
        });
        if let Err(why) = back.await {
            panic!("{}\n{why}:\n{}", self.cluster.last_words(), self.describe());
        }
    }

    /// Where everybody stands.
    #[must_use]
    pub fn describe(&self) -> String {
        let lines = self.viewers.iter().map(|viewer| {
            let record = viewer.record();
            format!(
                "{}: in {}, at {:?}, version {}, sees {}, unanswered {}, stopped {:?}\n",
                record.name,
                record.is_in,
                record.place,
                record.version,
                record.present.len(),
                record.unanswered,
                record.stopped,
            )
        });
        lines.collect()
    }

    /// Waits until all is quiet and everybody sees the same, or that takes too long, and judges.
    ///
    /// # Panics
    /// When the end can't be read.
    pub async fn settle(&self) -> Verdict {
        let start = Instant::now();
        let mut end = self.end().await;
        while !self.is_quiet(&end) && start.elapsed() < QUIET {
            sleep(Duration::from_millis(50)).await;
            if self.agree() {
                end = self.end().await;
            }
        }
        let end = if self.is_quiet(&end) { end } else { self.end().await };
        self.judge(end)
    }

    /// Whether all who are there stand at the same place.
    fn agree(&self) -> bool {
        let expected = self.expected();
        let mut common = None;
        self.viewers.iter().all(|viewer| {
            let record = viewer.record();
            let stand = (record.place, record.version);
            !expected.contains(&record.name)
                || (record.is_in
                    && record.unanswered == 0
                    && record.present == expected
                    && *common.get_or_insert(stand) == stand)
        })
    }

    fn is_quiet(&self, end: &End) -> bool {
        let head = (end.epoch, end.messages.last().map_or(0, |message| message.seq));
        self.agree()
            && self.viewers.iter().all(|viewer| {
                let record = viewer.record();
                !record.is_in || record.place == Some(head)
            })
    }

    fn judge(&self, end: End) -> Verdict {
        let records: Vec<Record> = self.viewers.iter().map(|viewer| viewer.record().clone()).collect();
        let mut run = Run { end, ..Run::default() };
        let mut complaints = Vec::new();
        for record in &records {
            run.witnesses.push(record.witness());
            for (epoch, ids) in &record.acknowledged {
                run.acknowledged.entry(*epoch).or_default().extend(ids.iter().cloned());
            }
            let was_here = |limit| record.breaks.iter().all(|gap| gap.length() < limit);
            if !record.has_left && self.never_gone.is_some_and(was_here) {
                run.steady.insert(record.name.clone());
            }
            if let Some(reason) = &record.stopped {
                complaints.push(format!("{} was told to stay away: {reason}", record.name));
            } else if run.end.present.contains(&record.name) && !record.is_in {
                complaints.push(format!("{} is not back", record.name));
            }
            if record.unanswered > 0 && record.is_in {
                complaints.push(format!("{} has {} words unanswered", record.name, record.unanswered));
            }
        }
        let last_words = self.cluster.last_words();
        Verdict::of(run, records, complaints, self.started, last_words)
    }

    /// What is true now: asked for over HTTP.
    async fn end(&self) -> End {
        let epochs = self.viewers.iter().filter_map(|viewer| viewer.record().place.map(|(epoch, _)| epoch));
        let epoch = epochs.max().unwrap_or_default();
        let messages = until("the chat over HTTP", async || self.chat().await).await.unwrap();
        End { epoch, messages, present: self.expected() }
    }

    async fn chat(&self) -> Option<Vec<Message>> {
        let http = self.viewers[0].person.http();
        let mut pages = Vec::new();
        let mut before = None;
        loop {
            let page = http.messages(&self.room.code, before).await.ok()?;
            let Some(first) = page.first() else { break };
            before = Some(first.seq);
            pages.push(page);
        }
        Some(pages.iter().rev().flatten().map(message).collect())
    }
}
