//! What staff does to accounts.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use streamit_domain::audit::Action;
use streamit_domain::staff::{self as rules, Deed, Rank};
use streamit_domain::{DisplayName, RoomId, SessionId, UserId};
use streamit_storage::sessions::{self, Revocation};
use streamit_storage::users::{self, User};
use streamit_storage::{Tx, panel, staff};
use streamit_wire::Code;

use super::By;
use crate::app::App;
use crate::audit::Origin;
use crate::http::error::{ApiError, Result};
use crate::identity::secrets;
use crate::{announce, audit};

/// What is done, with what it takes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Switch it off.
    Deactivate,
    /// Switch it on again.
    Activate,
    /// Forget its name and address.
    Anonymise,
    /// End its sessions.
    EndSessions,
    /// Give it this rank.
    Rank(Rank),
}

impl Change {
    /// What it is to the rules.
    pub(crate) const fn deed(&self) -> Deed {
        match self {
            Self::Deactivate => Deed::Deactivate,
            Self::Activate => Deed::Activate,
            Self::Anonymise => Deed::Anonymise,
            Self::EndSessions => Deed::EndSessions,
            Self::Rank(_) => Deed::ChangeRights,
        }
    }

    const fn action(&self) -> Action {
        match self {
            Self::Deactivate => Action::Deactivated,
            Self::Activate => Action::Activated,
            Self::Anonymise => Action::Anonymised,
            Self::EndSessions => Action::SessionsEnded,
            Self::Rank(_) => Action::StaffChanged,
        }
    }
}

/// What an account may do in the panel, as it is stored.
pub(crate) const fn rank(user: &User) -> Rank {
    Rank::of(user.is_staff, user.is_superuser)
}

/// Whether `actor` may do it to `target`.
pub(crate) fn may(actor: &User, target: &User, deed: Deed) -> Result<()> {
    rules::may(rank(actor), rank(target), deed, actor.id == target.id)
        .map_err(|why| ApiError::new(Code::Forbidden, why.0))
}

/// Does it, if `by` may.
pub(crate) async fn change(app: &App, by: &By, target: UserId, change: &Change) -> Result<()> {
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let target = pair(&mut tx, by, target, change.deed()).await?;
        let told = apply(app, &mut tx, by, &target, change).await?;
        tx.commit().await?;
        tell(app, told).await;
        Ok(())
    })
    .await
}

/// Forgets a guest who was not here for long.
pub(crate) async fn forget_guest(app: &App, guest: UserId) -> Result<()> {
    let mut tx = app.store.begin().await?;
    if panel::users::is_anonymised(&mut tx, guest).await? {
        return Ok(()); // by another replica
    }
    let rooms = staff::anonymise(&mut tx, guest, &nobody(guest)?, app.now()).await?;
    let note = Origin::system().did(Action::Anonymised).to(guest);
    audit::write(app, &mut tx, note).await?;
    tx.commit().await?;
    tell(app, Told { revoked: None, rooms }).await;
    Ok(())
}

/// Gives an account a new password, and ends its sessions. The password is shown to whoever asked for it and kept nowhere.
pub(crate) async fn reset_password(app: &App, by: &By, target: UserId) -> Result<SecretString> {
    let half = || secrets::room_password(&*app.entropy);
    let password = format!("{}-{}", half().expose_secret(), half().expose_secret());
    let password = SecretString::from(password);
    let hash = app.passwords.hash(password.clone(), &*app.entropy).await?;
    let hash = &hash;
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let target = pair(&mut tx, by, target, Deed::ResetPassword).await?;
        if target.password_hash.is_none() || !users::set_password_hash(&mut tx, target.id, hash).await? {
            return Err(ApiError::new(Code::Conflict, "This person has no password"));
        }
        let revoked = end_sessions(app, &mut tx, target.id).await?;
        let note = by.origin.did(Action::PasswordReset).to(target.id).because(Some(&by.reason));
        audit::write(app, &mut tx, note).await?;
        tx.commit().await?;
        tell(app, Told { revoked: Some(revoked), rooms: Vec::new() }).await;
        Ok(())
    })
    .await?;
    Ok(password)
}

/// Ends one session of somebody, and closes its sockets.
pub(crate) async fn end_session(app: &App, by: &By, session: SessionId) -> Result<()> {
    app.retrying(|| async {
        let mut tx = app.store.begin().await?;
        let found = panel::logins::one(&mut tx, session).await?.ok_or(Code::NotFound)?;
        let target = pair(&mut tx, by, found.user, Deed::EndSessions).await?;
        let now = app.now();
        let Some(id) = sessions::revoke(&mut tx, session, now).await? else { return Ok(()) };
        let note = by.origin.did(Action::SessionsEnded).to(target.id).into(json!({"session": session}));
        audit::write(app, &mut tx, note.because(Some(&by.reason))).await?;
        tx.commit().await?;
        let revoked = Revocation { id, user: target.id, session: Some(session), created_at: now };
        tell(app, Told { revoked: Some(revoked), rooms: Vec::new() }).await;
        Ok(())
    })
    .await
}

/// The account, under its lock and that of whoever acts, if they may: their rights are looked at here once more, since
/// somebody else may have taken them since their page was made.
async fn pair(tx: &mut Tx, by: &By, target: UserId, deed: Deed) -> Result<User> {
    let (actor, target) = staff::lock_pair(tx, by.user, target).await?;
    let actor = actor.filter(|actor| actor.is_active).ok_or(Code::Unauthenticated)?;
    let target = target.ok_or(Code::NotFound)?;
    may(&actor, &target, deed)?;
    Ok(target)
}

/// What is told after the commit.
#[derive(Default)]
struct Told {
    revoked: Option<Revocation>,
    rooms: Vec<(RoomId, u64)>,
}

async fn apply(app: &App, tx: &mut Tx, by: &By, target: &User, change: &Change) -> Result<Told> {
    let note = by.origin.did(change.action()).to(target.id).because(Some(&by.reason));
    let mut told = Told::default();
    let note = match change {
        Change::Deactivate => {
            users::set_active(tx, target.id, false).await?;
            told.revoked = Some(end_sessions(app, tx, target.id).await?);
            note
        }
        Change::Activate => {
            if panel::users::is_anonymised(tx, target.id).await? {
                return Err(ApiError::new(Code::Conflict, "Nothing is left of this account to log in with"));
            }
            users::set_active(tx, target.id, true).await?;
            note
        }
        Change::Anonymise => {
            told.rooms = staff::anonymise(tx, target.id, &nobody(target.id)?, app.now()).await?;
            told.revoked = Some(end_sessions(app, tx, target.id).await?);
            note
        }
        Change::EndSessions => {
            told.revoked = Some(end_sessions(app, tx, target.id).await?);
            note
        }
        Change::Rank(new) => {
            if target.is_guest || !target.is_active {
                return Err(ApiError::new(
                    Code::Conflict,
                    "Only an account that is switched on can be staff",
                ));
            }
            let old = rank(target);
            staff::set_rights(tx, target.id, *new >= Rank::Staff, *new == Rank::Superuser).await?;
            if *new < old {
                panel::sessions::revoke_all(tx, target.id, app.now()).await?;
            }
            note.from(json!({"rank": rank_word(old)})).into(json!({"rank": rank_word(*new)}))
        }
    };
    audit::write(app, tx, note).await?;
    Ok(told)
}

/// Ends the sessions of viewers and those in the panel.
async fn end_sessions(app: &App, tx: &mut Tx, user: UserId) -> Result<Revocation> {
    let now = app.now();
    panel::sessions::revoke_all(tx, user, now).await?;
    let id = sessions::revoke_all(tx, user, now).await?;
    Ok(Revocation { id, user, session: None, created_at: now })
}

async fn tell(app: &App, told: Told) {
    if let Some(revoked) = told.revoked {
        let to = app.clone();
        app.after_commit(async move { announce::revocation(&to, revoked).await }).await;
    }
    announce::facts_of(app, told.rooms).await;
}

/// What somebody is called whose name was forgotten. Different for each, since names in a room are.
fn nobody(user: UserId) -> Result<DisplayName> {
    let id = user.0.simple().to_string();
    Ok(DisplayName::parse(&format!("Somebody {}", &id[20..]))?)
}

/// The word that is stored and shown.
pub(crate) const fn rank_word(rank: Rank) -> &'static str {
    match rank {
        Rank::Nobody => "NONE",
        Rank::Staff => "STAFF",
        Rank::Superuser => "SUPERUSER",
    }
}
