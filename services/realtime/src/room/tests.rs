//! The room as a value: inputs in, frames and effects out, no task and no clock.

mod chat;
mod cluster;
mod erasures;
mod holds;
mod inspect;
mod joining;
mod loss;
mod lost_store;
mod patience;
mod paused_node;
mod playback;
mod presence;
mod readiness;
mod succession;
mod world;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use streamit_bus::{
    Cas, Entry, EntryKey, Error, LiveVersions, Notice, Present, Roster, RosterChange, RosterEntry,
};
use streamit_domain::playback::Command;
use streamit_domain::room::{Access, Life, Person, Role, Settings, Standing};
use streamit_domain::{DisplayName, MediaTime, SessionId, Timestamp};
use streamit_wire::frame::client::Frame as ClientFrame;
use uuid::Uuid;

use super::effect::{Away, Gone, Resume};
use super::*;
use crate::outbox::Outbox;
use world::*;
