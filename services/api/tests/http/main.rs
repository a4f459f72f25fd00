//! The api as its clients and nodes see it: the whole router in process, on SQLite and live state in memory.

#![expect(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod support;

mod audit;
mod auth;
mod crowds;
mod generated;
mod grpc;
mod headers;
mod limits;
mod loss;
mod malformed;
mod moderation;
mod outages;
mod page;
mod panel;
mod plumbing;
#[path = "../../../shared/storage/tests/suite/proxy.rs"]
mod proxy;
mod retention;
mod rooms;
mod stopping;
mod succession;
mod sweeper;
