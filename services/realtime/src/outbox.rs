//! What waits to be written to one connection.
//!
//! The room actor puts frames in and never waits; the connection's task takes them out and writes all that is
//! there with one call. The queue is bounded twice, in frames and in bytes. A reader that is too slow loses
//! playback states that a newer one replaces; when anything else would have to be dropped the connection is
//! closed (4100) and resumes, so that nobody misses a message without knowing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use streamit_wire::code::close;
use tokio::sync::Notify;

/// Frames that may wait.
pub const MAX_FRAMES: usize = 64;
/// Bytes that may wait.
pub const MAX_BYTES: usize = 64 * 1024;
/// From so many waiting frames on, a newer playback state replaces an older one.
const CROWDED: usize = MAX_FRAMES / 4;

/// What a frame is, as far as a queue cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something that was said: must not be dropped.
    Chat,
    /// A state of playback: only the newest matters.
    Playback,
    /// A list of who is here, which may be larger than the budget: only the newest matters.
    List,
    /// Whose player is not ready: only the newest matters.
    Readiness,
    /// Anything else: must not be dropped.
    Other,
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code.
    pub code: u16,
    /// The close reason.
    pub reason: String,
    /// Whether what waits is written first.
    pub after_queue: bool,
    /// When the client may come back, in milliseconds, if the reason says so.
    pub retry_in_ms: Option<u64>,
}

impl Close {
    /// A close after all that waits has been written.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), after_queue: true, retry_in_ms: None }
    }

    /// A close that tells when to come back.
    #[must_use]
    pub fn retry(code: u16, retry_in_ms: u64) -> Self {
        let close = Self::new(code, format!(r#"{{"retry_in_ms":{retry_in_ms}}}"#));
        Self { retry_in_ms: Some(retry_in_ms), ..close }
    }
}

/// The queue of one connection, shared by its task and the room actor.
#[derive(Debug, Default)]
pub struct Outbox {
    inner: Mutex<Inner>,
    wake: Notify,
    /// When the client was last heard, in milliseconds of the node's uptime.
    heard: AtomicU64,
    /// When a part of what is stuck was written last, on the same clock.
    wrote: AtomicU64,
    /// The last round trip and the one before, in microseconds; 0 for none.
    round_trips: AtomicU64,
}

/// A frame that waits.
#[derive(Debug)]
struct Waiting {
    frame: Bytes,
    kind: Kind,
    /// When it was told to all nodes, in milliseconds of the node's uptime; 0 when that is not measured.
    since: u32,
}

#[derive(Debug, Default)]
struct Inner {
    /// The join frames: outside the budget, always first.
    join: VecDeque<Bytes>,
    /// Whether the room waits to hear that what is here has been written.
    joining: bool,
    queue: VecDeque<Waiting>,
    /// States of playback that made way for newer ones.
    replaced: u32,
    /// Of the queue and of what was taken from it but is not written yet.
    bytes: usize,
    /// The part of `bytes` that was taken.
    taken: usize,
    /// Whether a ping is due.
    ping: bool,
    close: Option<Close>,
}

/// What the connection's task finds to do.
#[derive(Debug, Default)]
pub struct Work {
    /// Frames to write, in order.
    pub frames: Vec<Bytes>,
    /// With the last of these frames all that the room waits for is out.
    pub joined: bool,
    /// Ping, too. Whoever writes makes the frame, at the moment from which he measures.
    pub ping: bool,
    /// What the first frame is whose delay is measured, and when it was told, in milliseconds of uptime.
    pub since: Option<(Kind, u32)>,
    /// States of playback that newer ones have replaced since the last time.
    pub replaced: u32,
    /// Close after writing them.
    pub close: Option<Close>,
}

impl Outbox {
    /// Puts the frames of a join in front of everything.
    pub fn join(&self, frames: impl IntoIterator<Item = Bytes>) {
        let mut inner = self.inner.lock();
        inner.join.extend(frames);
        inner.joining = true;
        drop(inner);
        self.wake.notify_one();
    }

    /// Puts a frame at the end. Returns `false` when the connection is (now) being closed.
    pub fn push(&self, frame: Bytes, kind: Kind) -> bool {
        self.push_since(frame, kind, 0)
    }

    /// The same with something that was told to all nodes at `since` (milliseconds of uptime, 0: not measured).
    pub fn push_since(&self, frame: Bytes, kind: Kind, since: u32) -> bool {
        let mut inner = self.inner.lock();
        if inner.close.is_some() {
            return false;
        }
        if kind == Kind::Playback && inner.queue.len() >= CROWDED {
            inner.drop_playback(0);
        }
        if inner.queue.len() >= MAX_FRAMES || inner.bytes + frame.len() > MAX_BYTES {
            // The newest state is replaced by a newer one only: nothing else tells it again.
            inner.drop_playback(usize::from(kind != Kind::Playback));
        }
        let fits = inner.queue.len() < MAX_FRAMES && inner.bytes + frame.len() <= MAX_BYTES;
        if fits {
            inner.bytes += frame.len();
            inner.queue.push_back(Waiting { frame, kind, since });
        } else {
            // What waits will not be read in time; the client gets it when it resumes.
            inner.clear();
            inner.close = Some(Close { after_queue: false, ..Close::retry(close::TOO_SLOW, 1_000) });
        }
        drop(inner);
        self.wake.notify_one();
        fits
    }

    /// Puts a chat frame at the end if there is room for it and for as much again of everything else; `false` when there
    /// is not. Then [`Work::joined`] tells when what waits has been taken, and the room gives the rest from its tail.
    pub fn push_chat(&self, frame: Bytes, since: u32) -> bool {
        let mut inner = self.inner.lock();
        let fits = inner.queue.len() < MAX_FRAMES / 2 && inner.bytes + frame.len() <= MAX_BYTES / 2;
        if inner.close.is_none() && fits {
            inner.bytes += frame.len();
            inner.queue.push_back(Waiting { frame, kind: Kind::Chat, since });
        }
        inner.joining |= !fits;
        drop(inner);
        self.wake.notify_one();
        fits
    }

    /// Puts a frame that says all there is to say of its kind at the end, outside the budget; one of the same kind that
    /// still waits is dropped for it.
    pub fn replace(&self, frame: Bytes, kind: Kind) {
        let mut inner = self.inner.lock();
        inner.queue.retain(|waiting| waiting.kind != kind);
        inner.queue.push_back(Waiting { frame, kind, since: 0 });
        drop(inner);
        self.wake.notify_one();
    }

    /// Asks for a ping. One that still waits is enough.
    pub fn ping(&self) {
        self.inner.lock().ping = true;
        self.wake.notify_one();
    }

    /// Ends the connection. The first close wins.
    pub fn close(&self, close: Close) {
        let mut inner = self.inner.lock();
        if inner.close.is_none() {
            inner.close = Some(close);
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Whether the connection is being closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.inner.lock().close.is_some()
    }

    /// How many frames wait, and how many bytes, the join's included. What was taken is not counted: nobody tells here when
    /// it is written.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        let joining = inner.join.iter().map(Bytes::len).sum::<usize>();
        (inner.join.len() + inner.queue.len(), inner.bytes - inner.taken + joining)
    }

    /// Takes what is to be written now. Whoever calls it has written all that he took before, so that together the
    /// queue and what is on its way stay within [`MAX_BYTES`].
    #[must_use]
    pub fn take(&self) -> Work {
        let mut inner = self.inner.lock();
        inner.bytes -= std::mem::take(&mut inner.taken);
        let mut work = Work { close: inner.close.clone(), ..Work::default() };
        if work.close.as_ref().is_some_and(|close| !close.after_queue) {
            inner.clear();
            return work;
        }
        work.joined = std::mem::take(&mut inner.joining);
        work.ping = std::mem::take(&mut inner.ping);
        work.frames.reserve_exact(inner.join.len() + inner.queue.len());
        work.frames.extend(std::mem::take(&mut inner.join));
        work.since = inner.queue.iter().find(|waiting| waiting.since > 0).map(|told| (told.kind, told.since));
        work.replaced = std::mem::take(&mut inner.replaced);
        work.frames.extend(inner.queue.drain(..).map(|waiting| waiting.frame));
        inner.taken = inner.bytes;
        if inner.queue.capacity() > 4 {
            inner.queue = VecDeque::new(); // an idle connection holds no buffers
        }
        work
    }

    /// Waits until there may be something to do. Cancel-safe.
    pub async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Notes that the client was heard at `now` (milliseconds of uptime).
    pub fn heard(&self, now: u64) {
        self.heard.store(now, Ordering::Relaxed);
    }

    /// Notes that the client took a part of what waits for it at `now` (milliseconds of uptime).
    pub fn wrote(&self, now: u64) {
        self.wrote.store(now, Ordering::Relaxed);
    }

    /// Notes that the client answered a ping within `took`. Only its own task tells so.
    pub fn answered(&self, took: Duration) {
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        let last = self.round_trips.load(Ordering::Relaxed) & u64::from(u32::MAX);
        self.round_trips.store(last << 32 | u64::from(took), Ordering::Relaxed);
    }

    /// How long a round trip to the client takes: the shorter one of the last two. A single long one is a client that was
    /// busy, or a packet that was lost; only the next one tells a line that has become slow.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        let both = self.round_trips.load(Ordering::Relaxed);
        let micros =
            [both >> 32, both & u64::from(u32::MAX)].into_iter().filter(|micros| *micros > 0).min()?;
        Some(Duration::from_micros(micros))
    }

    /// When the client last took a part of what was stuck (milliseconds of uptime).
    #[must_use]
    pub fn last_wrote(&self) -> u64 {
        self.wrote.load(Ordering::Relaxed)
    }

    /// When the client was last heard (milliseconds of uptime).
    #[must_use]
    pub fn last_heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// Drops all states of playback but the newest `kept`.
    fn drop_playback(&mut self, kept: usize) {
        let before = self.queue.len();
        let states = self.queue.iter().filter(|waiting| waiting.kind == Kind::Playback).count();
        let mut old = states.saturating_sub(kept);
        self.replaced += u32::try_from(old).unwrap_or(u32::MAX);
        self.queue.retain(|waiting| {
            let is_old = waiting.kind == Kind::Playback && old > 0;
            old -= usize::from(is_old);
            !is_old
        });
        if self.queue.len() != before {
            let counted =
                self.queue.iter().filter(|waiting| !matches!(waiting.kind, Kind::List | Kind::Readiness));
            self.bytes = self.taken + counted.map(|waiting| waiting.frame.len()).sum::<usize>();
        }
    }

    fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.join = VecDeque::new();
        self.bytes = self.taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: usize) -> Bytes {
        Bytes::from(vec![0; n])
    }

    #[test]
    fn chat_that_would_be_dropped_closes_instead() {
        let outbox = Outbox::default();
        for _ in 0..MAX_FRAMES {
            assert!(outbox.push(frame(1), Kind::Other));
        }
        assert!(!outbox.push(frame(1), Kind::Other));
        let work = outbox.take();
        assert_eq!(work.close.unwrap().code, 4100);
        assert!(work.frames.is_empty());
        assert!(!outbox.push(frame(1), Kind::Other));
    }

    #[test]
    fn one_long_round_trip_is_an_accident_and_two_are_the_line() {
        let (outbox, ms) = (Outbox::default(), Duration::from_millis);
        assert_eq!(outbox.round_trip(), None);
        for (took, expected) in [(40, 40), (900, 40), (30, 30), (300, 30), (310, 300), (0, 0)] {
            outbox.answered(ms(took));
            assert_eq!(outbox.round_trip().unwrap().as_millis(), expected, "after {took}");
        }
    }

    #[test]
    fn a_ping_waits_once_and_takes_no_place() {
        let outbox = Outbox::default();
        for _ in 0..MAX_FRAMES {
            outbox.push(frame(1), Kind::Other);
            outbox.ping();
        }
        let work = outbox.take();
        assert_eq!((work.ping, work.frames.len(), work.close), (true, MAX_FRAMES, None));
        assert!(!outbox.take().ping);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let outbox = Outbox::default();
        assert!(outbox.push(frame(MAX_BYTES), Kind::Other));
        assert!(!outbox.push(frame(1), Kind::Other));
    }

    #[test]
    fn what_is_being_written_counts_until_the_next_take() {
        let outbox = Outbox::default();
        outbox.push(frame(MAX_BYTES), Kind::Other);
        assert_eq!(outbox.take().frames.len(), 1);
        assert_eq!(outbox.take().frames.len(), 0);
        assert!(outbox.push(frame(MAX_BYTES), Kind::Other));
        assert_eq!(outbox.take().frames.len(), 1);
        assert!(!outbox.push(frame(1), Kind::Other));
    }

    #[test]
    fn a_slow_reader_keeps_only_the_newest_playback() {
        let outbox = Outbox::default();
        for _ in 0..CROWDED {
            assert!(outbox.push(frame(1), Kind::Other));
        }
        for n in 2..500 {
            assert!(outbox.push(frame(n), Kind::Playback));
        }
        let sizes: Vec<usize> = outbox.take().frames.iter().map(Bytes::len).collect();
        assert_eq!(sizes.len(), CROWDED + 1);
        assert_eq!(sizes.last(), Some(&499));
    }

    #[test]
    fn the_newest_playback_makes_way_for_nothing_else() {
        let outbox = Outbox::default();
        for n in [2, 3] {
            assert!(outbox.push(frame(n), Kind::Playback));
        }
        for _ in 2..MAX_FRAMES {
            assert!(outbox.push(frame(1), Kind::Other));
        }
        assert!(outbox.push(frame(1), Kind::Other), "the older state goes");
        assert_eq!(outbox.take().frames.iter().filter(|frame| frame.len() > 1).count(), 1);
        assert!(outbox.push(frame(2), Kind::Playback));
        for _ in 1..MAX_FRAMES {
            assert!(outbox.push(frame(1), Kind::Other));
        }
        assert!(!outbox.push(frame(1), Kind::Other), "rather than lose the last state he comes again");
    }

    #[test]
    fn a_reader_that_keeps_up_gets_each_state() {
        let outbox = Outbox::default();
        for _ in 0..10 {
            outbox.push(frame(1), Kind::Playback);
        }
        assert_eq!(outbox.take().frames.len(), 10);
    }

    #[test]
    fn join_frames_go_first_and_outside_the_budget() {
        let outbox = Outbox::default();
        outbox.push(frame(1), Kind::Other);
        outbox.join([frame(MAX_BYTES * 2), frame(3)]);
        let work = outbox.take();
        assert!(work.joined);
        assert_eq!(work.frames.iter().map(Bytes::len).collect::<Vec<_>>(), [MAX_BYTES * 2, 3, 1]);
        assert!(!outbox.take().joined);
    }

    #[test]
    fn chat_leaves_room_for_the_rest_and_is_told_when_it_may_go_on() {
        let outbox = Outbox::default();
        let fit = (0..200).filter(|_| outbox.push_chat(frame(1), 0)).count();
        assert_eq!(fit, MAX_FRAMES / 2);
        assert!(outbox.push(frame(1), Kind::Other));
        let work = outbox.take();
        assert!(work.joined && work.close.is_none());
        assert!(outbox.push_chat(frame(1), 0));
        assert!(!outbox.take().joined);
    }

    #[test]
    fn a_list_may_be_large_and_the_newest_replaces_the_others() {
        let outbox = Outbox::default();
        outbox.replace(frame(MAX_BYTES * 2), Kind::List);
        outbox.replace(frame(MAX_BYTES * 3), Kind::List);
        outbox.push(frame(1), Kind::Other);
        let sizes: Vec<usize> = outbox.take().frames.iter().map(Bytes::len).collect();
        assert_eq!(sizes, [MAX_BYTES * 3, 1], "in its place among the others");
    }

    #[test]
    fn a_slow_reader_is_not_put_out_by_players_that_come_and_go() {
        let outbox = Outbox::default();
        outbox.replace(frame(5), Kind::List);
        for n in 0..1_000 {
            outbox.replace(frame(n), Kind::Readiness);
        }
        let work = outbox.take();
        let sizes: Vec<usize> = work.frames.iter().map(Bytes::len).collect();
        assert_eq!((sizes.as_slice(), work.close), ([5, 999].as_slice(), None));
    }

    #[test]
    fn a_close_waits_for_the_queue_and_the_first_one_wins() {
        let outbox = Outbox::default();
        outbox.push(frame(1), Kind::Other);
        outbox.close(Close::new(4005, ""));
        outbox.close(Close::new(4011, ""));
        let work = outbox.take();
        assert_eq!((work.frames.len(), work.close.unwrap().code), (1, 4005));
    }
}
