//! In one process: what the standalone program uses, and tests of everything above the bus.

mod quota;
mod rooms;
mod roster;

pub use quota::MemoryQuota;
pub use rooms::MemoryRooms;
