//! The end of a room's chat, in order and without holes.
//!
//! Messages come over the bus, as answers to appends and from the api's history, doubled and in any order. What
//! follows the head is taken in; what lies beyond a gap is held until the gap is filled; the rest is known.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use streamit_domain::{UserId, chat};
use streamit_wire::frame::server;
use streamit_wire::v1;

use crate::ws;

/// Messages that may be held beyond a gap. Of more, the last are dropped: they are asked for once the gap is filled.
const MAX_HELD: usize = 256;

/// Bytes of frames that are kept while somebody catches up: more than a room's burst of the longest messages.
const MAX_BYTES: usize = 1024 * 1024;

/// What a resuming client can be given.
#[derive(Debug, PartialEq, Eq)]
pub enum Resume {
    /// Exactly the messages after `since`.
    From(u64),
    /// The last messages, as for a new member.
    Last,
    /// Not known before the api is asked for messages after this seq and, unless 0, before the second.
    Ask(u64, u64),
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    /// The `CHAT_MESSAGE` as it travels; a history is made of the same bytes.
    frame: Bytes,
    /// Who sent it under which client id, if it had one.
    key: Option<(UserId, Box<str>)>,
    /// When it was stored.
    created_at: i64,
    /// Whether only its place is left.
    is_erased: bool,
}

impl Entry {
    fn new(message: &v1::ChatMessage) -> Self {
        let user = UserId::from_slice(&message.user).ok().filter(|_| !message.client_id.is_empty());
        Self {
            seq: message.seq,
            frame: ws::text(&server::chat_message(message)),
            key: user.map(|user| (user, message.client_id.as_str().into())),
            created_at: message.created_at,
            is_erased: message.erased,
        }
    }
}

/// The end of a room's chat.
#[derive(Debug)]
pub struct Tail {
    epoch: u64,
    head: u64,
    kept_from: u64,
    /// The number of the last erasure that is known here.
    erasures: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    held: BTreeMap<u64, v1::ChatMessage>,
    /// The frame for new members; made again when something changed.
    history: Option<Bytes>,
}

impl Tail {
    /// A tail of the last messages, as the api told them.
    #[must_use]
    pub fn new(reply: v1::HistoryReply) -> Self {
        let mut tail = Self {
            epoch: reply.epoch,
            head: reply.head,
            kept_from: reply.kept_from,
            erasures: reply.erasures,
            entries: VecDeque::new(),
            bytes: 0,
            held: BTreeMap::new(),
            history: None,
        };
        for message in &reply.messages {
            tail.append(message);
        }
        tail
    }

    /// The highest seq without a hole before it.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The epoch of all this.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The highest seq that was seen, also beyond a gap, and when that message was stored; 0 if that is not known.
    #[must_use]
    pub fn last_seen(&self) -> (u64, i64) {
        let held = self.held.last_key_value().map(|(seq, message)| (*seq, message.created_at));
        let shown = || (self.head, self.entries.back().map_or(0, |entry| entry.created_at));
        held.unwrap_or_else(shown)
    }

    /// If another message was shown under the number of this one: when that was stored.
    #[must_use]
    pub fn contradicts(&self, message: &v1::ChatMessage) -> Option<i64> {
        let place = message.seq.checked_sub(self.first()).and_then(|i| usize::try_from(i).ok());
        let shown = place.and_then(|place| self.entries.get(place))?;
        (shown.created_at != message.created_at).then_some(shown.created_at)
    }

    /// The number of the last erasure that is known here.
    #[must_use]
    pub fn erasures(&self) -> u64 {
        self.erasures
    }

    /// Notes that all erasures up to this one are known.
    pub fn set_erasures(&mut self, number: u64) {
        self.erasures = number;
    }

    /// The oldest seq that is here.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.entries.front().map_or(self.head + 1, |entry| entry.seq)
    }

    /// Takes in messages and returns the frames that are to be shown now, in order, each with its seq.
    pub fn offer(&mut self, messages: impl IntoIterator<Item = v1::ChatMessage>) -> Vec<(u64, Bytes)> {
        let mut shown = Vec::new();
        for message in messages {
            if message.seq > self.head {
                // What was erased stays so, even if word of what it said comes later.
                if !self.held.get(&message.seq).is_some_and(|known| known.erased) {
                    self.held.insert(message.seq, message);
                }
                if self.held.len() > MAX_HELD {
                    self.held.pop_last(); // never what is missing next
                }
            }
            while let Some(next) = self.held.remove(&(self.head + 1)) {
                self.head = next.seq;
                self.append(&next);
                shown.extend(self.entries.back().map(|entry| (entry.seq, entry.frame.clone())));
            }
        }
        if !shown.is_empty() {
            self.history = None;
        }
        shown
    }

    /// The first seq that is held beyond a gap, if there is one.
    #[must_use]
    pub fn gap(&self) -> Option<u64> {
        self.held.keys().next().copied()
    }

    /// Puts older messages before the first one that is here; what does not fit seamlessly is ignored.
    pub fn prepend(&mut self, messages: &[v1::ChatMessage]) {
        for message in messages.iter().rev() {
            if message.seq + 1 != self.first() {
                continue;
            }
            let entry = Entry::new(message);
            self.bytes += entry.frame.len();
            self.entries.push_front(entry);
        }
    }

    /// Notes from which seq on messages are kept.
    pub fn kept_from(&mut self, seq: u64) {
        if seq <= self.kept_from {
            return;
        }
        self.kept_from = seq;
        while self.entries.front().is_some_and(|entry| entry.seq < seq) {
            self.drop_first();
        }
        self.history = None;
    }

    /// Replaces a message by its tombstone. Returns whether the message was shown before, as what it said.
    pub fn erase(&mut self, tombstone: &v1::ChatMessage) -> bool {
        let seq = tombstone.seq;
        let place = seq.checked_sub(self.first()).and_then(|i| usize::try_from(i).ok());
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) {
            if std::mem::replace(&mut entry.is_erased, true) {
                return false;
            }
            self.bytes -= entry.frame.len();
            entry.frame = ws::text(&server::chat_message(tombstone));
            self.bytes += entry.frame.len();
            self.history = None;
        }
        seq <= self.head
    }

    /// Which messages were taken back: who comes back may still show them.
    pub fn erased(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().filter(|entry| entry.is_erased).map(|entry| entry.seq)
    }

    fn append(&mut self, message: &v1::ChatMessage) {
        let entry = Entry::new(message);
        self.bytes += entry.frame.len();
        self.entries.push_back(entry);
        while self.entries.len() > chat::MAX_RESUME
            || (self.bytes > MAX_BYTES && self.entries.len() > chat::HISTORY)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        self.bytes -= self.entries.pop_front().map_or(0, |entry| entry.frame.len());
    }

    /// Lets go of what only somebody who is catching up could need.
    pub fn trim(&mut self) {
        while self.bytes > chat::MAX_RESUME_BYTES && self.entries.len() > chat::HISTORY {
            self.drop_first();
        }
    }

    /// The stored message that a user sent under this client id, if it is not long ago, with its seq.
    #[must_use]
    pub fn find(&self, user: UserId, client_id: &str) -> Option<(u64, Bytes)> {
        let same =
            |entry: &&Entry| entry.key.as_ref().is_some_and(|key| key.0 == user && &*key.1 == client_id);
        self.entries.iter().rev().find(same).map(|entry| (entry.seq, entry.frame.clone()))
    }

    /// What a client that has everything up to `since` can be given. `asked` tells that the api was asked already.
    #[must_use]
    pub fn resume(&self, since: u64, epoch: Option<u64>, asked: bool) -> Resume {
        if epoch.is_some_and(|epoch| epoch != self.epoch) {
            return Resume::Last;
        }
        if since > self.head {
            // Another node may have shown more than has come here yet.
            return if asked { Resume::Last } else { Resume::Ask(self.head, 0) };
        }
        // 0 means all that is kept; anything else must continue without a hole.
        let since = if since == 0 { self.kept_from.saturating_sub(1) } else { since };
        if since + 1 < self.kept_from || self.head.saturating_sub(since) > chat::MAX_RESUME as u64 {
            return Resume::Last;
        }
        if since + 1 < self.first() {
            return if asked { Resume::Last } else { Resume::Ask(since, self.first()) };
        }
        let bytes: usize = self.from(since + 1).map(|entry| entry.frame.len()).sum();
        if bytes > chat::MAX_RESUME_BYTES { Resume::Last } else { Resume::From(since) }
    }

    fn from(&self, seq: u64) -> impl Iterator<Item = &Entry> {
        let skip = seq.saturating_sub(self.first());
        self.entries.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// The `CHAT_HISTORY` of a member who gets the messages after `since`, or the last ones.
    pub fn history(&mut self, since: Option<u64>) -> Bytes {
        let (epoch, head) = (self.epoch, self.head);
        if let Some(since) = since {
            let frames = self.from(since + 1).map(|entry| ws::json_of(&entry.frame));
            return ws::text(&server::chat_history(frames, true, epoch, head));
        }
        if let Some(frame) = &self.history {
            return frame.clone();
        }
        let skip = self.entries.len().saturating_sub(chat::HISTORY);
        let frames = self.entries.iter().skip(skip).map(|entry| ws::json_of(&entry.frame));
        let frame = ws::text(&server::chat_history(frames, false, epoch, head));
        self.history = Some(frame.clone());
        frame
    }

    /// Frames from `seq` on, at most `most` and, but for the first, within `bytes`; `None` when the first of them is no
    /// longer here.
    #[must_use]
    pub fn frames(&self, seq: u64, most: usize, mut bytes: usize) -> Option<Vec<Bytes>> {
        let mut frames = Vec::new();
        for entry in self.from(seq).take(most) {
            if !frames.is_empty() && entry.frame.len() > bytes {
                break;
            }
            bytes = bytes.saturating_sub(entry.frame.len());
            frames.push(entry.frame.clone());
        }
        (seq >= self.first()).then_some(frames)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(seq: u64) -> v1::ChatMessage {
        v1::ChatMessage {
            seq,
            user: vec![7; 16],
            name: "Ana".into(),
            text: format!("message {seq}"),
            created_at: 1_700_000_000_000,
            ..v1::ChatMessage::default()
        }
    }

    fn tail(range: std::ops::RangeInclusive<u64>) -> Tail {
        let (head, kept_from) = (*range.end(), 1);
        Tail::new(v1::HistoryReply {
            messages: range.map(message).collect(),
            head,
            kept_from,
            epoch: 1,
            ..v1::HistoryReply::default()
        })
    }

    fn seqs(frames: &[Bytes]) -> Vec<u64> {
        frames
            .iter()
            .map(|f| {
                serde_json::from_str::<serde_json::Value>(ws::json_of(f)).unwrap()["seq"].as_u64().unwrap()
            })
            .collect()
    }

    fn numbers(shown: &[(u64, Bytes)]) -> Vec<u64> {
        let frames: Vec<Bytes> = shown.iter().map(|(_, frame)| frame.clone()).collect();
        assert_eq!(seqs(&frames), shown.iter().map(|(seq, _)| *seq).collect::<Vec<_>>());
        seqs(&frames)
    }

    fn listed(history: &Bytes) -> Vec<u64> {
        let history: serde_json::Value = serde_json::from_str(ws::json_of(history)).unwrap();
        history["messages"].as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()).collect()
    }

    #[test]
    fn what_lies_beyond_a_gap_waits_for_it() {
        let mut tail = tail(1..=3);
        assert!(tail.offer([message(5), message(3)]).is_empty());
        assert_eq!(tail.gap(), Some(5));
        assert_eq!(numbers(&tail.offer([message(4), message(4)])), [4, 5]);
        assert_eq!((tail.gap(), tail.head()), (None, 5));
    }

    #[test]
    fn a_gap_is_filled_however_much_lies_beyond_it() {
        let mut tail = tail(1..=1);
        assert!(tail.offer((3..3 + 2 * MAX_HELD as u64).map(message)).is_empty());
        let shown = numbers(&tail.offer([message(2)]));
        assert_eq!(shown.len(), MAX_HELD);
        assert_eq!((shown[0], tail.gap()), (2, None));
    }

    #[test]
    fn a_resume_gets_exactly_what_was_missed_or_the_last_fifty() {
        let mut tail = tail(101..=160);
        assert_eq!(tail.resume(155, Some(1), false), Resume::From(155));
        assert_eq!(listed(&tail.history(Some(155))), [156, 157, 158, 159, 160]);
        assert_eq!(tail.resume(160, None, false), Resume::From(160));
        assert_eq!(tail.resume(161, None, false), Resume::Ask(160, 0));
        assert_eq!(tail.resume(161, None, true), Resume::Last);
        assert_eq!(tail.resume(155, Some(2), false), Resume::Last);
        assert_eq!(tail.resume(90, None, false), Resume::Ask(90, 101));
        tail.prepend(&(91..=100).map(message).collect::<Vec<_>>());
        assert_eq!(tail.resume(90, None, true), Resume::From(90));
        assert_eq!(listed(&tail.history(None)).len(), 50);
        tail.kept_from(92);
        assert_eq!(tail.resume(90, None, true), Resume::Last);
        assert_eq!(tail.resume(0, None, true), Resume::From(91));
    }

    #[test]
    fn a_new_room_resumes_from_nothing() {
        let mut tail = Tail::new(v1::HistoryReply { epoch: 1, kept_from: 1, ..v1::HistoryReply::default() });
        assert_eq!(tail.resume(0, None, false), Resume::From(0));
        assert!(listed(&tail.history(Some(0))).is_empty());
        assert_eq!(numbers(&tail.offer([message(1)])), [1]);
    }

    #[test]
    fn too_many_missed_messages_are_not_resumed() {
        let tail = tail(1..=600);
        assert_eq!(tail.resume(99, None, false), Resume::Last);
        assert_eq!(tail.resume(100, None, false), Resume::From(100));
        assert!(tail.frames(100, 10, 1_000_000).is_none());
        assert_eq!(seqs(&tail.frames(595, 3, 1_000_000).unwrap()), [595, 596, 597]);
        assert_eq!(seqs(&tail.frames(595, 3, 1).unwrap()), [595]);
    }

    #[test]
    fn an_erased_message_leaves_its_place() {
        let mut tail = tail(1..=3);
        let tombstone = v1::ChatMessage { erased: true, ..message(2) };
        assert!(tail.erase(&tombstone));
        assert!(!tail.erase(&tombstone), "nobody has to be told again");
        let history = tail.history(Some(0));
        assert_eq!(listed(&history), [1, 2, 3]);
        let text = ws::json_of(&history);
        assert!(!text.contains("message 2") && text.contains("message 3") && text.contains("erased"));
    }

    #[test]
    fn what_was_erased_before_it_came_here_is_never_shown() {
        let mut tail = tail(1..=3);
        tail.offer([v1::ChatMessage { erased: true, ..message(5) }]);
        let shown = tail.offer([message(5), message(4)]);
        assert_eq!(numbers(&shown), [4, 5]);
        assert!(!ws::json_of(&shown[1].1).contains("message 5"));
    }

    proptest! {
        #[test]
        fn any_order_and_any_repeats_show_each_message_once_in_order(
            order in prop::collection::vec(1u64..60, 0..300)
        ) {
            let mut tail = Tail::new(v1::HistoryReply { epoch: 1, kept_from: 1, ..Default::default() });
            let mut shown = Vec::new();
            for seq in order.into_iter().chain(1..60) {
                shown.extend(numbers(&tail.offer([message(seq)])));
            }
            prop_assert_eq!(shown, (1..60).collect::<Vec<_>>());
        }
    }
}
