//! What people say of their players, as it stands in the roster and travels to the nodes.

use streamit_domain::readiness::{Film, GaveUp, PATIENCE, Readiness};
use streamit_domain::{MediaTime, Timestamp};

use super::codec::{next, parse};
use crate::{BookChange, Error};

/// A word as the script keeps it, its moment first.
pub(super) fn word(word: &Readiness) -> String {
    let stalls: Vec<String> = word.stalls.iter().map(|stall| stall.0.to_string()).collect();
    format!(
        "{}|{}|{}|{}|{}|{}|{}|{}",
        word.at.0,
        word.film.0,
        u8::from(word.is_ready),
        u8::from(word.was_ready),
        u8::from(word.is_stall),
        word.since.0,
        word.position.map_or_else(String::new, |position| format!("{:?}", position.secs())),
        stalls.join(","),
    )
}

/// Reads it back.
pub(super) fn read_word(text: &str) -> Result<Readiness, Error> {
    let mut parts = text.split('|').map(str::to_owned);
    let at = Timestamp(next(&mut parts, "moment")?);
    let film = Film(next(&mut parts, "film")?);
    let is_ready = next::<u8>(&mut parts, "flag")? != 0;
    let was_ready = next::<u8>(&mut parts, "flag")? != 0;
    let is_stall = next::<u8>(&mut parts, "flag")? != 0;
    let since = Timestamp(next(&mut parts, "moment")?);
    let position = match parts.next().as_deref() {
        None | Some("") => None,
        Some(secs) => Some(media_time(secs)?),
    };
    let stalls = parts.next().unwrap_or_default();
    let stalls = stalls.split(',').filter(|stall| !stall.is_empty());
    let stalls = stalls.take(PATIENCE + 1).map(|stall| parse(stall, "moment").map(Timestamp));
    let stalls = stalls.collect::<Result<_, _>>()?;
    Ok(Readiness { at, film, is_ready, was_ready, since, position, is_stall, stalls })
}

fn media_time(secs: &str) -> Result<MediaTime, Error> {
    let secs: f64 = parse(secs, "position")?;
    MediaTime::try_from(secs).map_err(|invalid| Error::Answer(invalid.to_string()))
}

/// A deadline that passed, its moment first.
pub(super) fn deadline(gave_up: Option<GaveUp>) -> String {
    gave_up.map_or_else(String::new, |gave_up| format!("{}|{}", gave_up.at.0, gave_up.film.0))
}

/// Reads it back.
pub(super) fn read_deadline(text: &str) -> Result<Option<GaveUp>, Error> {
    let Some((at, film)) = text.split_once('|') else { return Ok(None) };
    Ok(Some(GaveUp { at: Timestamp(parse(at, "moment")?), film: Film(parse(film, "film")?) }))
}

/// Reads the list that `report_ready.lua` publishes.
pub(super) fn change(pieces: Vec<String>) -> Result<BookChange, Error> {
    let mut pieces = pieces.into_iter();
    let previous = next(&mut pieces, "version")?;
    let version = next(&mut pieces, "version")?;
    let gave_up = read_deadline(&pieces.next().unwrap_or_default())?;
    let mut words = Vec::new();
    while let Some(user) = pieces.next() {
        words.push((parse(&user, "user")?, read_word(&pieces.next().unwrap_or_default())?));
    }
    Ok(BookChange { previous, version, words, gave_up })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_word_survives_to_the_last_bit(
            at in any::<i64>(), film in any::<u64>(), flags in any::<(bool, bool, bool)>(), since in any::<i64>(),
            position in prop::option::of(0.0f64..1e300), stalls in prop::collection::vec(any::<i64>(), 0..=PATIENCE + 1)
        ) {
            let told = Readiness {
                at: Timestamp(at),
                film: Film(film),
                is_ready: flags.0,
                was_ready: flags.1,
                is_stall: flags.2,
                since: Timestamp(since),
                position: position.map(|secs| MediaTime::try_from(secs).unwrap()),
                stalls: stalls.into_iter().map(Timestamp).collect(),
            };
            prop_assert_eq!(read_word(&word(&told)).unwrap(), told);
            let gave_up = Some(GaveUp { at: Timestamp(at), film: Film(film) });
            prop_assert_eq!(read_deadline(&deadline(gave_up)).unwrap(), gave_up);
        }
    }

    #[test]
    fn what_can_not_be_read_is_told() {
        for broken in
            ["", "1", "1|2|3", "a|2|1|1|0|5||", "1|2|1|1|0|5|-3|", "1|2|1|1|0|5|x|", "1|2|1|1|0|5||x"]
        {
            assert!(read_word(broken).is_err(), "{broken}");
        }
        assert_eq!(read_deadline("").unwrap(), None);
        assert!(read_deadline("1|x").is_err());
    }
}
