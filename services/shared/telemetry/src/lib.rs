//! What every program needs around its work, and nothing about that work: the time and randomness it is
//! given, logs, traces and metrics, its health, and how it is told to stop.
//!
//! A program is [`run`]. It starts with [`init`], hands a [`SharedClock`] and a [`SharedEntropy`] to its parts, fills a
//! [`Health`] while they come up, serves until [`shutdown::signal`] says stop, and lets the
//! [`Guard`] flush.
//! No part reads a clock or makes an id by itself (`clippy.toml` holds everybody to that).
//!
//! This crate must not know the domain.

mod clock;
mod counted;
mod ended;
mod entropy;
mod export;
mod health;
mod healthcheck;
mod http;
mod logs;
pub mod metrics;
mod sampling;
mod settings;
pub mod shutdown;
mod start;
pub mod trace;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use ended::run;
pub use entropy::{Entropy, SeededEntropy, SharedEntropy, SystemEntropy};
pub use health::{Check, Health};
pub use healthcheck::healthcheck;
pub use start::{Guard, Program, init};
