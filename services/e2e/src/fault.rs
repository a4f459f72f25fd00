//! Faults, made on purpose, while people watch and write down what they see.
//!
//! A [`Cluster`] is the real programs with a [`Proxy`] of ours on every line between them and to their clients, so
//! that each line can be slowed, blocked, narrowed and cut while it is in use, and with a hand on each process: killed,
//! stopped, continued, started again. A [`Viewer`] is a client that behaves as the protocol asks: it comes back when
//! it may, resumes where it was, sends again what was not acknowledged, and records all it sees. A [`Party`] is a room
//! full of them; when the faults are over it waits for quiet and holds the records against what was promised, with
//! [`crate::check`].
//!
//! ```no_run
//! # async fn story() {
//! use streamit_e2e::{Plan, fault::{Cluster, Party}};
//!
//! let cluster = Cluster::start(Plan::cluster(2, 3)).await;
//! let mut party = Party::open(&cluster, 9).await;
//! let talk = party.talk(5.0);
//! cluster.kill_node(1);
//! party.are_back().await;
//! talk.stop().await;
//! party.settle().await.assert_kept();
//! # }
//! ```

mod chaos;
mod cluster;
mod draw;
mod line;
mod party;
mod postgres;
mod proxy;
mod record;
mod redis;
mod script;
mod verdict;
mod viewer;

pub use chaos::Outcome;
pub use cluster::Cluster;
pub use draw::Draw;
pub use party::{Party, Talk};
pub use postgres::{Postgres, Snapshot};
pub use proxy::{Lane, Link, Proxy, Way, Weather};
pub use record::{Break, Record};
pub use redis::redis_says;
pub use script::{Act, Fault, Place, Script, What};
pub use verdict::{Verdict, percentile};
pub use viewer::Viewer;
