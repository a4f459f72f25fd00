//! Whose players are ready, and the film that waits for them, on several nodes.

use streamit_domain::readiness::Said;
use streamit_domain::room::{ReadinessMode, Source};
use streamit_telemetry::trace::Cause;

use super::cluster::Cluster;
use super::*;

/// A lead, and a step of the cluster's time.
pub(super) const SOON: u64 = 500;

/// A room on so many nodes, and on each of them one person, told as (node, connection). The first is host.
pub(super) struct Party {
    pub(super) cluster: Cluster,
    pub(super) seats: Vec<(usize, u64)>,
}

impl Party {
    pub(super) fn of(people: usize, mode: ReadinessMode) -> Self {
        let mut cluster = Cluster::of(people);
        let seats = (0..people).map(|n| (n, cluster.join(n, n as u128 + 1))).collect();
        let mut party = Self { cluster, seats };
        party.set(|facts| facts.settings.readiness = mode);
        party
    }

    pub(super) fn strict(people: usize) -> Self {
        Self::of(people, ReadinessMode::Strict)
    }

    /// A strict room whose film runs, everybody being ready.
    pub(super) fn running(people: usize) -> Self {
        let mut party = Self::strict(people);
        (0..people).for_each(|who| party.says(who, true));
        party.command(play(10.0));
        assert!(party.film().is_running());
        party.cluster.pass(5_000);
        party.clear();
        party
    }

    /// The api changes facts, and all nodes hear of it.
    pub(super) fn set(&mut self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.cluster.facts);
        self.cluster.facts.version += 1;
        let told = v1::Facts::of(&self.cluster.facts, self.cluster.facts.version - 1);
        for n in 0..self.cluster.nodes.len() {
            let event =
                v1::Event { kind: Some(v1::event::Kind::Facts(told.clone())), ..v1::Event::default() };
            self.cluster.on(n, Input::Notice(Notice::Event(Arc::new(event))));
        }
    }

    pub(super) fn says(&mut self, who: usize, is_ready: bool) {
        let (node, connection) = self.seats[who];
        let said = ClientFrame::Readiness(Said { is_ready, position: MediaTime::try_from(3.5).ok() });
        self.cluster.on(node, Input::Frame(ConnectionId(connection), said, Cause::default()));
    }

    pub(super) fn command(&mut self, command: Command) {
        let (node, connection) = self.seats[0];
        self.cluster.command(node, connection, command);
    }

    pub(super) fn film(&self) -> Playback {
        self.cluster.stored().expect("somebody has started it")
    }

    /// How long the film is held, in milliseconds, from now on; 0 when it is not.
    pub(super) fn held_for(&mut self) -> u64 {
        let from = self.cluster.up;
        while self.film().held_until.is_some() {
            assert!(self.cluster.up - from < 60_000, "held without end");
            self.cluster.pass(50);
        }
        self.cluster.up - from
    }

    pub(super) fn clear(&self) {
        self.cluster.told_to_all();
    }

    /// The last READINESS that somebody was told.
    pub(super) fn readiness(&self, who: usize) -> Option<Value> {
        let (node, connection) = self.seats[who];
        let told = self.cluster.told(node, connection);
        told.into_iter().rfind(|frame| frame["type"] == "READINESS")
    }

    pub(super) fn leaves(&mut self, who: usize) {
        let (node, connection) = self.seats.remove(who);
        self.cluster.leave(node, connection, Gone::Now);
    }
}

fn names(frame: &Value) -> Vec<&str> {
    frame["waiting"].as_array().unwrap().iter().map(|one| one["user"].as_str().unwrap()).collect()
}

#[test]
fn a_soft_room_shows_who_buffers_and_goes_on() {
    let mut party = Party::of(3, ReadinessMode::Soft);
    party.command(play(10.0));
    party.cluster.pass(SOON);
    party.clear();
    party.says(1, false);
    party.cluster.pass(SOON);
    for who in 0..3 {
        let told = party.readiness(who).unwrap();
        assert_eq!((names(&told), &told["count"], &told["held"]), (vec!["u2"], &1.into(), &false.into()));
        assert_eq!((&told["mode"], &told["waiting"][0]["position"]), (&"soft".into(), &3.5.into()));
    }
    assert!(party.film().is_running());
    // Who comes meanwhile is told too, after what everybody gets first.
    let late = party.cluster.join(2, 9);
    let types: Vec<Value> =
        party.cluster.told(2, late).iter().take(4).map(|frame| frame["type"].clone()).collect();
    assert_eq!(types, ["ROOM_PARTICIPANTS", "CHAT_HISTORY", "PLAYBACK_STATE", "READINESS"]);
    party.says(1, true);
    party.cluster.pass(SOON);
    assert_eq!(party.readiness(0).unwrap()["count"], 0);
    party.says(1, true);
    party.cluster.pass(SOON);
    assert_eq!(party.readiness(0), None, "nothing new");
}

#[test]
fn many_words_at_once_are_few_frames() {
    let mut party = Party::of(2, ReadinessMode::Soft);
    party.clear();
    let (node, connection) = party.seats[0];
    let mut frames = 0;
    for n in 0..50 {
        party.says(1, n % 2 == 0);
        party.cluster.pass(50);
        frames += party.cluster.told(node, connection).len();
    }
    assert!((2..=11).contains(&frames), "{frames} in 2.5 s");
}

#[test]
fn a_room_that_is_off_asks_nobody_until_it_is_strict() {
    let mut party = Party::of(2, ReadinessMode::Off);
    party.says(0, true);
    party.says(1, true);
    party.says(1, false);
    party.cluster.pass(SOON);
    assert!(party.cluster.roster().book.people.is_empty());
    assert!(party.readiness(0).is_none());
    party.set(|facts| facts.settings.readiness = ReadinessMode::Strict);
    party.cluster.pass(SOON);
    assert_eq!(party.cluster.roster().book.people.len(), 2, "what was said is known now");
    assert_eq!(names(&party.readiness(0).unwrap()), ["u2"]);
    party.set(|facts| facts.settings.readiness = ReadinessMode::Off);
    party.cluster.pass(SOON);
    assert_eq!(party.readiness(0).unwrap()["count"], 0, "and nobody is shown any more");
}

#[test]
fn a_strict_room_starts_when_all_are_ready() {
    let mut party = Party::strict(3);
    party.says(0, true);
    party.command(play(10.0));
    let held = party.film();
    assert_eq!((held.is_playing, held.held_until), (true, Some(held.at.plus(Duration::from_secs(15)))));
    party.cluster.pass(SOON);
    let told = party.readiness(2).unwrap();
    assert_eq!((names(&told), &told["held"]), (vec!["u2", "u3"], &true.into()));
    assert_eq!(told["hold_until"], held.held_until.unwrap().0);
    party.says(1, true);
    assert!(party.film().held_until.is_some());
    party.says(2, true);
    let run = party.film();
    assert!(run.is_running() && run.time.secs() == 10.0);
    assert!(run.at > Timestamp(START + party.cluster.up as i64), "with a lead, so that all start together");
    party.cluster.pass(SOON);
    assert_eq!((&party.readiness(1).unwrap()["held"], party.held_for()), (&false.into(), 0));
}

#[test]
fn a_start_waits_fifteen_seconds_for_a_first_load_and_no_longer() {
    let mut party = Party::strict(2);
    party.says(0, true);
    party.says(1, false);
    party.command(play(0.0));
    let waited = party.held_for();
    assert!((15_000..=16_000).contains(&waited), "{waited} ms");
    assert!(party.film().is_running());
    assert!(party.cluster.roster().book.gave_up.is_some(), "for nodes that open the room later");
    // He is not waited for again before he was ready.
    party.command(Command::Pause(None));
    party.command(Command::Play(None));
    assert!(party.film().is_running());
    party.says(1, true);
    party.command(Command::Pause(None));
    party.says(1, false);
    party.command(Command::Play(None));
    let waited = party.held_for();
    assert!((8_000..=9_000).contains(&waited), "{waited} ms");
}

#[test]
fn a_player_that_runs_dry_holds_the_film_until_it_is_ready() {
    let mut party = Party::running(3);
    party.says(2, false);
    let held = party.film();
    assert_eq!(held.held_until, Some(held.at.plus(Duration::from_secs(8))));
    assert!(held.time.secs() > 14.0, "where it was: {}", held.time.secs());
    party.cluster.pass(1_000);
    assert_eq!(names(&party.readiness(0).unwrap()), ["u3"]);
    party.says(2, true);
    let run = party.film();
    assert!(run.is_running() && run.time == held.time);
}

#[test]
fn the_room_waits_eight_seconds_and_names_whom() {
    let mut party = Party::running(2);
    party.says(1, false);
    let waited = party.held_for();
    assert!((8_000..=9_000).contains(&waited), "{waited} ms");
    let told = party.readiness(0).unwrap();
    assert_eq!((names(&told), &told["held"]), (vec!["u2"], &false.into()), "he still buffers");
}

#[test]
fn whoever_a_film_waits_for_may_go() {
    for how in 0..4 {
        let mut party = Party::running(3);
        party.says(1, false);
        assert!(party.film().held_until.is_some());
        match how {
            0 => party.leaves(1),
            1 => party.set(|facts| {
                let kicked = person(Standing::Kicked, facts.version + 1, facts.version + 1);
                facts.people.insert(user(2), kicked);
            }),
            2 => party.set(|facts| facts.settings.readiness = ReadinessMode::Soft),
            _ => party.set(|facts| facts.settings.readiness = ReadinessMode::Off),
        }
        party.cluster.pass(SOON);
        assert!(party.film().is_running(), "{how}");
    }
}

#[test]
fn an_empty_room_is_held_no_more() {
    let mut party = Party::running(2);
    party.says(1, false);
    party.leaves(1);
    party.says(0, false);
    party.leaves(0);
    party.cluster.pass(1_000);
    let film = party.film();
    assert_eq!((film.is_playing, film.held_until), (false, None));
}

#[test]
fn a_pause_ends_a_hold_and_a_seek_moves_it() {
    let mut party = Party::running(2);
    party.says(1, false);
    let deadline = party.film().held_until;
    party.cluster.pass(1_000);
    party.command(Command::Seek(MediaTime::try_from(60.0).unwrap()));
    assert_eq!((party.film().held_until, party.film().time.secs()), (deadline, 60.0));
    party.command(Command::Play(None));
    assert_eq!(party.film().held_until, deadline, "nor does another play prolong it");
    party.command(Command::Pause(None));
    assert_eq!((party.film().is_playing, party.film().held_until), (false, None));
    party.says(1, true);
    party.cluster.pass(10_000);
    assert!(!party.film().is_playing);
}

#[test]
fn another_film_waits_for_everybody_anew() {
    let mut party = Party::running(2);
    party
        .set(|facts| facts.source = Some(Source { url: Some("http://x/b.mp4".into()), ..Source::default() }));
    party.cluster.pass(SOON);
    assert!(party.film().is_running(), "nothing was asked for yet");
    party.command(play(0.0));
    assert!(party.film().held_until.is_some());
    party.says(0, true);
    party.says(1, true);
    assert!(party.film().is_running());
    party.command(Command::Seek(MediaTime::try_from(60.0).unwrap()));
    assert!(party.film().is_running());
}

// ---- what goes wrong ----

#[test]
fn a_node_that_stops_keeps_no_room_waiting() {
    let mut party = Party::running(3);
    party.says(2, false);
    party.cluster.stop(2);
    assert!((8_000..=9_000).contains(&party.held_for()));
    // The node that held it is gone as well.
    let mut party = Party::strict(3);
    party.command(play(0.0));
    party.cluster.stop(0);
    assert!((15_000..=16_000).contains(&party.held_for()));
}

#[test]
fn when_the_dead_nodes_people_are_out_the_film_goes_on() {
    let mut party = Party::running(3);
    party.says(2, false);
    party.cluster.stop(2);
    party.cluster.holds_dead(0, 2);
    party.cluster.pass(100);
    assert!(party.film().is_running());
}

#[test]
fn what_no_event_told_is_found_with_the_next_comparison() {
    let mut party = Party::of(2, ReadinessMode::Soft);
    party.says(1, true);
    party.clear();
    party.cluster.deaf(0);
    party.says(1, false);
    party.cluster.pass(SOON);
    assert_eq!(party.readiness(0), None);
    party.cluster.compare(0);
    party.cluster.pass(SOON);
    assert_eq!(names(&party.readiness(0).unwrap()), ["u2"]);
}

#[test]
fn a_store_that_came_back_empty_is_told_again() {
    let mut party = Party::running(3);
    party.says(1, false);
    let held = party.film();
    party.cluster.lose_store();
    party.cluster.pass(1_000);
    party.cluster.empty_store();
    (0..3).for_each(|n| party.cluster.notices(n));
    (0..3).for_each(|n| party.cluster.compare(n));
    party.cluster.pass(3_000);
    let book = party.cluster.roster().book;
    assert_eq!(book.people.len(), 3);
    assert!(!book.people[&user(2)].is_ready);
    assert_eq!(party.film().held_until, held.held_until, "still held");
    party.says(1, true);
    assert!(party.film().is_running());
}

#[test]
fn a_start_waits_on_for_those_whom_a_new_store_thinks_newcomers() {
    let mut party = Party::strict(3);
    party.says(0, true);
    party.command(play(10.0));
    party.cluster.pass(1_000);
    party.cluster.lose_store();
    party.cluster.pass(1_000);
    party.cluster.empty_store();
    (0..3).for_each(|n| party.cluster.notices(n));
    (0..3).for_each(|n| party.cluster.compare(n));
    party.cluster.pass(5_000);
    assert!(party.film().held_until.is_some());
    party.says(1, true);
    party.says(2, true);
    assert!(party.film().is_running());
}

#[test]
fn while_the_store_is_away_a_hold_ends_as_soon_as_it_is_back() {
    let mut party = Party::running(2);
    party.says(1, false);
    party.cluster.lose_store();
    party.cluster.pass(20_000);
    party.cluster.empty_store();
    (0..2).for_each(|n| party.cluster.notices(n));
    (0..2).for_each(|n| party.cluster.compare(n));
    party.cluster.pass(1_000);
    assert!(party.film().is_running());
}

#[test]
fn a_crowd_is_named_in_part() {
    let mut party = Party::of(1, ReadinessMode::Strict);
    for n in 2..60 {
        party.cluster.join(0, n);
    }
    party.says(0, true);
    party.clear();
    party.command(play(0.0));
    party.cluster.pass(SOON);
    let told = party.readiness(0).unwrap();
    assert_eq!((names(&told).len(), &told["count"]), (20, &58.into()));
}
