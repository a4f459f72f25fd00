//! The receiving end of the bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use streamit_wire::v1;
use tokio::sync::mpsc;

use crate::{BookChange, RosterChange};

/// How many notices may wait for one room before news is lost (and asked for again).
pub const WAITING: usize = 256;

/// One piece of news.
#[derive(Clone, Debug)]
pub enum Notice {
    /// An event.
    Event(Arc<v1::Event>),
    /// Somebody came or went.
    Roster(Arc<RosterChange>),
    /// Somebody said something of his player.
    Book(Arc<BookChange>),
    /// The receiver was too slow and news was dropped: compare versions.
    Lost,
    /// The line that carries all subscriptions was made anew; what was told meanwhile was not heard. It comes with a doubt
    /// ([`crate::Rooms::doubts`]), so that all rooms are compared together rather than each asking for itself.
    Renewed,
}

/// News of one room, as it comes. Dropping it unsubscribes.
pub struct Subscription {
    receiver: mpsc::Receiver<Notice>,
    lost: Arc<AtomicBool>,
    _on_drop: Box<dyn Send + Sync>,
}

/// The bus's end of a [`Subscription`].
#[derive(Clone, Debug)]
pub struct Feed {
    sender: mpsc::Sender<Notice>,
    lost: Arc<AtomicBool>,
}

impl Feed {
    /// Hands over a notice without waiting. When the receiver is behind, the notice is dropped and the receiver is
    /// told that something was.
    pub fn push(&self, notice: Notice) {
        if self.sender.try_send(notice).is_err() {
            self.lost.store(true, Ordering::Release);
            // The receiver may have emptied the queue between the two lines above and sleep now without having
            // seen the flag. If so there is room, and this wakes it; if not, it has yet to look at the flag.
            let _ = self.sender.try_send(Notice::Lost);
        }
    }

    /// Whether nobody listens any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Subscription {
    /// A subscription, and the end to feed it. `on_drop` is dropped with it (the place to unsubscribe).
    #[must_use]
    pub fn new(on_drop: impl Send + Sync + 'static) -> (Feed, Self) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicBool::new(false));
        let feed = Feed { sender, lost: lost.clone() };
        (feed, Self { receiver, lost, _on_drop: Box::new(on_drop) })
    }

    /// The next notice; `None` when the bus has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Notice> {
        if self.lost.swap(false, Ordering::AcqRel) {
            return Some(Notice::Lost);
        }
        self.receiver.recv().await
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
