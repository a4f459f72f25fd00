//! By whose authority something is done in a room, and whether that is enough.

use streamit_domain::UserId;
use streamit_domain::room::{Deed, DeedRefusal, Role, Standing, Stands, may};
use streamit_storage::participants::{self, Participant};
use streamit_storage::rooms::Room;
use streamit_storage::{Read, Result as Stored};
use streamit_wire::Code;

use crate::audit::{Note, Origin};
use crate::http::caller::Caller;
use crate::http::error::{ApiError, Result};

/// Who does something in a room, and why.
#[derive(Clone, Debug)]
pub(crate) struct By<'a> {
    /// What is written down of them.
    origin: &'a Origin,
    /// Nobody: staff, who may do everything.
    member: Option<UserId>,
    reason: Option<&'a str>,
}

impl<'a> By<'a> {
    /// Somebody who calls.
    pub(crate) fn caller(caller: &'a Caller) -> Self {
        Self::member(&caller.origin, caller.user)
    }

    /// Somebody in the room.
    pub(crate) const fn member(origin: &'a Origin, user: UserId) -> Self {
        Self { origin, member: Some(user), reason: None }
    }

    /// Staff, in the panel.
    pub(crate) const fn staff(origin: &'a Origin, reason: &'a str) -> Self {
        Self { origin, member: None, reason: Some(reason) }
    }

    /// Says what was done.
    pub(crate) fn did(&self, action: streamit_domain::audit::Action) -> Note {
        self.origin.did(action).because(self.reason)
    }

    /// Refuses everybody but the host and staff.
    pub(super) fn host_only(&self, room: &Room) -> Result<()> {
        match self.member {
            Some(user) if user != room.host => Err(Code::HostOnly.into()),
            _ => Ok(()),
        }
    }

    /// Refuses who may not close a room: its host, the one who opened it, and staff may. Who has it only until somebody is
    /// back must not end it.
    pub(super) fn may_close(&self, room: &Room) -> Result<()> {
        if self.member == Some(room.owner) {
            return Ok(());
        }
        self.host_only(room)?;
        if self.member.is_some() && room.lost_host.is_some() {
            return Err(ApiError::new(Code::Forbidden, "The room goes back to its host, who is away"));
        }
        Ok(())
    }

    /// Refuses who is not in the room, which must live: nothing of it is told to them. Staff may look into rooms that have
    /// ended, too: what was said there is still kept.
    pub(super) async fn may_look_in(&self, read: &mut Read, room: &Room) -> Result<()> {
        let Some(user) = self.member else { return Ok(()) };
        super::alive(room)?;
        let own = participants::get(read, room.id, user).await?;
        let is_in = own.is_some_and(|own| own.standing == Standing::Approved);
        if is_in { Ok(()) } else { Err(Code::NotApproved.into()) }
    }

    /// Refuses who may not do `deed` at all.
    pub(super) async fn may_try(&self, read: &mut Read, room: &Room, deed: Deed) -> Result<()> {
        let Some(user) = self.member else { return Ok(()) };
        let nobody = Stands { user: UserId(uuid::Uuid::nil()), role: Role::Viewer };
        let actor = stands(room, user, participants::get(read, room.id, user).await?.as_ref());
        may(deed, actor, nobody, room.owner, None).map_err(|why| refusal(deed, why))
    }

    /// Refuses who may not do `deed` about `target`, whose entry is given.
    pub(super) async fn may(
        &self,
        read: &mut Read,
        room: &Room,
        target: UserId,
        entry: Option<&Participant>,
        deed: Deed,
    ) -> Result<()> {
        let Some(user) = self.member else {
            // A room whose host is not in it could not be led: staff hands it over first, or closes it.
            let is_leading = target == room.host && matches!(deed, Deed::Kick | Deed::Ban);
            return if is_leading { Err(refusal(deed, DeedRefusal::Host)) } else { Ok(()) };
        };
        let own = participants::get(read, room.id, user).await?;
        let (actor, target) = (stands(room, user, own.as_ref()), stands(room, target, entry));
        may(deed, actor, target, room.owner, room.lost_host).map_err(|why| refusal(deed, why))
    }
}

fn stands(room: &Room, user: UserId, entry: Option<&Participant>) -> Stands {
    let is_cohost =
        entry.is_some_and(|entry| entry.standing == Standing::Approved && entry.role == Role::Cohost);
    let role = match (user == room.host, is_cohost) {
        (true, _) => Role::Host,
        (false, true) => Role::Cohost,
        (false, false) => Role::Viewer,
    };
    Stands { user, role }
}

/// Whether somebody is host or co-host.
pub(super) async fn is_in_charge(read: &mut Read, room: &Room, user: UserId) -> Stored<bool> {
    let entry = participants::get(read, room.id, user).await?;
    Ok(stands(room, user, entry.as_ref()).role >= Role::Cohost)
}

fn refusal(deed: Deed, why: DeedRefusal) -> ApiError {
    let say = match why {
        DeedRefusal::HostOnly => match deed {
            Deed::Approve => "Only host can approve",
            Deed::Reject => "Only host can reject",
            _ if deed.is_for_cohosts() => "Only the host and co-hosts can do that",
            _ => return Code::HostOnly.into(),
        },
        DeedRefusal::Himself => "Nobody can do that to himself",
        DeedRefusal::Host => "Nobody can do that to the host",
        DeedRefusal::Owner => "Nobody can do that to the one who opened the room",
        DeedRefusal::LostHost => "The room goes back to them when they return",
        DeedRefusal::Cohost => "Only the host can do that to a co-host",
    };
    let code = if why == DeedRefusal::HostOnly { Code::HostOnly } else { Code::Forbidden };
    ApiError::new(code, say)
}
