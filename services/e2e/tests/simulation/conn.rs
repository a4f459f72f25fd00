//! The node's end of connections, as `socket.rs` and `upgrade.rs` have them.

use std::sync::Arc;
use std::time::Duration;

use streamit_domain::ConnectionId;
use streamit_realtime::outbox::Outbox;
use streamit_realtime::room::GRACE_MS;
use streamit_realtime::room::effect::{Gone, Input};
use streamit_realtime::ws;
use streamit_wire::code::close;

use crate::node::At;
use crate::world::{World, note};

/// The node's end of a connection.
pub(crate) struct Conn {
    pub(crate) client: usize,
    /// Which of the client's connections it is.
    pub(crate) number: u32,
    /// The room it is in, by the count of openings.
    pub(crate) room: u32,
    pub(crate) outbox: Arc<Outbox>,
    /// The peer takes nothing until then, and what it was given is on its way so long.
    pub(crate) stuck_until: u64,
    is_writing: bool,
    arrives_at: u64,
}

impl World {
    pub(crate) fn open_conn(&mut self, n: usize, client: usize, number: u32) -> ConnectionId {
        let up = self.now_of(n).up;
        let node = &mut self.nodes[n];
        node.next_connection += 1;
        let id = ConnectionId(node.next_connection);
        let outbox = Arc::new(Outbox::default());
        outbox.heard(up);
        let arrives_at = self.now;
        let conn = Conn { client, number, room: 0, outbox, stuck_until: 0, is_writing: false, arrives_at };
        node.conns.insert(id, conn);
        id
    }

    /// Numbers a connection that is about to join: of two rooms that follow on each other the later one has the higher
    /// numbers.
    pub(crate) fn number_conn(&mut self, n: usize, id: ConnectionId) -> Option<ConnectionId> {
        let node = &mut self.nodes[n];
        let conn = node.conns.remove(&id)?;
        node.next_connection += 1;
        let id = ConnectionId(node.next_connection);
        if let Some(link) = self.clients[conn.client].link.as_mut().filter(|link| link.number == conn.number)
        {
            link.id = id;
        }
        self.nodes[n].conns.insert(id, conn);
        Some(id)
    }

    /// A client's connection ends, whatever its number is by now.
    pub(crate) fn hang_up_on(&mut self, n: usize, client: usize, number: u32, how: Gone, told: Option<u16>) {
        let is_it = |conn: &Conn| conn.client == client && conn.number == number;
        let id = self.nodes[n].conns.iter().find(|(_, conn)| is_it(conn)).map(|(id, _)| *id);
        if let Some(id) = id {
            self.hang_up(n, id, how, told);
        }
    }

    /// The node's end of a connection ends; `told` is what its peer hears of it.
    pub(crate) fn hang_up(&mut self, n: usize, id: ConnectionId, how: Gone, told: Option<u16>) {
        let Some(conn) = self.nodes[n].conns.remove(&id) else { return };
        note!(self, "{}: connection {id} of c{} ends: {how:?}, {told:?}", self.at(n), conn.client);
        self.client_is_missed(conn.client, conn.number);
        // Put out, or gone on purpose, which it may not come to know.
        self.clients[conn.client].is_steady &= how != Gone::Now;
        let told = told.filter(|_| conn.stuck_until <= self.now);
        let wait = conn.arrives_at.saturating_sub(self.now);
        self.tell_end(wait, conn.client, conn.number, told);
        self.input(n, conn.room, Input::Gone(id, how));
    }

    pub(crate) fn pump_all(&mut self, n: usize) {
        let ids: Vec<ConnectionId> = self.nodes[n].conns.keys().copied().collect();
        for id in ids {
            self.pump(n, id);
        }
    }

    /// Writes what waits for a connection, unless it still takes what it was given before.
    pub(crate) fn pump(&mut self, n: usize, id: ConnectionId) {
        let (at, now) = (self.at(n), self.now);
        let Some(conn) = self.nodes[n].conns.get_mut(&id) else { return };
        if conn.is_writing && !conn.outbox.is_closing() {
            return;
        }
        let mut work = conn.outbox.take();
        if work.ping {
            work.frames.insert(0, ws::ping(&now.to_be_bytes()));
        }
        let is_stuck = now < conn.stuck_until;
        let (client, number) = (conn.client, conn.number);
        if !work.frames.is_empty() || work.joined {
            let way = self.latency();
            let Some(conn) = self.nodes[n].conns.get_mut(&id) else { return };
            conn.arrives_at = conn.arrives_at.max(now + way).max(conn.stuck_until);
            let wait = conn.arrives_at - now;
            if !work.frames.is_empty() {
                self.bring_frames(wait, client, number, work.frames);
            }
            if work.close.is_none() {
                // Taken at once, unless the peer is slow.
                let taken = if is_stuck { wait } else { 0 };
                self.nodes[n].conns.entry(id).and_modify(|conn| conn.is_writing = true);
                self.on_node_in(taken, at, move |world| world.written(at, id, work.joined));
                return;
            }
        }
        if let Some(close) = work.close {
            let how = match close.code {
                close::RESTART => {
                    let hint = close.retry_in_ms.unwrap_or(0) + GRACE_MS;
                    Gone::At(self.room_time().plus(Duration::from_millis(hint)))
                }
                4000..=4099 => Gone::Now,
                _ => Gone::Grace,
            };
            self.hang_up(n, id, how, Some(close.code));
        }
    }

    fn written(&mut self, at: At, id: ConnectionId, joined: bool) {
        let Some(conn) = self.nodes[at.node].conns.get_mut(&id) else { return };
        conn.is_writing = false;
        if joined {
            self.input_of(at.node, id, Input::Flushed(id));
        }
        self.pump(at.node, id);
    }
}
