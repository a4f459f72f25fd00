//! Whose the room is when its host stays away.
//!
//! A room passes on without its host's doing only when his grace has ended, and goes back to him when he returns. In a
//! chain (the next one is lost too) it goes back to the first: he never gave it away. What a host hands over by hand is
//! handed over; whoever only has the room for somebody can't give that away.

use super::OnHostLost;
use crate::id::UserId;
use crate::time::Timestamp;

/// Somebody approved who is in the room now. Guests and muted people are; nobody else counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub user: UserId,
    /// The host made them co-host.
    pub is_cohost: bool,
    /// Has a connection, rather than the moment to come back that a restarting node left them.
    pub is_connected: bool,
    /// Since when they are here without a break.
    pub since: Timestamp,
}

/// What becomes of a room whose host's grace has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// The host is here after all.
    Back,
    /// This one is host from now on.
    Pass(UserId),
    /// It goes on without a host, who finds it as it was.
    Wait,
    /// It is closed.
    Close,
}

/// Decides it. `lost` is to whom the room goes back, if it has passed on before ([`lost_after`]); `present` are the
/// candidates, in any order, the host among them if he is here.
///
/// An empty room needs no host: it waits, and is looked at again when somebody comes.
#[must_use]
pub fn succession(
    setting: OnHostLost,
    host: UserId,
    lost: Option<UserId>,
    present: &[Candidate],
) -> Succession {
    let is_here = |user: UserId| present.iter().any(|candidate| candidate.user == user);
    if is_here(host) {
        return Succession::Back;
    }
    // Also where the room would wait or close: it waits for nobody else.
    if let Some(first) = lost.filter(|first| is_here(*first)) {
        return Succession::Pass(first);
    }
    match setting {
        OnHostLost::Close => Succession::Close,
        OnHostLost::Wait => Succession::Wait,
        OnHostLost::Promote => {
            let next = present.iter().min_by_key(|c| (!c.is_connected, !c.is_cohost, c.since, c.user));
            next.map_or(Succession::Wait, |next| Succession::Pass(next.user))
        }
    }
}

/// To whom the room goes back after it has passed from `host` to `next` without `host`'s doing.
#[must_use]
pub fn lost_after(host: UserId, lost: Option<UserId>, next: UserId) -> Option<UserId> {
    Some(lost.unwrap_or(host)).filter(|first| *first != next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn user(n: u8) -> UserId {
        UserId(Uuid::from_u128(n.into()))
    }

    fn viewer(n: u8, since: i64) -> Candidate {
        Candidate { user: user(n), is_cohost: false, is_connected: true, since: Timestamp(since) }
    }

    fn cohost(n: u8, since: i64) -> Candidate {
        Candidate { is_cohost: true, ..viewer(n, since) }
    }

    const PROMOTE: OnHostLost = OnHostLost::Promote;

    #[test]
    fn who_was_here_longest_comes_next_and_a_cohost_before_him() {
        let viewers = [viewer(3, 20), viewer(2, 10), viewer(4, 30)];
        assert_eq!(succession(PROMOTE, user(1), None, &viewers), Succession::Pass(user(2)));
        let with_cohosts = [viewer(2, 10), cohost(4, 40), cohost(3, 30)];
        assert_eq!(succession(PROMOTE, user(1), None, &with_cohosts), Succession::Pass(user(3)));
        let at_once = [viewer(7, 10), viewer(5, 10), viewer(6, 10)];
        assert_eq!(succession(PROMOTE, user(1), None, &at_once), Succession::Pass(user(5)));
    }

    #[test]
    fn who_is_connected_comes_before_who_may_come_back() {
        let restarting = Candidate { is_connected: false, ..cohost(2, 10) };
        assert_eq!(
            succession(PROMOTE, user(1), None, &[restarting, viewer(3, 20)]),
            Succession::Pass(user(3))
        );
        assert_eq!(succession(PROMOTE, user(1), None, &[restarting]), Succession::Pass(user(2)));
    }

    #[test]
    fn a_host_who_is_here_stays_host_whatever_the_setting() {
        for setting in [OnHostLost::Promote, OnHostLost::Wait, OnHostLost::Close] {
            let present = [cohost(2, 1), viewer(1, 9)];
            assert_eq!(succession(setting, user(1), Some(user(2)), &present), Succession::Back);
        }
    }

    #[test]
    fn an_empty_room_waits_unless_it_is_to_close() {
        assert_eq!(succession(PROMOTE, user(1), None, &[]), Succession::Wait);
        assert_eq!(succession(OnHostLost::Wait, user(1), None, &[viewer(2, 1)]), Succession::Wait);
        assert_eq!(succession(OnHostLost::Close, user(1), None, &[viewer(2, 1)]), Succession::Close);
        assert_eq!(succession(OnHostLost::Close, user(1), None, &[]), Succession::Close);
    }

    #[test]
    fn who_lost_the_room_first_comes_before_everybody() {
        for setting in [OnHostLost::Promote, OnHostLost::Wait, OnHostLost::Close] {
            let present = [cohost(3, 1), viewer(1, 9)];
            assert_eq!(succession(setting, user(2), Some(user(1)), &present), Succession::Pass(user(1)));
        }
    }

    #[test]
    fn a_chain_goes_back_to_the_first() {
        let lost = lost_after(user(1), None, user(2));
        assert_eq!(lost, Some(user(1)));
        assert_eq!(lost_after(user(2), lost, user(3)), Some(user(1)));
        assert_eq!(lost_after(user(3), lost, user(1)), None);
    }

    fn people() -> impl Strategy<Value = Vec<Candidate>> {
        let one =
            (1u8..6, any::<bool>(), any::<bool>(), 0i64..5).prop_map(|(n, cohost, connected, since)| {
                Candidate { is_cohost: cohost, is_connected: connected, ..viewer(n, since) }
            });
        prop::collection::vec(one, 0..6).prop_map(|mut all| {
            all.sort_by_key(|candidate| candidate.user);
            all.dedup_by_key(|candidate| candidate.user);
            all
        })
    }

    proptest! {
        #[test]
        fn only_somebody_present_is_ever_chosen_and_the_order_of_the_list_says_nothing(
            (present, mixed) in people().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
            host in 1u8..6, lost in prop::option::of(1u8..6),
        ) {
            let (host, lost) = (user(host), lost.map(user));
            let decided = succession(PROMOTE, host, lost, &present);
            prop_assert_eq!(decided, succession(PROMOTE, host, lost, &mixed));
            match decided {
                Succession::Pass(next) => {
                    prop_assert!(next != host && present.iter().any(|candidate| candidate.user == next));
                }
                Succession::Back => prop_assert!(present.iter().any(|candidate| candidate.user == host)),
                Succession::Wait => prop_assert!(present.is_empty()),
                Succession::Close => prop_assert!(false, "nobody asked for that"),
            }
        }

        #[test]
        fn however_the_room_wanders_it_goes_back_to_its_first_host(
            rounds in prop::collection::vec(people(), 1..20)
        ) {
            let first = user(1);
            let (mut host, mut lost) = (first, None);
            for present in rounds {
                if let Succession::Pass(next) = succession(PROMOTE, host, lost, &present) {
                    lost = lost_after(host, lost, next);
                    host = next;
                }
                prop_assert!(lost != Some(host));
                prop_assert_eq!(lost.unwrap_or(host), first);
            }
            if let Succession::Pass(next) = succession(PROMOTE, host, lost, &[viewer(1, 99)]) {
                (lost, host) = (lost_after(host, lost, next), next);
            }
            prop_assert_eq!((host, lost), (first, None));
        }
    }
}
