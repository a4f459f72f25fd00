//! Who may do what about whom.

use super::Role;
use crate::id::UserId;

/// What is done about a person in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// Let in who asks.
    Approve,
    /// Turn away who asks.
    Reject,
    /// Throw out for a while.
    Kick,
    /// Throw out for good.
    Ban,
    /// Take a ban back.
    Unban,
    /// Keep from chatting.
    Mute,
    /// Let chat again.
    Unmute,
    /// Take back what they said.
    Erase,
    /// Make the host.
    Transfer,
    /// Make a co-host, or a viewer again.
    Cohost,
}

impl Deed {
    /// Everything that can be done.
    pub const ALL: &'static [Self] = &[
        Self::Approve,
        Self::Reject,
        Self::Kick,
        Self::Ban,
        Self::Unban,
        Self::Mute,
        Self::Unmute,
        Self::Erase,
        Self::Transfer,
        Self::Cohost,
    ];

    /// Whether co-hosts may do it as well: they keep order, while who comes in and who has a say is the host's.
    #[must_use]
    pub const fn is_for_cohosts(self) -> bool {
        matches!(self, Self::Kick | Self::Ban | Self::Unban | Self::Mute | Self::Unmute | Self::Erase)
    }

    /// Whether it takes something from the person.
    #[must_use]
    pub const fn is_against(self) -> bool {
        matches!(self, Self::Kick | Self::Ban | Self::Mute | Self::Erase)
    }
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeedRefusal {
    /// Only the host may, or a co-host where that is enough.
    HostOnly,
    /// Nobody may do that to himself.
    Himself,
    /// Nobody may do that to the host.
    Host,
    /// Nobody may do that to the one who opened the room.
    Owner,
    /// The room goes back to them: whoever has it for them could keep it like that.
    LostHost,
    /// Only the host may do that to a co-host.
    Cohost,
}

/// Somebody in a room, and what they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stands {
    /// Who.
    pub user: UserId,
    /// What they are. Whoever is not in the room is a viewer.
    pub role: Role,
}

/// Whether `actor` may do `deed` about `target`, in a room that was opened by `owner` and goes back to `lost_host`.
///
/// # Errors
/// Why not.
pub fn may(
    deed: Deed,
    actor: Stands,
    target: Stands,
    owner: UserId,
    lost_host: Option<UserId>,
) -> Result<(), DeedRefusal> {
    let is_enough = if deed.is_for_cohosts() { Role::Cohost } else { Role::Host };
    // What one said oneself is one's own.
    if deed == Deed::Erase && actor.user == target.user {
        return Ok(());
    }
    if actor.role < is_enough {
        return Err(DeedRefusal::HostOnly);
    }
    // A co-host who is muted does not unmute himself.
    if actor.user == target.user && (deed.is_against() || actor.role < Role::Host) {
        return Err(DeedRefusal::Himself);
    }
    if deed.is_against() {
        if target.role == Role::Host {
            return Err(DeedRefusal::Host);
        }
        if target.user == owner {
            return Err(DeedRefusal::Owner);
        }
        if lost_host == Some(target.user) {
            return Err(DeedRefusal::LostHost);
        }
        if target.role == Role::Cohost && actor.role < Role::Host {
            return Err(DeedRefusal::Cohost);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn user(n: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(n))
    }

    const OWNER: UserId = user(1);
    const LOST: UserId = user(2);

    const fn stands(n: u128, role: Role) -> Stands {
        Stands { user: user(n), role }
    }

    fn asked(deed: Deed, actor: Stands, target: Stands) -> Result<(), DeedRefusal> {
        may(deed, actor, target, OWNER, Some(LOST))
    }

    #[test]
    fn viewers_may_do_nothing_but_take_back_what_they_said() {
        let (viewer, other) = (stands(5, Role::Viewer), stands(6, Role::Viewer));
        for deed in Deed::ALL {
            assert_eq!(asked(*deed, viewer, other), Err(DeedRefusal::HostOnly), "{deed:?}");
        }
        assert_eq!(asked(Deed::Erase, viewer, viewer), Ok(()));
        assert_eq!(asked(Deed::Unmute, viewer, viewer), Err(DeedRefusal::HostOnly));
    }

    #[test]
    fn cohosts_keep_order_among_viewers_and_no_more() {
        let (cohost, other) = (stands(4, Role::Cohost), stands(6, Role::Viewer));
        for deed in Deed::ALL {
            assert_eq!(asked(*deed, cohost, other).is_ok(), deed.is_for_cohosts(), "{deed:?}");
        }
        for deed in [Deed::Kick, Deed::Ban, Deed::Mute, Deed::Erase] {
            assert_eq!(asked(deed, cohost, stands(7, Role::Cohost)), Err(DeedRefusal::Cohost));
            assert_eq!(asked(deed, cohost, stands(3, Role::Host)), Err(DeedRefusal::Host));
        }
        for deed in [Deed::Kick, Deed::Mute, Deed::Unmute, Deed::Unban] {
            assert_eq!(asked(deed, cohost, cohost), Err(DeedRefusal::Himself));
        }
    }

    #[test]
    fn nobody_acts_against_the_owner_the_lost_host_or_himself() {
        let host = stands(3, Role::Host);
        for deed in Deed::ALL.iter().copied().filter(|deed| deed.is_against()) {
            assert_eq!(asked(deed, host, stands(1, Role::Viewer)), Err(DeedRefusal::Owner), "{deed:?}");
            assert_eq!(asked(deed, host, stands(2, Role::Viewer)), Err(DeedRefusal::LostHost), "{deed:?}");
            assert_eq!(asked(deed, host, host).is_ok(), deed == Deed::Erase, "{deed:?}");
            assert_eq!(asked(deed, host, stands(7, Role::Cohost)), Ok(()), "{deed:?}");
        }
    }
}
