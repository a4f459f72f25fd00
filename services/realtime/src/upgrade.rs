//! The way in: `GET /ws/room/<code>/?token=<JWT>`.
//!
//! The upgrade is accepted and then closed with a code, because a browser can read no other answer. A refusal is
//! decided in the order 4001 (token), 4002 (room), 4010 (banned), 4003 (not approved).

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use streamit_bus::Quota;
use streamit_domain::rate::Rate;
use streamit_domain::{RoomCode, RoomId};
use streamit_edge::{Peer, Seat, Stream, is_allowed};
use streamit_telemetry::trace::Cause;
use streamit_wire::code::close;
use streamit_wire::{Code, v1};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use crate::app::{App, problem};
use crate::door::Pass;
use crate::metrics::{self, Arrival, Phase, Reason};
use crate::node::Node;
use crate::node::connections::OfUser;
use crate::outbox::{Close, Outbox};
use crate::room::effect::{Away, Joiner, Resume};
use crate::session::Session;
use crate::socket::{self, Place, Socket};
use crate::token::Refused;
use crate::ws::handshake;

/// How long the way in may take after the upgrade.
const ADMISSION: Duration = Duration::from_secs(8);
/// When to come back if there is no capacity now, in milliseconds; as much again by chance.
const RETRY_MS: u64 = 1_000;
/// Codes of rooms that do not exist: 60 a minute for each address.
const GUESSES: Rate = Rate::per_minute(60);
/// When to come back with too many connections, in milliseconds.
const TOO_MANY_RETRY_MS: u64 = 10_000;

/// What a client asks for.
struct Ask {
    code: String,
    token: Option<String>,
    resume: Option<Resume>,
    address: Peer,
    /// The socket's place in the count of descriptors, when it came through a door that counts.
    seat: Option<Seat>,
}

/// Accepts the upgrade and lets the client in, or tells why not.
pub async fn upgrade(
    State(app): State<App>,
    code: Result<Path<String>, PathRejection>,
    mut request: Request,
) -> Response {
    // What is not text names no room, and is told so like any other code.
    let code = code.map_or_else(|_| String::new(), |Path(code)| code);
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let seat = request.extensions_mut().remove::<Seat>();
    let (parts, _body) = request.into_parts();
    if !is_allowed(&parts, &app.allowed_origins) {
        app.node.metrics.rejected(Reason::Origin);
        return problem(Code::CrossSite);
    }
    let (Some(accept), Some(on_upgrade)) = (handshake::accept(&parts.headers), on_upgrade) else {
        app.node.metrics.rejected(Reason::Malformed);
        let mut response = problem(Code::NotWebSocket);
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    };
    // Before the upgrade a proxy can ask the next node, after it nobody can. It need not know that this one is not ready, and
    // one that sends people where the fewest are would send all of them back here.
    if app.node.is_shut() && Peer::is_proxied(&parts, &app.trusted_proxies) {
        app.node.metrics.rejected(Reason::Unavailable);
        let mut response = problem(Code::TryAgain);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    let (token, resume) = query(parts.uri.query().unwrap_or_default());
    let address = Peer::of_request(&parts, &app.trusted_proxies);
    drop(parts); // whoever waits at the door holds what is needed of them, and no more
    let ask = Ask { code, token, resume, address, seat };
    let node = app.node.clone();
    let cause = Cause::of(Span::current());
    app.node.background.spawn(async move {
        let Ok(upgraded) = on_upgrade.await else { return node.metrics.rejected(Reason::Gone) };
        let Some((stream, early)) = take_apart(upgraded) else {
            return node.metrics.rejected(Reason::Internal);
        };
        if let Err(fault) =
            AssertUnwindSafe(serve(node.clone(), ask, cause, stream, early)).catch_unwind().await
        {
            node.metrics.fault(metrics::Place::Connection);
            resume_unwind(fault);
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .unwrap_or_else(|_| problem(Code::Internal))
}

/// The socket below a connection that hyper has upgraded, and what was read of it already.
fn take_apart(upgraded: Upgraded) -> Option<(TcpStream, Bytes)> {
    let Ok(parts) = downcast::<TokioIo<Stream>>(upgraded) else {
        tracing::error!("a WebSocket came over something that is not TCP");
        return None;
    };
    // Registered anew, because the runtime remembers the task that waited for the socket last: as long as it does, that
    // task's 2 KiB stay, although it has ended.
    let stream = parts.io.into_inner().into_inner().into_std().and_then(TcpStream::from_std).ok()?;
    // Copied, because hyper's buffer is large and mostly empty: kept, it would cost every idle connection 16 KiB.
    Some((stream, Bytes::copy_from_slice(&parts.read_buf)))
}

/// Reads `token`, `since` and `epoch`. What can't be read counts as malformed, never as missing.
fn query(query: &str) -> (Option<String>, Option<Resume>) {
    let (mut token, mut since, mut epoch) = (None, None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "token" => token = Some(value.into_owned()),
            "since" => since = Some(value.parse::<u64>().ok()),
            "epoch" => epoch = Some(value.parse::<u64>().unwrap_or(u64::MAX)),
            _ => {}
        }
    }
    (token, since.map(|since| Resume { since, epoch, asks: 0, asked: false }))
}

async fn serve(node: Arc<Node>, mut ask: Ask, cause: Cause, stream: TcpStream, early: Bytes) {
    // Both counted until the last byte is out, also of a refusal.
    let seat = ask.seat.take();
    let Some(_from) = node.connections.open_from(ask.address.limit_key(), node.limits) else {
        node.metrics.rejected(Reason::Limit);
        return socket::refuse(&stream, &too_many()).await;
    };
    let since = Instant::now();
    let outbox = Arc::new(Outbox::default());
    // Boxed, since it is large and soon over, and the rest of this lasts as long as the connection.
    // The trace of a request ends with the way in, or it would last as long as the connection.
    let span = cause.or_none();
    let entered = Box::pin(let_in(&node, ask, seat.as_ref(), &outbox).instrument(span)).await;
    drop(cause);
    let admitted = match entered {
        Ok(admitted) => admitted,
        Err((refused, why)) => {
            node.metrics.rejected(why);
            tracing::debug!(code = refused.code, "a connection was refused");
            return socket::refuse(&stream, &refused).await;
        }
    };
    let session = Session::new(node.limits);
    let Admitted { place, pass, user } = admitted;
    let socket = Socket {
        node,
        user: user.id(),
        place,
        outbox,
        session,
        pass: Some(pass),
        arrival: Some(Arrival::new(since)),
    };
    socket.run(stream, early).await;
}

/// How somebody is turned away, and why.
type Refusal = (Close, Reason);

/// What keeps a connection counted while it lives.
struct Admitted {
    place: Place,
    /// Until the room has answered.
    pass: Pass,
    user: OfUser,
}

/// Waits for a turn at the door, then for everything that is asked there.
async fn let_in(
    node: &Arc<Node>,
    ask: Ask,
    seat: Option<&Seat>,
    outbox: &Arc<Outbox>,
) -> Result<Admitted, Refusal> {
    let come_back = |in_ms, why| (Close::retry(Code::TryAgain.close(), in_ms), why);
    let (up, chance) = (node.now().up, node.random_below(u64::MAX));
    if seat.is_some_and(Seat::is_crowded) {
        return Err(come_back(node.door.come_back(up, chance), Reason::Full));
    }
    let since = Instant::now();
    let mut pass = node.door.enter(up, chance).await.map_err(|in_ms| come_back(in_ms, Reason::Busy))?;
    node.metrics.came(Phase::Door, since.elapsed());
    outbox.heard(node.now().up);
    let entered = tokio::time::timeout(ADMISSION, enter(node, ask, outbox, &mut pass)).await;
    let (place, user) = entered.unwrap_or_else(|_| Err(no_capacity(node)))?;
    Ok(Admitted { place, pass, user })
}

async fn enter(
    node: &Arc<Node>,
    ask: Ask,
    outbox: &Arc<Outbox>,
    pass: &mut Pass,
) -> Result<(Place, OfUser), Refusal> {
    if node.is_shut() {
        let close = Close::retry(close::RESTART, 1 + node.random_below(RETRY_MS));
        return Err((close, Reason::Unavailable));
    }
    let refuse = |code: Code, why: Reason| (Close::new(code.close(), code.as_str()), why);
    let address = ask.address.limit_key();

    let token = ask.token.ok_or_else(|| refuse(Code::Unauthenticated, Reason::Token))?;
    let asked = Instant::now();
    let claims = node.keys.verify(&token, node.room_time(), &node.api).await.map_err(|why| match why {
        Refused::Bad => refuse(Code::Unauthenticated, Reason::Token),
        Refused::Unknown => no_capacity(node),
    })?;
    node.metrics.came(Phase::Token, asked.elapsed());
    if let Some(wait) = node.floods.wait(claims.sub).await {
        return Err((Close::retry(close::FLOODING, wait), Reason::Limit));
    }
    // Found by its session from here on: a session that ends while it is being admitted closes it.
    let user = node
        .connections
        .open_of(claims.sub, claims.sid, node.next_connection(), outbox.clone(), node.limits)
        .ok_or_else(|| (too_many(), Reason::Limit))?;
    // A code that can't be one names no room; the session is still looked at first.
    let code = ask.code.parse::<RoomCode>().map(|code| code.to_string()).unwrap_or_default();
    let admission =
        v1::Admission { code, user: claims.sub.as_bytes().to_vec(), session: claims.sid.as_bytes().to_vec() };
    let asked = Instant::now();
    let admitted = node.api.admit(admission).await;
    node.door.learn(pass, asked.elapsed());
    node.metrics.came(Phase::Admit, asked.elapsed());
    let admitted = admitted.map_err(|Away| no_capacity(node))?;
    if !admitted.error.is_empty() {
        return Err(match Code::from_word(&admitted.error) {
            Some(Code::TryAgain) | None => no_capacity(node),
            // A token of a session that has ended is as good as none; 4011 is for sockets that were open.
            Some(Code::SessionRevoked) => refuse(Code::Unauthenticated, Reason::Revoked),
            Some(code @ (Code::RoomNotFound | Code::NotApproved)) => {
                guess(node, &address, code).await.map_or_else(
                    || refuse(code, Reason::Room),
                    |wait| (Close::retry(close::TOO_MANY, wait), Reason::Limit),
                )
            }
            Some(Code::RoomFull) => refuse(Code::RoomFull, Reason::Full),
            Some(code) if code.close() == 0 => refuse(Code::NotApproved, Reason::Room),
            Some(code) => refuse(code, Reason::Room),
        });
    }
    let room = RoomId::from_slice(&admitted.room).map_err(|_| (no_capacity(node).0, Reason::Internal))?;
    // Numbered now, whoever came first: of two rooms that follow on each other the later one has the higher numbers, which
    // is how it knows its own.
    let connection = node.next_connection();
    let joiner = Joiner {
        connection,
        user: claims.sub,
        session: claims.sid,
        name: admitted.name.into(),
        admitted: admitted.facts_version,
        resume: ask.resume,
        outbox: outbox.clone(),
    };
    let room = node.join(room, joiner).await.ok_or_else(|| no_capacity(node))?;
    Ok((Place::new(room, connection), user))
}

/// Counts an address's guesses at room codes. When it has made too many, `Some` milliseconds to wait: it is then no longer
/// told a code that does not exist from a room that is not its own, while members come in as always.
async fn guess(node: &Node, address: &str, code: Code) -> Option<u64> {
    if !node.limits {
        return None;
    }
    let counted = match code {
        Code::RoomNotFound => node.guesses.take(address, GUESSES).await,
        _ => node.guesses.peek(address, GUESSES).await,
    };
    counted.err().map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1))
}

fn too_many() -> Close {
    Close::retry(close::TOO_MANY, TOO_MANY_RETRY_MS)
}

fn no_capacity(node: &Node) -> Refusal {
    let close = Close::retry(Code::TryAgain.close(), RETRY_MS + node.random_below(RETRY_MS));
    (close, Reason::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_and_malformed_numbers_are_not_missing_ones() {
        assert_eq!(query(""), (None, None));
        let (token, resume) = query("token=a.b-c&since=12&epoch=3");
        assert_eq!(token.as_deref(), Some("a.b-c"));
        assert_eq!(resume, Some(Resume { since: Some(12), epoch: Some(3), asks: 0, asked: false }));
        assert_eq!(query("since=-1").1, Some(Resume { since: None, epoch: None, asks: 0, asked: false }));
        assert_eq!(query("since=1&epoch=x").1.unwrap().epoch, Some(u64::MAX));
    }
}
