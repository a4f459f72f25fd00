//! Getting people into rooms.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use streamit_client::{Connection, Entry, Error, Http, Options};

use crate::args::Target;
use crate::line::{Line, Seat, Welcome};
use crate::process;

/// A room full of people who may enter it.
#[derive(Debug)]
pub struct Room {
    /// Its code.
    pub code: String,
    /// Their tokens, the host's first.
    pub tokens: Vec<String>,
}

/// Makes rooms of these sizes, and a guest for each place in them. Nobody is connected yet.
///
/// # Errors
/// When the server refuses: most often because it has its limits on.
pub async fn gather(target: &Target, sizes: &[usize]) -> anyhow::Result<Vec<Room>> {
    let people: usize = sizes.iter().sum();
    if let Some(limit) = process::open_files_limit() {
        ensure!(people + 100 <= limit, "{people} connections need more open files than {limit}: ulimit -n");
    }
    let http = Http::new(&target.url)?;
    let at_once = usize::from(target.at_once);
    let rooms = stream::iter(0..sizes.len()).map(|index| open(&http, index)).buffered(at_once);
    let mut rooms: Vec<Room> = rooms.try_collect().await?;

    let codes: Vec<String> = rooms.iter().map(|room| room.code.clone()).collect();
    let places = sizes.iter().enumerate().flat_map(|(room, size)| (1..*size).map(move |place| (room, place)));
    let guests = stream::iter(places).map(|(room, place)| enter(&http, room, &codes[room], place));
    // In order, so that whoever holds the n-th token is the n-th guest.
    let mut guests = guests.buffered(at_once);
    while let Some((room, token)) = guests.try_next().await? {
        rooms[room].tokens.push(token);
    }
    Ok(rooms)
}

async fn open(http: &Http, index: usize) -> anyhow::Result<Room> {
    let host = asked(http.guest(&host_name(index)).await)?;
    let room = asked(http.as_user(&host).create_room(Entry::Public).await)?;
    Ok(Room { code: room.code, tokens: vec![host.access_token] })
}

async fn enter(http: &Http, room: usize, code: &str, place: usize) -> anyhow::Result<(usize, String)> {
    let guest = asked(http.guest(&guest_name(room, place)).await)?;
    asked(http.as_user(&guest).join(code, None).await)?;
    Ok((room, guest.access_token))
}

/// What the host of a room is called.
#[must_use]
pub fn host_name(room: usize) -> String {
    format!("Host {room}")
}

/// What the guest at a place, counted from 1, of a room is called.
#[must_use]
pub fn guest_name(room: usize, place: usize) -> String {
    format!("Guest {room}-{place}")
}

fn asked<T>(answer: Result<T, Error>) -> anyhow::Result<T> {
    match answer {
        Err(Error::Api(refusal)) if refusal.status == 429 => {
            bail!("the server has its limits on; start it with STREAMIT_LIMITS=off to measure it")
        }
        answer => answer.context("the crowd could not be gathered"),
    }
}

/// Connects everybody and waits until each is in its room. The connections come in the order of the rooms,
/// hosts first, each with the number of its room.
///
/// # Errors
/// When one can't get in within the target's patience.
pub async fn connect(target: &Target, rooms: &[Room]) -> anyhow::Result<Vec<(usize, Connection)>> {
    let http = Http::new(&target.url)?;
    let places = rooms.iter().enumerate().flat_map(|(number, room)| {
        room.tokens.iter().map(move |token| (number, room.code.as_str(), token.as_str()))
    });
    stream::iter(places.enumerate())
        .map(|(index, (number, code, token))| {
            let base = target.ws_of(index).unwrap_or(http.ws_base()).to_owned();
            let options = Options {
                local_addr: target.source_of(index),
                patience: target.patience,
                ..Options::default()
            };
            async move {
                let joined = Connection::join(&base, code, token, options).await;
                let (connection, _) =
                    joined.with_context(|| format!("connection {index} did not get into its room"))?;
                Ok((number, connection))
            }
        })
        .buffered(usize::from(target.at_once))
        .try_collect()
        .await
}

/// The places of these people, for bare lines. Who comes after whom goes to the next node.
///
/// # Errors
/// When the target's address is not one.
pub fn seats(target: &Target, rooms: &[Room]) -> anyhow::Result<Vec<Vec<Seat>>> {
    let nodes: Arc<[String]> = if target.ws.is_empty() {
        [Http::new(&target.url)?.ws_base().to_owned()].into()
    } else {
        target.ws.clone().into()
    };
    let mut index = 0;
    let mut seat = |code: &Arc<str>, token: &str| {
        let seat = Seat {
            nodes: nodes.clone(),
            first: index % nodes.len(),
            code: code.clone(),
            token: token.into(),
            from: target.source_of(index),
            is_narrow: false,
            patience: target.patience,
        };
        index += 1;
        seat
    };
    Ok(rooms
        .iter()
        .map(|room| {
            let code: Arc<str> = room.code.as_str().into();
            room.tokens.iter().map(|token| seat(&code, token)).collect()
        })
        .collect())
}

/// Takes all these seats, so many at a time, and waits until each is in.
///
/// # Errors
/// When one can't get in.
pub async fn sit(target: &Target, seats: &[Seat]) -> anyhow::Result<Vec<(Line, Welcome)>> {
    stream::iter(seats.iter().enumerate())
        .map(|(index, seat)| async move {
            let taken = seat.take(0, None).await;
            taken.map_err(|end| {
                anyhow::anyhow!("connection {index} did not get into its room: {}", end.name())
            })
        })
        .buffered(usize::from(target.at_once))
        .try_collect()
        .await
}
