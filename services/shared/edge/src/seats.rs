//! How many sockets a process may hold.
//!
//! Every socket is a file descriptor, and so is every connection to Redis, the api and the database. Clients may take
//! all but a reserve, so that what serves those who are here goes on when too many come.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The part of all descriptors that clients are not given: an eighth, within these bounds.
const RESERVE: std::ops::RangeInclusive<usize> = 64..=1_024;
/// What counts as no limit.
const UNLIMITED: usize = 1 << 20;

/// The seats of a process.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: AtomicUsize,
    /// From so many on, whoever can be told to come back later is.
    crowded: usize,
    /// So many and no more.
    most: usize,
}

impl Seats {
    /// As many as this process has descriptors for, after it has raised its limit as far as it may.
    pub(crate) fn of_process() -> Arc<Self> {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
        let descriptors =
            limit.current.and_then(|limit| usize::try_from(limit).ok()).map_or(UNLIMITED, |limit| limit);
        let seats = Self::of(descriptors);
        tracing::info!(descriptors, connections = seats.crowded, "file descriptors");
        seats
    }

    /// So many, whatever the process has.
    pub(crate) fn few(most: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), crowded: most, most })
    }

    fn of(descriptors: usize) -> Arc<Self> {
        let reserve = (descriptors / 8).clamp(*RESERVE.start(), *RESERVE.end());
        let left = |reserve| descriptors.saturating_sub(reserve).max(1);
        Arc::new(Self { taken: AtomicUsize::new(0), crowded: left(reserve), most: left(reserve / 2) })
    }

    /// A seat, unless there is none.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Seat> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        // Made before it is looked at, so that it is given back either way.
        let seat = Seat(Arc::new(Held(self.clone())));
        (taken < self.most).then_some(seat)
    }
}

/// A socket's place in the count, held until its last clone is dropped. Whoever takes a socket out of its request takes
/// this along; it is in the request's extensions.
#[derive(Clone, Debug)]
pub struct Seat(Arc<Held>);

#[derive(Debug)]
struct Held(Arc<Seats>);

impl Seat {
    /// Whether so many seats are taken that newcomers should be told to come back later.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        let seats = &self.0.0;
        seats.taken.load(Ordering::Relaxed) > seats.crowded
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A descriptor that is kept so that there is one when there are none: a connection can then still be taken and closed,
/// where it would otherwise wait for an answer that does not come.
#[derive(Debug)]
pub(crate) struct Spare(Option<File>);

impl Spare {
    pub(crate) fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Makes room for one descriptor. Returns whether there was any to make.
    pub(crate) fn give(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes it back, if that is possible now.
    pub(crate) fn take_back(&mut self) {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_told_to_wait_before_there_is_no_seat_and_seats_are_given_back() {
        let seats = Seats::of(132);
        let mut held: Vec<Seat> = (0..68).map(|_| seats.take().unwrap()).collect();
        assert!(!held[0].is_crowded());
        held.push(seats.take().unwrap());
        assert!(held[0].is_crowded());
        held.extend((69..100).map(|_| seats.take().unwrap()));
        assert!(seats.take().is_none() && seats.take().is_none());
        let clone = held[0].clone();
        held.truncate(1);
        drop(held);
        assert_eq!(seats.taken.load(Ordering::Relaxed), 1, "an upgraded connection holds a clone");
        drop(clone);
        assert_eq!(seats.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn many_descriptors_need_no_large_reserve_and_few_leave_a_seat() {
        assert_eq!(Seats::of(1 << 20).crowded, (1 << 20) - 1_024);
        assert_eq!(Seats::of(8).crowded, 1);
    }
}
