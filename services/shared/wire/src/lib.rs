//! What travels: gRPC between the services, events on the bus, frames on the WebSocket, and the one table of
//! error codes that all of them use.
//!
//! The crate knows shapes, not rules. Values from outside become values of [`streamit_domain`] here, in
//! [`convert`] and [`frame`], or are refused; a message never enters the domain unread.

pub mod code;
pub mod convert;
pub mod frame;
pub mod rpc;
pub mod token;

pub use code::Code;
pub use token::Claims;

/// The generated messages and services of `proto/streamit/v1`.
#[expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated; documented in the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("streamit.v1");

    /// The compiled descriptors, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/streamit.bin"));
}
