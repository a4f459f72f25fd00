//! [`Rooms`] on Redis.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use prost::Message;
use redis::{Pipeline, Value, pipe};
use streamit_domain::readiness::{GaveUp, Readiness};
use streamit_domain::{Incarnation, Playback, RoomId, Timestamp, UserId};
use streamit_wire::v1;

use super::ask::What;
use super::codec::{self, read};
use super::hub::Topic;
use super::script::Named;
use super::{RedisRooms, keys, millis, script, words};
use crate::{
    BookChange, Cas, Entry, EntryKey, Error, Expect, LiveVersions, NODES_LISTED, Online, Rooms, Roster,
    RosterChange, Subscription, Told,
};

/// So many rooms are asked about in one round trip: few enough that nobody else waits long behind them.
const BULK: usize = 256;

impl RedisRooms {
    async fn ask_one(&self, call: &Pipeline, what: impl Into<What>) -> Result<Value, Error> {
        let answers = self.pool.ask(call, what).await?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    async fn change(
        &self,
        script: &'static LazyLock<Named>,
        room: RoomId,
        seen: u64,
        who: Vec<String>,
    ) -> Result<RosterChange, Error> {
        let mut call = pipe();
        script::call(&mut call, script, &[keys::roster(room), keys::news(room)]).arg(seen).arg(who);
        codec::change(read(self.ask_one(&call, script).await?)?)
    }
}

#[async_trait]
impl Rooms for RedisRooms {
    fn now(&self) -> Timestamp {
        self.room_clock.now(self.process_clock.monotonic())
    }

    fn jumped(&self) -> Duration {
        self.room_clock.jumped()
    }

    fn is_healthy(&self) -> bool {
        self.pulse.is_healthy()
    }

    fn doubts(&self) -> u64 {
        self.hub.doubts()
    }

    async fn subscribe(&self, room: RoomId) -> Result<Subscription, Error> {
        self.hub.subscribe(Topic::Room(room), self.options.deadline).await
    }

    async fn subscribe_all(&self) -> Result<Subscription, Error> {
        self.hub.subscribe(Topic::All, self.options.deadline).await
    }

    async fn publish(&self, room: RoomId, event: &v1::Event) -> Result<(), Error> {
        let mut call = pipe();
        call.cmd("PUBLISH").arg(keys::news(room)).arg(codec::event(event));
        self.pool.ask(&call, "PUBLISH").await.map(drop)
    }

    async fn publish_all(&self, event: &v1::Event) -> Result<u64, Error> {
        let mut call = pipe();
        call.cmd("PUBLISH").arg(keys::ALL).arg(codec::event(event));
        read(self.ask_one(&call, "PUBLISH").await?)
    }

    async fn playback(&self, room: RoomId) -> Result<Option<Playback>, Error> {
        let mut call = pipe();
        call.cmd("HMGET").arg(keys::play(room));
        call.arg(&["state_fence", "version", "playing", "time", "at", "rate", "held"]);
        codec::playback(read(self.ask_one(&call, "HMGET").await?)?)
    }

    async fn set_playback(&self, room: RoomId, expect: Expect, next: &Playback) -> Result<Cas, Error> {
        let part = |part: Option<u64>| part.map_or_else(String::new, |part| part.to_string());
        let mut call = pipe();
        script::call(
            &mut call,
            &script::SET_PLAYBACK,
            &[keys::play(room), keys::roster(room), keys::news(room)],
        )
        .arg(part(expect.version.map(|version| version.fence)))
        .arg(part(expect.version.map(|version| version.number)))
        .arg(u8::from(expect.confirmed))
        .arg(u8::from(expect.only_if_empty))
        .arg(expect.fence.unwrap_or(next.version.fence))
        .arg(millis(self.options.lifetimes.playback))
        .arg(codec::event(&crate::playback_event(next, self.now())))
        .arg(&codec::play_fields(next));
        codec::cas(read(self.ask_one(&call, &script::SET_PLAYBACK).await?)?)
    }

    async fn raise_fence(&self, room: RoomId, fence: u64) -> Result<(), Error> {
        let mut call = pipe();
        script::call(&mut call, &script::RAISE_FENCE, &[keys::play(room)])
            .arg(fence)
            .arg(millis(self.options.lifetimes.playback));
        self.ask_one(&call, &script::RAISE_FENCE).await.map(drop)
    }

    async fn enter(
        &self,
        room: RoomId,
        entries: &[Entry],
        seen: u64,
    ) -> Result<(RosterChange, Roster), Error> {
        let mut call = pipe();
        script::call(&mut call, &script::ENTER, &[keys::roster(room), keys::news(room), keys::play(room)])
            .arg(seen)
            .arg(millis(self.options.lifetimes.roster))
            .arg(millis(self.options.lifetimes.playback));
        for entry in entries {
            call.arg(keys::entry(entry.key)).arg(entry.user.to_string()).arg(&entry.name);
        }
        let (change, roster) = read(self.ask_one(&call, &script::ENTER).await?)?;
        Ok((codec::change(change)?, codec::roster(roster)?))
    }

    async fn leave(&self, room: RoomId, keys: &[EntryKey], seen: u64) -> Result<RosterChange, Error> {
        let who = keys.iter().map(|key| keys::entry(*key)).collect();
        self.change(&script::LEAVE, room, seen, who).await
    }

    async fn mark_gone(&self, room: RoomId, keys: &[(EntryKey, Timestamp)]) -> Result<(), Error> {
        let mut call = pipe();
        script::call(&mut call, &script::MARK_GONE, &[keys::roster(room)]);
        for (key, until) in keys {
            call.arg(keys::entry(*key)).arg(until.0);
        }
        self.ask_one(&call, &script::MARK_GONE).await.map(drop)
    }

    async fn prune(&self, room: RoomId, dead: &[Incarnation], seen: u64) -> Result<RosterChange, Error> {
        let who = dead.iter().map(ToString::to_string).collect();
        self.change(&script::PRUNE, room, seen, who).await
    }

    async fn roster(&self, room: RoomId) -> Result<Roster, Error> {
        let mut call = pipe();
        call.cmd("HGETALL").arg(keys::roster(room));
        codec::roster(read(self.ask_one(&call, "HGETALL").await?)?)
    }

    async fn report_ready(
        &self,
        room: RoomId,
        words: &[(UserId, Readiness)],
        gave_up: Option<GaveUp>,
        seen: u64,
    ) -> Result<BookChange, Error> {
        let mut call = pipe();
        script::call(&mut call, &script::REPORT_READY, &[keys::roster(room), keys::news(room)])
            .arg(seen)
            .arg(words::deadline(gave_up));
        for (user, word) in words {
            call.arg(user.to_string()).arg(words::word(word));
        }
        let versions = read(self.ask_one(&call, &script::REPORT_READY).await?)?;
        let change = words::change(versions)?;
        Ok(BookChange { words: words.to_vec(), gave_up, ..change })
    }

    async fn refresh(
        &self,
        node: Incarnation,
        rooms: &[(RoomId, Option<Duration>)],
    ) -> Result<Vec<LiveVersions>, Error> {
        let mut all = Vec::with_capacity(rooms.len());
        for rooms in rooms.chunks(BULK) {
            let mut call = pipe();
            for (room, round_trip) in rooms {
                let took = round_trip.map_or_else(String::new, |took| took.as_micros().to_string());
                script::call(&mut call, &script::REFRESH, &[keys::roster(*room), keys::play(*room)])
                    .arg(millis(self.options.lifetimes.roster))
                    .arg(millis(self.options.lifetimes.playback))
                    .arg(node.to_string())
                    .arg(took);
            }
            for answer in self.pool.ask(&call, &script::REFRESH).await? {
                let (roster, fence, number, took, book): (_, _, _, Option<u64>, _) = read(answer)?;
                let round_trip = took.map(Duration::from_micros);
                let playback = codec::version(fence, number);
                all.push(LiveVersions { roster, playback, book, round_trip });
            }
        }
        Ok(all)
    }

    async fn online(&self, rooms: &[(RoomId, Option<UserId>)]) -> Result<Vec<Online>, Error> {
        let mut all = Vec::with_capacity(rooms.len());
        for rooms in rooms.chunks(BULK) {
            let mut call = pipe();
            for (room, user) in rooms {
                let user = user.map_or_else(String::new, keys::user);
                call.cmd("HMGET").arg(keys::roster(*room)).arg("n").arg(user);
                call.cmd("HGET").arg(keys::play(*room)).arg("seen");
            }
            let mut answers = self.pool.ask(&call, "HMGET").await?.into_iter();
            while let (Some(roster), Some(seen)) = (answers.next(), answers.next()) {
                let (users, user): (Option<u64>, Option<String>) = read(roster)?;
                let refreshed_at = read::<Option<i64>>(seen)?.map(Timestamp);
                all.push(Online { users: users.unwrap_or(0), has_user: user.is_some(), refreshed_at });
            }
        }
        Ok(all)
    }

    async fn beat(&self, incarnation: Incarnation, status: &v1::NodeStatus) -> Result<(), Error> {
        let now = self.now();
        let lifetime = millis(self.options.lifetimes.lease);
        // One command sets and limits it: a counter whose expiry got lost on the way would live for ever.
        let beat = self.beats.fetch_add(1, Ordering::Relaxed);
        let mut call = pipe();
        call.cmd("SET").arg(keys::lease(incarnation)).arg(beat).arg("PX").arg(lifetime);
        call.cmd("SET").arg(keys::status(incarnation)).arg(status.encode_to_vec()).arg("PX").arg(lifetime);
        call.cmd("ZADD").arg(keys::NODES).arg(now.0).arg(incarnation.to_string());
        call.cmd("ZREMRANGEBYSCORE").arg(keys::NODES).arg("-inf").arg(now.minus(NODES_LISTED).0);
        call.cmd("PEXPIRE").arg(keys::NODES).arg(millis(NODES_LISTED));
        self.line.ask(&call, "SET").await.map(drop)
    }

    async fn rest(&self, incarnation: Incarnation) -> Result<(), Error> {
        let mut call = pipe();
        call.cmd("DEL").arg(keys::lease(incarnation));
        call.cmd("DEL").arg(keys::status(incarnation));
        self.line.ask(&call, "DEL").await.map(drop)
    }

    async fn nodes(&self) -> Result<Vec<Incarnation>, Error> {
        let mut call = pipe();
        call.cmd("ZRANGEBYSCORE").arg(keys::NODES).arg(self.now().minus(NODES_LISTED).0).arg("+inf");
        let names: Vec<String> =
            read(self.line.ask(&call, "ZRANGEBYSCORE").await?.into_iter().next().unwrap_or_default())?;
        names.iter().map(|name| codec::parse(name, "incarnation")).collect()
    }

    async fn beats(&self, incarnations: &[Incarnation]) -> Result<Vec<Option<u64>>, Error> {
        let mut call = pipe();
        for incarnation in incarnations {
            call.cmd("GET").arg(keys::lease(*incarnation));
        }
        self.line.ask(&call, "GET").await?.into_iter().map(read).collect()
    }

    async fn statuses(&self) -> Result<Vec<Told>, Error> {
        let mut call = pipe();
        let since = self.now().minus(self.options.lifetimes.lease * 2).0;
        call.cmd("ZRANGEBYSCORE").arg(keys::NODES).arg(since).arg("+inf").arg("WITHSCORES");
        let beaten: Vec<(String, i64)> = read(self.ask_one(&call, "ZRANGEBYSCORE").await?)?;
        let beaten: Vec<(Incarnation, Timestamp)> = beaten
            .iter()
            .map(|(name, at)| Ok((codec::parse(name, "incarnation")?, Timestamp(*at))))
            .collect::<Result<_, Error>>()?;
        let mut call = pipe();
        for (incarnation, _) in &beaten {
            call.cmd("EXISTS").arg(keys::lease(*incarnation));
            call.cmd("GET").arg(keys::status(*incarnation));
        }
        let mut answers = self.pool.ask(&call, "EXISTS").await?.into_iter();
        let mut all = Vec::with_capacity(beaten.len());
        for (incarnation, at) in beaten {
            let (lives, said) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
            let said: Option<Vec<u8>> = read(said)?;
            if read(lives)? {
                let status = said.and_then(|said| v1::NodeStatus::decode(&*said).ok()).unwrap_or_default();
                all.push(Told { incarnation, at, status });
            }
        }
        Ok(all)
    }
}
