//! In one process.
