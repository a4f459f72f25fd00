//! For whom a film waits, and how often.

use streamit_domain::room::Source;

use super::readiness::{Party, SOON};
use super::*;

#[test]
fn a_client_that_knows_nothing_of_it_is_waited_for_once() {
    let mut party = Party::strict(2);
    party.says(0, true);
    party.command(play(0.0));
    assert!((15_000..=16_000).contains(&party.held_for()));
    for n in 0..3 {
        party.command(Command::Pause(None));
        party.set(|facts| {
            facts.source = Some(Source { url: Some(format!("http://x/{n}.mp4")), ..Source::default() });
        });
        party.says(0, true);
        party.command(play(0.0));
        assert!(party.film().is_running(), "film {n}");
    }
}

#[test]
fn who_stalls_every_ten_seconds_holds_twice() {
    let mut party = Party::running(2);
    let mut holds = 0;
    for _ in 0..60 {
        party.says(1, false);
        holds += u32::from(party.film().held_until.is_some());
        party.cluster.pass(5_000);
        party.says(1, true);
        party.cluster.pass(5_000);
        assert!(party.film().is_running());
    }
    assert_eq!(holds, 2);
}

#[test]
fn who_goes_and_comes_anew_holds_no_more_than_who_stays() {
    for stays_for in [1_000, 7_900, 9_000] {
        let mut party = Party::running(2);
        let mut holds = 0;
        for _ in 0..10 {
            party.says(1, false);
            holds += u32::from(party.film().held_until.is_some());
            party.cluster.pass(stays_for);
            party.leaves(1);
            party.cluster.pass(SOON);
            assert!(party.film().is_running());
            let anew = party.cluster.join(1, 2);
            party.seats.push((1, anew));
            party.says(1, true);
        }
        assert_eq!(holds, 2, "going after {stays_for} ms");
    }
}

#[test]
fn who_lets_two_deadlines_pass_is_not_waited_for_at_every_start_and_seek() {
    let mut party = Party::running(3);
    let mut held = Vec::new();
    for n in 0..5 {
        if n % 2 == 0 {
            party.command(Command::Pause(None));
            party.says(1, false);
            party.command(play(60.0));
        } else {
            party.command(Command::Seek(MediaTime::try_from(f64::from(n) * 60.0).unwrap()));
            party.cluster.pass(1_000);
            party.says(1, false);
        }
        held.push(party.held_for());
        assert!(party.film().is_running());
        party.cluster.pass(2_000);
        party.says(1, true);
        party.cluster.pass(2_000);
    }
    assert!(held[..2].iter().all(|ms| (8_000..9_000).contains(ms)) && held[2..] == [0, 0, 0], "{held:?}");
}

#[test]
fn who_runs_dry_right_after_a_start_has_run_dry() {
    let mut party = Party::strict(2);
    (0..2).for_each(|who| party.says(who, true));
    party.command(play(10.0));
    let mut holds = 0;
    for _ in 0..5 {
        party.cluster.pass(SOON);
        party.says(1, false);
        holds += u32::from(party.film().held_until.is_some());
        party.says(1, true);
        assert!(party.film().is_running());
    }
    assert_eq!(holds, 2);
}

#[test]
fn whoever_loads_after_a_seek_is_waited_for_however_often_the_host_seeks() {
    let mut party = Party::running(2);
    for n in 1..8 {
        party.command(Command::Seek(MediaTime::try_from(f64::from(n) * 60.0).unwrap()));
        party.cluster.pass(1_000);
        party.says(1, false);
        assert!(party.film().held_until.is_some(), "seek {n}");
        party.says(1, true);
        party.cluster.pass(5_000);
        assert!(party.film().is_running());
    }
}

#[test]
fn who_comes_late_holds_nothing() {
    let mut party = Party::running(2);
    let late = party.cluster.join(1, 9);
    party.seats.push((1, late));
    party.says(2, false);
    assert!(party.film().is_running(), "his first load");
    party.says(1, false);
    assert!(party.film().held_until.is_some());
    party.says(1, true);
    assert!(party.film().is_running(), "nor does he prolong a hold");
    party.says(2, true);
    party.says(2, false);
    assert!(party.film().held_until.is_some(), "from then on he is one of them");
}

#[test]
fn who_comes_while_a_start_is_held_does_not_prolong_it() {
    let mut party = Party::strict(2);
    party.says(0, true);
    party.command(play(0.0));
    party.cluster.pass(1_000);
    party.cluster.join(1, 9);
    party.says(1, true);
    assert!(party.film().is_running());
}

#[test]
fn a_reload_is_no_stall() {
    let mut party = Party::running(2);
    let (node, connection) = party.seats.remove(1);
    party.cluster.leave(node, connection, Gone::Grace);
    let again = party.cluster.join(1, 2);
    party.seats.push((1, again));
    party.says(1, false);
    assert!(party.film().is_running());
    party.says(1, true);
    party.says(1, false);
    assert!(party.film().held_until.is_some());
}
