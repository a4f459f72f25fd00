//! What is known of a room at a version, and what a newer version changes.

use std::collections::BTreeMap;

use super::{Access, Life, Role, RoomCode, Settings, Source, Standing};
use crate::id::{RoomId, UserId};
use crate::name::DisplayName;
use crate::time::Timestamp;

/// What the facts say of one person: only people about whom there is more to say than "joined".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Called so in this room.
    pub name: DisplayName,
    /// How they stand with the room.
    pub standing: Standing,
    /// What they are.
    pub role: Role,
    /// May not chat before this moment. [`super::FOREVER`] when without end.
    pub muted_until: Option<Timestamp>,
    /// The facts version of their last removal (kick, ban, leave, rejection): an admission from before it is void.
    pub removed_version: u64,
    /// The facts version at which this entry last changed.
    pub changed_version: u64,
}

/// What is known of a room at a version: all that restricts people or tells them what changed. A plain join is
/// not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The room.
    pub room: RoomId,
    /// Its code.
    pub code: RoomCode,
    /// The version of all this.
    pub version: u64,
    /// The fence of those who may control playback.
    pub fence: u64,
    /// Grows when the database lost something that was already shown.
    pub epoch: u64,
    /// Whether the room lives.
    pub life: Life,
    /// How people come in.
    pub access: Access,
    /// What the host set.
    pub settings: Settings,
    /// The host.
    pub host: UserId,
    /// What the host is called in this room.
    pub host_name: DisplayName,
    /// When the room stops waiting for a lost host.
    pub host_deadline: Option<Timestamp>,
    /// To whom the room goes back when they return: it passed on while they were lost ([`super::lost_after`]).
    pub lost_host: Option<UserId>,
    /// What is being watched.
    pub source: Option<Source>,
    /// How many may be online at once.
    pub max_members: u32,
    /// Those whose entry changed after the base version; everybody with an entry when the base is 0.
    pub people: BTreeMap<UserId, Person>,
}

/// What a newer set of facts changes for those who are in the room.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The room ended.
    Ended(Life),
    /// Somebody has to go. Connections admitted at a version below it are closed.
    Removed(UserId, Standing),
    /// Somebody else is host.
    Host,
    /// Somebody's role changed.
    Role(UserId),
    /// What the host may set.
    Settings,
    /// Something else is being watched.
    Source,
    /// Somebody asks to come in.
    JoinRequest(UserId),
    /// The database lost something: what was shown can't be trusted.
    Epoch,
}

impl Facts {
    /// What `user` may do here.
    #[must_use]
    pub fn role(&self, user: UserId) -> Role {
        if user == self.host {
            return Role::Host;
        }
        match self.people.get(&user) {
            Some(person) if person.standing == Standing::Approved && person.role == Role::Cohost => {
                Role::Cohost
            }
            _ => Role::Viewer,
        }
    }

    /// Whether `user` may control playback.
    #[must_use]
    pub fn may_control(&self, user: UserId) -> bool {
        self.role(user) >= Role::Cohost
    }

    /// Whether an admission of `user` given at `admitted` (a facts version) still holds.
    #[must_use]
    pub fn admits(&self, user: UserId, admitted: u64) -> bool {
        self.people.get(&user).is_none_or(|person| person.removed_version <= admitted)
    }

    /// Until when `user` may not chat, if that is so at `now`.
    #[must_use]
    pub fn muted(&self, user: UserId, now: Timestamp) -> Option<Timestamp> {
        self.people.get(&user).and_then(|person| person.muted_until).filter(|until| *until > now)
    }

    /// Takes in `newer`, which holds the people changed after `base`, and tells what changed. Older facts (also of an
    /// epoch that is over), and ones whose base lies above this version (something between is missing), change nothing: `None` then says
    /// that the home has to be asked.
    pub fn merge(&mut self, base: u64, newer: Facts) -> Option<Vec<Change>> {
        if (newer.epoch, newer.version) <= (self.epoch, self.version) {
            return Some(Vec::new());
        }
        if base > self.version {
            return None;
        }
        let mut changes = Vec::new();
        if newer.epoch != self.epoch {
            changes.push(Change::Epoch);
        }
        for (user, person) in newer.people {
            let before = self.people.get(&user);
            if before.is_some_and(|old| old.changed_version >= person.changed_version) {
                continue;
            }
            if person.removed_version > before.map_or(0, |old| old.removed_version) {
                changes.push(Change::Removed(user, person.standing));
            }
            if person.standing == Standing::Pending
                && before.is_none_or(|old| old.standing != Standing::Pending)
            {
                changes.push(Change::JoinRequest(user));
            }
            if person.role != before.map_or(Role::Viewer, |old| old.role) {
                changes.push(Change::Role(user));
            }
            self.people.insert(user, person);
        }
        if newer.host != self.host {
            changes.push(Change::Host);
        }
        if newer.settings != self.settings {
            changes.push(Change::Settings);
        }
        if newer.source != self.source {
            changes.push(Change::Source);
        }
        if newer.life != self.life {
            changes.push(Change::Ended(newer.life));
        }
        let people = std::mem::take(&mut self.people);
        *self = Facts { people, ..newer };
        Some(changes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::DEFAULT_MAX_MEMBERS;
    use super::*;

    fn facts(version: u64) -> Facts {
        Facts {
            room: RoomId(uuid::Uuid::from_u128(1)),
            code: "ABC123".parse().unwrap(),
            version,
            fence: 1,
            epoch: 1,
            life: Life::Active,
            access: Access::Public,
            settings: Settings::default(),
            host: UserId(uuid::Uuid::from_u128(2)),
            host_name: DisplayName::parse("Ana").unwrap(),
            host_deadline: None,
            lost_host: None,
            source: None,
            max_members: DEFAULT_MAX_MEMBERS,
            people: BTreeMap::new(),
        }
    }

    fn person(standing: Standing, removed: u64, changed: u64) -> Person {
        Person {
            name: DisplayName::parse("Bo").unwrap(),
            standing,
            role: Role::Viewer,
            muted_until: None,
            removed_version: removed,
            changed_version: changed,
        }
    }

    #[test]
    fn a_kick_voids_older_admissions_only() {
        let bo = UserId(uuid::Uuid::from_u128(3));
        let mut room = facts(5);
        let mut newer = facts(6);
        newer.people.insert(bo, person(Standing::Kicked, 6, 6));
        assert_eq!(room.merge(5, newer), Some(vec![Change::Removed(bo, Standing::Kicked)]));
        assert!(!room.admits(bo, 5));
        assert!(room.admits(bo, 6));
    }

    #[test]
    fn a_delta_that_misses_its_base_is_not_applied() {
        let mut room = facts(5);
        assert_eq!(room.merge(6, facts(7)), None);
        assert_eq!(room.version, 5);
        assert_eq!(room.merge(0, facts(4)), Some(vec![]));
    }

    #[test]
    fn what_is_told_of_an_epoch_that_is_over_is_late_whatever_its_version() {
        let mut room = Facts { epoch: 2, ..facts(5) };
        assert_eq!(room.merge(0, facts(9)), Some(vec![]));
        assert_eq!((room.epoch, room.version), (2, 5));
        assert_eq!(room.merge(0, Facts { epoch: 3, ..facts(4) }), Some(vec![Change::Epoch]));
        assert_eq!((room.epoch, room.version), (3, 4));
    }

    proptest! {
        #[test]
        fn facts_arriving_in_any_order_end_at_the_newest(order in Just((1u64..10).collect::<Vec<_>>()).prop_shuffle()) {
            // Every delta with base 0 is a snapshot, so whatever comes last, the highest version wins.
            let mut room = facts(0);
            for version in order {
                let mut newer = facts(version);
                newer.settings.host_grace_seconds = u32::try_from(version).unwrap() + 5;
                room.merge(0, newer);
            }
            prop_assert_eq!(room.version, 9);
            prop_assert_eq!(room.settings.host_grace_seconds, 14);
        }
    }
}
