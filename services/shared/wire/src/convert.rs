//! Between the messages of `proto/` and the values of the domain.

use std::collections::BTreeMap;

use streamit_domain::playback::Version;
use streamit_domain::room::{self, Access, Life, OnHostLost, Person, ReadinessMode, Role, Standing};
use streamit_domain::{DisplayName, Invalid, MediaTime, Playback, RoomId, Timestamp, UserId};

use crate::v1;

impl From<&Playback> for v1::Playback {
    fn from(p: &Playback) -> Self {
        Self {
            fence: p.version.fence,
            version: p.version.number,
            is_playing: p.is_running(),
            time: p.time.secs(),
            at: p.at.0,
            rate: p.rate,
            held_until: p.held_until.map_or(0, |until| until.0),
        }
    }
}

impl TryFrom<&v1::Playback> for Playback {
    type Error = Invalid;

    fn try_from(p: &v1::Playback) -> Result<Self, Invalid> {
        if !(p.rate.is_finite() && p.rate > 0.0) {
            return Err(Invalid("rate must be a positive number"));
        }
        let held_until = moment(p.held_until);
        Ok(Self {
            version: Version { fence: p.fence, number: p.version },
            is_playing: p.is_playing || held_until.is_some(),
            held_until,
            time: MediaTime::try_from(p.time)?,
            at: Timestamp(p.at),
            rate: p.rate,
        })
    }
}

/// Enums of the domain beside their twins in `proto/`.
macro_rules! twins {
    ($($name:ident { $($variant:ident),+ })+) => { $(
        impl From<$name> for v1::$name {
            fn from(value: $name) -> Self {
                match value { $( $name::$variant => Self::$variant, )+ }
            }
        }
        impl From<v1::$name> for $name {
            fn from(value: v1::$name) -> Self {
                match value { $( v1::$name::$variant => Self::$variant, )+ }
            }
        }
    )+ };
}

twins! {
    Life { Active, Closed, Expired }
    Access { Public, Password, Approval }
    Role { Viewer, Cohost, Host }
    Standing { Pending, Approved, Rejected, Left, Kicked, Banned }
    OnHostLost { Promote, Wait, Close }
    ReadinessMode { Soft, Off, Strict }
}

/// Reads an enum field of a message. An unknown number (a newer sender's) is refused, so that nobody is let in by
/// a word that was not understood.
fn word<T, V>(number: i32) -> Result<T, Invalid>
where
    V: TryFrom<i32>,
    T: From<V>,
{
    V::try_from(number).map(T::from).map_err(|_| Invalid("unknown word of a newer release"))
}

impl From<&room::Settings> for v1::Settings {
    fn from(s: &room::Settings) -> Self {
        Self {
            is_chat_enabled: s.is_chat_enabled,
            host_grace_seconds: s.host_grace_seconds,
            on_host_lost: v1::OnHostLost::from(s.on_host_lost) as i32,
            expiry_days: s.expiry_days,
            sync_threshold_ms: s.sync_threshold_ms,
            readiness: v1::ReadinessMode::from(s.readiness) as i32,
            drift: Some(v1::Drift {
                enter_ms: s.drift.enter_ms,
                leave_ms: s.drift.leave_ms,
                seek_ms: s.drift.seek_ms,
            }),
            is_locked: s.is_locked,
            is_chat_locked: s.is_chat_locked,
            slow_mode_seconds: s.slow_mode_seconds,
        }
    }
}

impl TryFrom<&v1::Settings> for room::Settings {
    type Error = Invalid;

    fn try_from(s: &v1::Settings) -> Result<Self, Invalid> {
        Ok(Self {
            is_chat_enabled: s.is_chat_enabled,
            host_grace_seconds: s.host_grace_seconds,
            on_host_lost: word::<OnHostLost, v1::OnHostLost>(s.on_host_lost)?,
            expiry_days: s.expiry_days,
            sync_threshold_ms: s.sync_threshold_ms,
            readiness: word::<ReadinessMode, v1::ReadinessMode>(s.readiness)?,
            drift: s.drift.as_ref().map_or_else(room::Drift::default, |drift| room::Drift {
                enter_ms: drift.enter_ms,
                leave_ms: drift.leave_ms,
                seek_ms: drift.seek_ms,
            }),
            is_locked: s.is_locked,
            is_chat_locked: s.is_chat_locked,
            slow_mode_seconds: s.slow_mode_seconds,
        })
    }
}

impl From<&room::Source> for v1::Source {
    fn from(s: &room::Source) -> Self {
        Self {
            url: s.url.clone(),
            title: s.title.clone(),
            provider: s.provider.clone(),
            video_id: s.video_id.clone(),
        }
    }
}

impl From<&v1::Source> for room::Source {
    fn from(s: &v1::Source) -> Self {
        Self {
            url: s.url.clone(),
            title: s.title.clone(),
            provider: s.provider.clone(),
            video_id: s.video_id.clone(),
        }
    }
}

fn moment(ms: i64) -> Option<Timestamp> {
    (ms != 0).then_some(Timestamp(ms))
}

impl v1::Facts {
    /// The message that tells `facts`, whose people are those changed after `base`.
    #[must_use]
    pub fn of(facts: &room::Facts, base: u64) -> Self {
        Self {
            room: facts.room.as_bytes().to_vec(),
            code: facts.code.to_string(),
            version: facts.version,
            base,
            fence: facts.fence,
            epoch: facts.epoch,
            life: v1::Life::from(facts.life) as i32,
            access: v1::Access::from(facts.access) as i32,
            settings: Some((&facts.settings).into()),
            host: facts.host.as_bytes().to_vec(),
            host_name: facts.host_name.to_string(),
            host_deadline: facts.host_deadline.map_or(0, |at| at.0),
            lost_host: facts.lost_host.map_or_else(Vec::new, |user| user.as_bytes().to_vec()),
            source: facts.source.as_ref().map(Into::into),
            max_members: facts.max_members,
            people: facts
                .people
                .iter()
                .map(|(user, person)| v1::Person {
                    user: user.as_bytes().to_vec(),
                    name: person.name.to_string(),
                    standing: v1::Standing::from(person.standing) as i32,
                    role: v1::Role::from(person.role) as i32,
                    muted_until: person.muted_until.map_or(0, |at| at.0),
                    removed_version: person.removed_version,
                    changed_version: person.changed_version,
                })
                .collect(),
        }
    }
}

impl TryFrom<&v1::Facts> for room::Facts {
    type Error = Invalid;

    fn try_from(f: &v1::Facts) -> Result<Self, Invalid> {
        let mut people = BTreeMap::new();
        for person in &f.people {
            let entry = Person {
                name: DisplayName::parse(&person.name)?,
                standing: word::<Standing, v1::Standing>(person.standing)?,
                role: word::<Role, v1::Role>(person.role)?,
                muted_until: moment(person.muted_until),
                removed_version: person.removed_version,
                changed_version: person.changed_version,
            };
            people.insert(UserId::from_slice(&person.user)?, entry);
        }
        Ok(Self {
            room: RoomId::from_slice(&f.room)?,
            code: f.code.parse()?,
            version: f.version,
            fence: f.fence,
            epoch: f.epoch,
            life: word::<Life, v1::Life>(f.life)?,
            access: word::<Access, v1::Access>(f.access)?,
            settings: f.settings.as_ref().map(TryInto::try_into).transpose()?.unwrap_or_default(),
            host: UserId::from_slice(&f.host)?,
            host_name: DisplayName::parse(&f.host_name)?,
            host_deadline: moment(f.host_deadline),
            lost_host: (!f.lost_host.is_empty()).then(|| UserId::from_slice(&f.lost_host)).transpose()?,
            source: f.source.as_ref().map(Into::into),
            max_members: f.max_members,
            people,
        })
    }
}

#[cfg(test)]
mod tests {
    use streamit_domain::room::{Facts, Settings, Source};

    use super::*;

    #[test]
    fn facts_survive_the_journey() {
        let user = UserId(uuid_of(7));
        let facts = Facts {
            room: RoomId(uuid_of(1)),
            code: "ABC123".parse().unwrap(),
            version: 9,
            fence: 2,
            epoch: 1,
            life: Life::Active,
            access: Access::Approval,
            settings: Settings {
                is_chat_enabled: false,
                is_chat_locked: true,
                slow_mode_seconds: 5,
                ..Settings::default()
            },
            host: user,
            host_name: DisplayName::parse("Ana").unwrap(),
            host_deadline: Some(Timestamp(5)),
            lost_host: Some(user),
            source: Some(Source { url: Some("http://x/y.mp4".into()), ..Source::default() }),
            max_members: 10,
            people: BTreeMap::from([(
                user,
                Person {
                    name: DisplayName::parse("Ana").unwrap(),
                    standing: Standing::Kicked,
                    role: Role::Cohost,
                    muted_until: Some(room::FOREVER),
                    removed_version: 3,
                    changed_version: 4,
                },
            )]),
        };
        assert_eq!(Facts::try_from(&v1::Facts::of(&facts, 0)).unwrap(), facts);
    }

    #[test]
    fn a_held_film_stands_for_who_knows_no_holds_and_is_held_for_who_does() {
        let run = Playback { is_playing: true, ..Playback::start(2, Timestamp(5)) };
        let held = run.held(Timestamp(9_000), Timestamp(1_000));
        for state in [run, held] {
            let told = v1::Playback::from(&state);
            assert_eq!(told.is_playing, state.is_running());
            assert_eq!(Playback::try_from(&told).unwrap(), state);
        }
    }

    #[test]
    fn a_word_of_a_newer_release_is_refused() {
        let life: Result<Life, _> = word::<Life, v1::Life>(77);
        assert!(life.is_err());
    }

    fn uuid_of(n: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(n)
    }
}
