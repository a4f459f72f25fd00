//! A client that does as the protocol asks, and writes down what it sees.

mod life;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use self::life::{Life, Order};
use super::{Draw, Record};
use crate::{Person, Room};

/// How many orders wait for a viewer that has no connection. Who gives more waits with them.
const ORDERS: usize = 256;

/// Somebody who wants to stay in a room, whatever happens. Gone with its last handle.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Who it is.
    pub person: Person,
    orders: mpsc::Sender<Order>,
    record: Arc<Mutex<Record>>,
}

/// What a host does with the film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Play,
    Pause,
    Seek,
}

impl Viewer {
    /// Has a member come in, at first on this node.
    #[must_use]
    pub fn start(room: &Room, person: &Person, node: usize, draw: Draw) -> Self {
        let name = person.account.display_name.clone();
        let record = Record { name, wants_in: true, ..Record::default() };
        let record = Arc::new(Mutex::new(record));
        let (orders, taken) = mpsc::channel(ORDERS);
        tokio::spawn(Life::new(room, person, node, draw, taken, record.clone()).run());
        Self { person: person.clone(), orders, record }
    }

    /// What it has seen so far.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name in the room.
    #[must_use]
    pub fn name(&self) -> String {
        self.record().name.clone()
    }

    /// Says something that nobody says twice, and goes on saying it until it is known to be stored.
    pub async fn say(&self, text: &str) {
        self.record().unanswered += 1;
        self.order(Order::Say(text.to_owned())).await;
    }

    /// Gives a command, once: an old one would only surprise.
    pub(super) async fn directs(&self, command: Command, time: f64) {
        self.order(Order::Do(command, time)).await;
    }

    /// Goes to a position, as a host may.
    pub async fn seek(&self, time: f64) {
        self.directs(Command::Seek, time).await;
    }

    /// Says goodbye.
    pub async fn leave(&self) {
        {
            let mut record = self.record();
            (record.wants_in, record.has_left) = (false, true);
        }
        self.order(Order::Leave).await;
    }

    /// Comes back after a goodbye.
    pub async fn returns(&self) {
        self.record().wants_in = true;
        self.order(Order::Return).await;
    }

    /// Loses its connection without a word, and comes back by itself.
    pub async fn blinks(&self) {
        self.order(Order::Blink).await;
    }

    async fn order(&self, order: Order) {
        // Only a life that was told to stop takes no orders any more; the record tells.
        let _ = self.orders.send(order).await;
    }
}
