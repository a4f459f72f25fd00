//! Between what Redis holds and the values of this crate.

use std::str::FromStr;
use std::sync::Arc;

use prost::Message;
use redis::{FromRedisValue, Value, from_redis_value};
use streamit_domain::playback::Version;
use streamit_domain::{ConnectionId, MediaTime, Playback, Timestamp};
use streamit_wire::v1;

use super::words;
use crate::{Cas, EntryKey, Error, Notice, Present, Roster, RosterChange, RosterEntry};

/// What a payload holds: its first byte.
const EVENT: u8 = b'e';
const ROSTER: u8 = b'r';
const BOOK: u8 = b'b';

/// An event as it is published.
pub(super) fn event(event: &v1::Event) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + event.encoded_len());
    bytes.push(EVENT);
    bytes.extend(event.encode_to_vec());
    bytes
}

/// Reads a payload; `None` when it is of a kind that only a newer release knows, or broken.
pub(super) fn notice(payload: &[u8]) -> Option<Notice> {
    let (kind, rest) = payload.split_first()?;
    match *kind {
        EVENT => v1::Event::decode(rest).ok().map(|event| Notice::Event(Arc::new(event))),
        ROSTER => change(strings(rest)?).ok().map(|change| Notice::Roster(Arc::new(change))),
        BOOK => words::change(strings(rest)?).ok().map(|change| Notice::Book(Arc::new(change))),
        _ => None,
    }
}

/// Takes `<length>:<bytes>` pieces apart, as the scripts put them together.
fn strings(mut rest: &[u8]) -> Option<Vec<String>> {
    let mut all = Vec::new();
    while !rest.is_empty() {
        let colon = rest.iter().position(|byte| *byte == b':')?;
        let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
        let end = (colon + 1).checked_add(length)?;
        all.push(String::from_utf8(rest.get(colon + 1..end)?.to_vec()).ok()?);
        rest = &rest[end..];
    }
    Some(all)
}

/// Reads a reply.
pub(super) fn read<T: FromRedisValue>(value: Value) -> Result<T, Error> {
    from_redis_value(value).map_err(|_| Error::Answer("another kind of value than expected".into()))
}

/// Reads the next piece of a list.
pub(super) fn next<T: FromStr>(pieces: &mut impl Iterator<Item = String>, what: &str) -> Result<T, Error> {
    parse(&pieces.next().unwrap_or_default(), what)
}

pub(super) fn parse<T: FromStr>(text: &str, what: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Answer(format!("no {what} where one belongs")))
}

/// Reads the list that `members.lua` makes of a change.
pub(super) fn change(pieces: Vec<String>) -> Result<RosterChange, Error> {
    let mut pieces = pieces.into_iter();
    let previous = next(&mut pieces, "version")?;
    let version = next(&mut pieces, "version")?;
    let online = next(&mut pieces, "count")?;
    let count: usize = next(&mut pieces, "count")?;
    let mut joined = Vec::new();
    for _ in 0..count {
        let user = next(&mut pieces, "user")?;
        let since = Timestamp(next(&mut pieces, "moment")?);
        joined.push((user, Present { since, name: next(&mut pieces, "name")? }));
    }
    let mut left = Vec::new();
    while let Some(user) = pieces.next() {
        left.push((parse(&user, "user")?, next(&mut pieces, "name")?));
    }
    Ok(RosterChange { previous, version, joined, left, online })
}

/// Reads the hash of a roster.
pub(super) fn roster(fields: Vec<(String, String)>) -> Result<Roster, Error> {
    let mut roster = Roster::default();
    for (field, value) in fields {
        if field == "v" {
            roster.version = parse(&value, "version")?;
        } else if field == "rv" {
            roster.book.version = parse(&value, "version")?;
        } else if field == "rd" {
            roster.book.gave_up = words::read_deadline(&value)?;
        } else if let Some(user) = field.strip_prefix("r:") {
            roster.book.people.insert(parse(user, "user")?, words::read_word(&value)?);
        } else if let Some(user) = field.strip_prefix("u:") {
            let mut parts = value.splitn(3, '|').skip(1).map(str::to_owned);
            let since = Timestamp(next(&mut parts, "moment")?);
            let present = Present { since, name: next(&mut parts, "name")? };
            roster.users.insert(parse(user, "user")?, present);
        } else if let Some(entry) = field.strip_prefix("e:") {
            let (incarnation, connection) = entry.split_once(':').unwrap_or_default();
            let key = EntryKey {
                incarnation: parse(incarnation, "incarnation")?,
                connection: ConnectionId(parse(connection, "connection")?),
            };
            let (user, gone_at) = value.split_once('|').unwrap_or_default();
            let gone_at = if gone_at.is_empty() { None } else { Some(Timestamp(parse(gone_at, "moment")?)) };
            roster.entries.insert(key, RosterEntry { user: parse(user, "user")?, gone_at });
        }
    }
    Ok(roster)
}

/// A playback's fields, in the order of `set_playback.lua`. Floating point numbers are written in the fewest digits
/// that read back as the same number. A film that is held is written as one that stands, with until when and for which
/// version: a release that knows no holds leaves that field as it is when it stores the next state.
pub(super) fn play_fields(state: &Playback) -> [String; 7] {
    let held =
        state.held_until.map_or_else(String::new, |until| format!("{}|{}", state.version.number, until.0));
    [
        state.version.fence.to_string(),
        state.version.number.to_string(),
        u8::from(state.is_running()).to_string(),
        format!("{:?}", state.time.secs()),
        state.at.0.to_string(),
        format!("{:?}", state.rate),
        held,
    ]
}

/// Reads the same fields; `None` when there is no playback.
pub(super) fn playback(mut fields: Vec<Option<String>>) -> Result<Option<Playback>, Error> {
    let held = fields.pop().flatten().unwrap_or_default();
    let Some(fields) = fields.into_iter().collect::<Option<Vec<String>>>() else { return Ok(None) };
    let mut fields = fields.into_iter();
    let fence = next(&mut fields, "fence")?;
    let number: u64 = next(&mut fields, "version")?;
    let is_running = next::<u8>(&mut fields, "flag")? != 0;
    let held_until = match held.split_once('|') {
        Some((of, until)) if parse::<u64>(of, "version")? == number => {
            Some(Timestamp(parse(until, "moment")?))
        }
        _ => None,
    };
    let time = MediaTime::try_from(next::<f64>(&mut fields, "position")?);
    Ok(Some(Playback {
        version: Version { fence, number },
        is_playing: is_running || held_until.is_some(),
        held_until,
        time: time.map_err(|invalid| Error::Answer(invalid.to_string()))?,
        at: Timestamp(next(&mut fields, "moment")?),
        rate: next(&mut fields, "rate")?,
    }))
}

/// Reads what `set_playback.lua` says.
pub(super) fn cas(reply: Vec<Option<String>>) -> Result<Cas, Error> {
    let mut reply = reply.into_iter();
    match reply.next().flatten().as_deref() {
        Some("stored") => Ok(Cas::Stored),
        Some("unknown") => Ok(Cas::Unknown),
        Some("not_empty") => Ok(Cas::NotEmpty),
        Some("fenced") => Ok(Cas::Fenced(next(&mut reply.flatten(), "fence")?)),
        Some("conflict") => {
            let stored = playback(reply.collect())?;
            stored.map(Cas::Conflict).ok_or_else(|| Error::Answer("half a playback".into()))
        }
        _ => Err(Error::Answer("no outcome where one belongs".into())),
    }
}

/// The version of a playback, from its two fields.
pub(super) fn version(fence: Option<u64>, number: Option<u64>) -> Option<Version> {
    Some(Version { fence: fence?, number: number? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn payloads_of_a_newer_release_and_broken_ones_are_skipped() {
        for payload in [
            &b""[..],
            b"z1:1",
            b"r",
            b"r5:1",
            b"r1:x1:11:11:0",
            b"r:",
            b"e\xff",
            b"r99999999999999999999:",
            b"b",
            b"b1:1",
            b"b1:31:40:1:x1:y",
        ] {
            assert!(notice(payload).is_none(), "{payload:?}");
        }
        assert!(matches!(notice(b"r1:31:41:01:0"), Some(Notice::Roster(_))));
        assert!(matches!(notice(b"b1:31:40:"), Some(Notice::Book(_))));
    }

    #[test]
    fn a_hold_is_of_the_state_it_was_stored_with() {
        let fields = |number: &str, held: Option<&str>| {
            let six = ["1", number, "0", "2.5", "7", "1.0"].map(|field| Some(field.to_owned()));
            playback(six.into_iter().chain([held.map(str::to_owned)]).collect()).unwrap().unwrap()
        };
        let held = fields("41", Some("41|9000"));
        assert_eq!((held.is_playing, held.held_until), (true, Some(Timestamp(9_000))));
        for stops in [fields("42", Some("41|9000")), fields("41", Some("")), fields("41", None)] {
            assert_eq!((stops.is_playing, stops.held_until), (false, None), "{stops:?}");
        }
    }

    proptest! {
        #[test]
        fn a_position_survives_to_the_last_bit(time in 0.0f64..1e300, rate in 1e-3f64..1e3, at in any::<i64>(), held in any::<Option<i64>>()) {
            let state = Playback {
                version: Version { fence: 3, number: (1 << 53) - 1 },
                is_playing: true,
                held_until: held.map(Timestamp),
                time: MediaTime::try_from(time).unwrap(),
                at: Timestamp(at),
                rate,
            };
            let fields = play_fields(&state).into_iter().map(Some).collect();
            prop_assert_eq!(playback(fields).unwrap(), Some(state));
        }
    }
}
