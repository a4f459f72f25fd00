//! What staff may do to accounts.

use crate::Invalid;

/// What an account may do in the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Nothing: it can't come in.
    Nobody,
    /// All but what concerns other staff.
    Staff,
    /// Everything.
    Superuser,
}

impl Rank {
    /// The rank of an account that is switched on and has these rights.
    #[must_use]
    pub const fn of(is_staff: bool, is_superuser: bool) -> Self {
        match (is_staff, is_superuser) {
            (_, true) => Self::Superuser,
            (true, false) => Self::Staff,
            (false, false) => Self::Nobody,
        }
    }
}

/// What is done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Switched off.
    Deactivate,
    /// Switched on again.
    Activate,
    /// Its name and address are forgotten.
    Anonymise,
    /// Its sessions end.
    EndSessions,
    /// It gets a new password.
    ResetPassword,
    /// It gets another rank.
    ChangeRights,
}

impl Deed {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::Deactivate,
        Self::Activate,
        Self::Anonymise,
        Self::EndSessions,
        Self::ResetPassword,
        Self::ChangeRights,
    ];
}

/// Whether somebody of rank `actor` may do it to an account of rank `target`. Only superusers touch staff, so nobody gets
/// rights by way of a colleague's password; and nobody takes his own rights or shuts himself out, so that a superuser
/// always stays.
///
/// # Errors
/// Why not.
pub fn may(actor: Rank, target: Rank, deed: Deed, is_self: bool) -> Result<(), Invalid> {
    if actor == Rank::Nobody {
        return Err(Invalid("Only staff can do that"));
    }
    if deed == Deed::ChangeRights && actor != Rank::Superuser {
        return Err(Invalid("Only a superuser can change who is staff"));
    }
    if is_self {
        return match deed {
            Deed::EndSessions | Deed::ResetPassword => Ok(()),
            Deed::ChangeRights => Err(Invalid("Nobody changes his own rights: ask another superuser")),
            _ => Err(Invalid("You can't do that to your own account")),
        };
    }
    if target != Rank::Nobody && actor != Rank::Superuser {
        return Err(Invalid("Only a superuser can do that to an account of staff"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staff_acts_on_everybody_but_staff_and_superusers_on_all_others() {
        for deed in Deed::ALL {
            let rights = deed == Deed::ChangeRights;
            assert!(may(Rank::Nobody, Rank::Nobody, deed, false).is_err(), "{deed:?}");
            assert_eq!(may(Rank::Staff, Rank::Nobody, deed, false).is_ok(), !rights, "{deed:?}");
            assert!(may(Rank::Staff, Rank::Staff, deed, false).is_err(), "{deed:?}");
            assert!(may(Rank::Staff, Rank::Superuser, deed, false).is_err(), "{deed:?}");
            for target in [Rank::Nobody, Rank::Staff, Rank::Superuser] {
                assert!(may(Rank::Superuser, target, deed, false).is_ok(), "{deed:?} {target:?}");
            }
        }
    }

    #[test]
    fn nobody_shuts_himself_out() {
        for rank in [Rank::Staff, Rank::Superuser] {
            for deed in Deed::ALL {
                let harmless = matches!(deed, Deed::EndSessions | Deed::ResetPassword);
                assert_eq!(may(rank, rank, deed, true).is_ok(), harmless, "{deed:?}");
            }
        }
    }
}
