//! Where players were, when, as they told themselves; and how far they were apart.
//!
//! Every window writes down its player's position twenty times a second, each with the moment on the machine's clock.
//! All windows run on one machine, so that is one clock for all of them, and the room's own as well. No clock of the
//! product's takes part: if its idea of the room's time were wrong, these figures would show it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::watcher::Watcher;

/// How far apart two looks at a player may be for the position between them to be known, in milliseconds. A page that
/// was busy for longer has not been watched.
const GAP: f64 = 400.0;

/// Starts to write down, in a page. It keeps the last ten minutes.
const START: &str = r"
    const film = document.querySelector('#film');
    const log = window.measured = {samples: [], frames: []};
    const now = () => performance.timeOrigin + performance.now();
    const keep = (list, entry) => { list.push(entry); if (list.length > 15000) list.shift(); };
    setInterval(() => {
        const drift = window.streamit?.drift;
        keep(log.samples, {at: now(), position: film.currentTime, ready: film.readyState, rate: film.playbackRate,
            state: drift?.state, drift: drift?.drift});
    }, 50);
    const frame = (_, told) => {
        keep(log.frames, {at: performance.timeOrigin + told.expectedDisplayTime, position: told.mediaTime});
        film.requestVideoFrameCallback(frame);
    };
    film.requestVideoFrameCallback(frame);
";

/// One look at a player, or one frame that it has shown.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Look {
    /// On the machine's clock, in milliseconds since 1970.
    pub(crate) at: f64,
    /// In seconds of the film.
    pub(crate) position: f64,
    /// How much of the film was there, as `HTMLMediaElement.readyState` tells it.
    #[serde(default)]
    pub(crate) ready: u8,
    /// How fast it ran.
    #[serde(default)]
    pub(crate) rate: f64,
    /// What the page itself thought of it: where it was from the room, in seconds, and what it did about that.
    #[serde(default)]
    pub(crate) drift: Option<f64>,
    #[serde(default)]
    pub(crate) state: Option<String>,
}

/// What one player has done.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Track {
    pub(crate) samples: Vec<Look>,
    /// When each frame was due on the screen.
    pub(crate) frames: Vec<Look>,
}

/// Where the room says that the film is, on the machine's clock.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) is_playing: bool,
    pub(crate) time: f64,
    pub(crate) server_time: f64,
}

impl Line {
    pub(crate) fn position_at(&self, at: f64) -> f64 {
        let runs = if self.is_playing { (at - self.server_time).max(0.0) / 1000.0 } else { 0.0 };
        self.time + runs
    }
}

impl Track {
    /// Where the player was at a moment; nothing when it was not watched then.
    pub(crate) fn position_at(&self, at: f64) -> Option<f64> {
        between(&self.samples, at)
    }

    /// How far this player was from another at each of its looks in between, in milliseconds.
    pub(crate) fn apart_from(&self, other: &Self, from: f64, to: f64) -> Vec<(f64, f64)> {
        self.compared(from, to, |at| other.position_at(at))
    }

    /// How far it was from the room.
    pub(crate) fn apart_from_room(&self, room: &Line, from: f64, to: f64) -> Vec<(f64, f64)> {
        self.compared(from, to, |at| Some(room.position_at(at)))
    }

    /// How far the frames on its screen were from those on another, with the other's moving on evenly from one to the
    /// next.
    pub(crate) fn frames_apart(&self, other: &Self, from: f64, to: f64) -> Vec<(f64, f64)> {
        compare(&self.frames, from, to, |at| between(&other.frames, at))
    }

    fn compared(&self, from: f64, to: f64, other: impl Fn(f64) -> Option<f64>) -> Vec<(f64, f64)> {
        compare(&self.samples, from, to, other)
    }

    /// How many seconds of film it has played; players that stand still are never apart.
    pub(crate) fn played(&self, from: f64, to: f64) -> f64 {
        let mut inside = self.samples.iter().filter(|look| (from..=to).contains(&look.at));
        let first = inside.next().map_or(0.0, |look| look.position);
        inside.next_back().map_or(first, |look| look.position) - first
    }

    /// For how long at most nobody looked at this player and, at the same time, at the other, in milliseconds. Pages
    /// of two browsers that stand still together were not run by the machine.
    pub(crate) fn stood_still_with(&self, other: &Self, from: f64, to: f64) -> f64 {
        let both = self.gaps(from, to).flat_map(|(start, end)| {
            other.gaps(from, to).map(move |(first, last)| end.min(last) - start.max(first))
        });
        both.fold(0.0, f64::max)
    }

    fn gaps(&self, from: f64, to: f64) -> impl Iterator<Item = (f64, f64)> {
        let inside = move |pair: &&[Look]| pair[0].at >= from && pair[1].at <= to;
        self.samples.windows(2).filter(inside).map(|pair| (pair[0].at, pair[1].at))
    }

    /// Each fifth look in between, in words, for whoever reads a failure.
    pub(crate) fn tell(&self, room: &Line, from: f64, to: f64) -> String {
        let inside = self.samples.iter().filter(|look| (from..=to).contains(&look.at)).step_by(5);
        let line = |look: &Look| {
            format!(
                "{:6.0} ms: {:+7.1} ms from the room, it thought {:+7.1} ms; ready {}, rate {:.3}, {}",
                look.at - from,
                (look.position - room.position_at(look.at)) * 1000.0,
                look.drift.unwrap_or(f64::NAN) * 1000.0,
                look.ready,
                look.rate,
                look.state.as_deref().unwrap_or("no controller"),
            )
        };
        inside.map(line).collect::<Vec<_>>().join("\n")
    }

    /// The first moment at which the film could play.
    pub(crate) fn could_play_at(&self) -> Option<f64> {
        self.samples.iter().find(|look| look.ready >= 3).map(|look| look.at)
    }
}

fn compare(looks: &[Look], from: f64, to: f64, other: impl Fn(f64) -> Option<f64>) -> Vec<(f64, f64)> {
    let inside = looks.iter().filter(|look| (from..=to).contains(&look.at));
    inside.filter_map(|look| Some((look.at, (look.position - other(look.at)?).abs() * 1000.0))).collect()
}

fn between(looks: &[Look], at: f64) -> Option<f64> {
    let next = looks.partition_point(|look| look.at <= at);
    let (before, after) = (looks.get(next.checked_sub(1)?)?, looks.get(next)?);
    let wide = after.at - before.at;
    let share = if wide > 0.0 { (at - before.at) / wide } else { 0.0 };
    (wide <= GAP).then_some(before.position + share * (after.position - before.position))
}

/// The value that this share of them is not above.
///
/// # Panics
/// When there are none: nothing measured is nothing kept.
pub(crate) fn percentile(of: &[(f64, f64)], share: f64) -> f64 {
    let mut values: Vec<f64> = of.iter().map(|(_, value)| *value).collect();
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let at = (values.len() as f64 * share).ceil() as usize;
    values[at.clamp(1, values.len()) - 1]
}

/// How long after `from` all of them were within `limit` for good, in milliseconds.
pub(crate) fn settled_after(from: f64, of: &[(f64, f64)], limit: f64) -> f64 {
    let last_beyond = of.iter().rev().find(|(_, value)| *value > limit);
    last_beyond.map_or(0.0, |(at, _)| at - from)
}

/// Has each page begin to write down.
pub(crate) async fn watch(watcher: &Watcher) {
    watcher.run(START, json!([])).await;
}

/// What a page has written down so far.
pub(crate) async fn track(watcher: &Watcher) -> Track {
    watcher.value("measured").await
}

/// Where the room is, as the server has told this page.
pub(crate) async fn room(watcher: &Watcher) -> Line {
    watcher.value("streamit.room.playback").await
}

/// The machine's clock as a page reads it, in milliseconds since 1970.
///
/// # Panics
/// When somebody has set that clock since the page was loaded: then pages do not agree, and nothing can be measured.
pub(crate) async fn now(watcher: &Watcher) -> f64 {
    /// `Date.now()` tells whole milliseconds.
    const SAME: f64 = 3.0;
    let clocks = "[performance.timeOrigin + performance.now(), Date.now()]";
    let (monotonic, wall): (f64, f64) = watcher.value(clocks).await;
    assert!((monotonic - wall).abs() < SAME, "the machine's clock was set while pages were open");
    monotonic
}

/// Lets the films run for as long as they are to be measured.
pub(crate) async fn for_a_while(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A player at this lead, in milliseconds, looked at each `step`.
    fn player(lead: f64, first: f64, step: f64) -> Track {
        let look = |i: u32| {
            let at = first + f64::from(i) * step;
            Look { at, position: (at + lead) / 1000.0, ready: 4, rate: 1.0, drift: None, state: None }
        };
        Track { samples: (0..200).map(look).collect(), frames: (0..200).map(look).collect() }
    }

    #[test]
    fn players_that_are_looked_at_at_different_moments_are_compared_at_the_same() {
        let (a, b) = (player(0.0, 10_000.0, 50.0), player(30.0, 10_017.0, 48.0));
        let apart = a.apart_from(&b, 11_000.0, 15_000.0);
        assert!(apart.len() > 70, "{}", apart.len());
        assert!(apart.iter().all(|(_, value)| (value - 30.0).abs() < 0.001));
        assert!((a.played(11_000.0, 15_000.0) - 4.0).abs() < 0.1);
    }

    #[test]
    fn nothing_is_made_up_where_a_player_was_not_watched() {
        let a = player(0.0, 10_000.0, 50.0);
        let b = player(0.0, 10_000.0, 500.0);
        assert!(a.apart_from(&b, 11_000.0, 15_000.0).is_empty());
        assert_eq!(a.position_at(9_000.0), None);
        assert_eq!(a.position_at(99_000.0), None);
    }

    #[test]
    fn a_machine_that_stood_still_is_told_from_one_page_that_did() {
        let (mut a, mut b) = (player(0.0, 10_000.0, 50.0), player(0.0, 10_020.0, 50.0));
        a.samples.retain(|look| !(12_010.0..12_300.0).contains(&look.at));
        assert!(a.stood_still_with(&b, 11_000.0, 15_000.0) < 60.0);
        b.samples.retain(|look| !(12_110.0..12_400.0).contains(&look.at));
        assert!((a.stood_still_with(&b, 11_000.0, 15_000.0) - 230.0).abs() < 0.001);
        assert!(a.stood_still_with(&b, 13_000.0, 15_000.0) < 60.0);
    }

    #[test]
    fn settled_is_what_stays_so() {
        let of = [(0.0, 500.0), (100.0, 10.0), (200.0, 90.0), (300.0, 10.0)];
        assert!((settled_after(0.0, &of, 80.0) - 200.0).abs() < 0.001);
        assert!((percentile(&of, 0.5) - 10.0).abs() < 0.001);
        assert!((percentile(&of, 0.95) - 500.0).abs() < 0.001);
    }

    #[test]
    fn a_room_that_starts_a_moment_later_stands_still_until_then() {
        let room = Line { is_playing: true, time: 42.0, server_time: 1000.0 };
        assert!((room.position_at(900.0) - 42.0).abs() < 0.001);
        assert!((room.position_at(3000.0) - 44.0).abs() < 0.001);
    }
}
