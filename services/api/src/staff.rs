//! What staff does, in the panel or by a command: to accounts here, to rooms in [`crate::rooms`]. Whatever it is, it is
//! written down with its reason in the transaction that does it.

pub(crate) mod accounts;
pub(crate) mod nodes;
pub(crate) mod reports;

use streamit_domain::UserId;

use crate::audit::Origin;

/// Somebody of staff who does something, and why.
#[derive(Clone, Debug)]
pub(crate) struct By {
    /// Who.
    pub(crate) user: UserId,
    /// From where.
    pub(crate) origin: Origin,
    /// Why, in their words.
    pub(crate) reason: String,
}
