//! What both public ends (HTTP and WebSocket) need to face the internet: who is calling through which proxies, from
//! which page, and a socket loop that slow or broken clients can't hold up.
//!
//! It knows nothing of rooms or people, and must not: what a caller may do is decided elsewhere.

mod headers;
mod options;
mod origin;
mod peer;
pub mod pem;
mod rest;
mod scrape;
mod seats;
mod secret;
mod serve;
mod stall;

pub use headers::with_headers;
pub use options::{Limits, Metrics, Origins, Proxies};
pub use origin::is_allowed;
pub use peer::Peer;
pub use scrape::metrics;
pub use seats::Seat;
pub use secret::SecretFile;
pub use serve::{listen, serve};
pub use stall::Stream;
