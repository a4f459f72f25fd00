use super::*;

fn message(seq: u64) -> Message {
    Message { seq, user: "Ana".to_owned(), id: format!("m{seq}") }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn state(version: u64) -> State {
    State { version, is_playing: false, time_ms: 1_000.0, server_time: 5_000, reign: None }
}

fn joined(messages: impl IntoIterator<Item = u64>) -> Joined {
    Joined {
        asked: None,
        epoch: 1,
        resumed: false,
        messages: messages.into_iter().map(message).collect(),
        state: state(1),
        present: names(&["Ana", "Bo"]),
    }
}

/// Bo joined when one message was there, and saw `seen` until message 3 had been said.
fn run(seen: Vec<Seen>) -> Run {
    let mut all = vec![Seen::Joined(joined([1]))];
    all.extend(seen);
    Run {
        witnesses: vec![Witness { name: "Bo".to_owned(), seen: all, ..Witness::default() }],
        acknowledged: BTreeMap::from([(1, names(&["m1", "m2", "m3"]))]),
        steady: names(&["Ana"]),
        end: End { epoch: 1, messages: (1..=3).map(message).collect(), present: names(&["Ana", "Bo"]) },
    }
}

fn said(seqs: &[u64]) -> Vec<Seen> {
    seqs.iter().map(|seq| Seen::Said(message(*seq))).collect()
}

#[track_caller]
fn finds(run: &Run, expected: impl Fn(&Violation) -> bool) {
    let found = check(run);
    assert!(found.iter().any(expected), "{found:?}");
}

#[test]
fn a_good_evening_is_one() {
    let mut all = said(&[2]);
    all.push(Seen::Played(state(2)));
    all.push(Seen::Came("Cy".to_owned()));
    all.push(Seen::Ended(None));
    let mut back = joined([3]);
    back.asked = Some((1, 2));
    back.resumed = true;
    back.state = state(2);
    all.push(Seen::Joined(back));
    assert_eq!(check(&run(all)), []);
}

#[test]
fn holes_repeats_and_what_is_not_seen_are_found() {
    finds(&run(said(&[3])), |found| matches!(found, Violation::Hole { expected: 2, got: 3, .. }));
    finds(&run(said(&[2, 2, 3])), |found| matches!(found, Violation::Repeated { .. }));
    finds(&run(said(&[2])), |found| matches!(found, Violation::Behind { .. }));
    let mut lost = run(said(&[2, 3]));
    lost.acknowledged.entry(1).or_default().insert("m4".to_owned());
    finds(&lost, |found| matches!(found, Violation::Lost { .. }));
    // The answer to what one sent again is no repeat.
    let mut again = run(said(&[2, 2, 3]));
    again.witnesses[0].name = "Ana".to_owned();
    again.witnesses[0].sent_again = names(&["m2"]);
    assert_eq!(check(&again), []);
}

#[test]
fn a_resume_is_exact_or_says_that_it_is_not() {
    let resume = |asked, resumed, messages: &[u64]| {
        let mut all = said(&[2]);
        all.push(Seen::Ended(Some(1012)));
        let mut back = joined(messages.iter().copied());
        (back.asked, back.resumed) = (Some(asked), resumed);
        all.push(Seen::Joined(back));
        run(all)
    };
    assert_eq!(check(&resume((1, 2), true, &[3])), []);
    assert_eq!(check(&resume((1, 2), false, &[1, 2, 3])), []);
    finds(&resume((1, 1), true, &[3]), |found| matches!(found, Violation::Hole { .. }));
    finds(&resume((2, 2), true, &[3]), |found| matches!(found, Violation::FalseResume { .. }));
}

#[test]
fn one_message_has_one_number_and_the_other_way_round() {
    let mut doubled = run(said(&[2, 3]));
    let Some(Seen::Said(second)) = doubled.witnesses[0].seen.get_mut(2) else { unreachable!() };
    second.id = "m2".to_owned();
    doubled.end.messages[2].id = "m2".to_owned();
    doubled.acknowledged.clear();
    finds(&doubled, |found| matches!(found, Violation::Doubled { seqs: (2, 3), .. }));
    let mut apart = run(said(&[2, 3]));
    apart.end.messages[1].id = "other".to_owned();
    finds(&apart, |found| matches!(found, Violation::Disagree { .. }));
}

#[test]
fn playback_goes_forward_and_is_one() {
    let played = |versions: &[u64]| {
        let mut all = said(&[2, 3]);
        all.extend(versions.iter().map(|version| Seen::Played(state(*version))));
        run(all)
    };
    assert_eq!(check(&played(&[2, 5])), []);
    finds(&played(&[5, 2]), |found| matches!(found, Violation::WentBack { from: 5, to: 2, .. }));
    let mut two = played(&[2]);
    let mut other = two.witnesses[0].clone();
    other.name = "Cy".to_owned();
    let Some(Seen::Played(state)) = other.seen.last_mut() else { unreachable!() };
    state.time_ms += 10.0;
    two.witnesses.push(other);
    finds(&two, |found| matches!(found, Violation::TwoStates { .. }));
    let mut apart = played(&[2]);
    let mut other = apart.witnesses[0].clone();
    other.seen.pop();
    apart.witnesses.push(other);
    finds(&apart, |found| matches!(found, Violation::Apart { version: 1, highest: 2, .. }));
}

#[test]
fn a_running_film_is_told_for_another_moment_as_the_same_state() {
    let mut all = said(&[2, 3]);
    let running = State { is_playing: true, ..state(2) };
    all.push(Seen::Played(running));
    let mut run = run(all);
    let mut late = joined([1, 2, 3]);
    late.state = State { time_ms: 1_700.0, server_time: 5_700, ..running };
    let seen = vec![Seen::Joined(late)];
    run.witnesses.push(Witness { name: "Cy".to_owned(), seen, ..Witness::default() });
    assert_eq!(check(&run), []);

    // Who comes before the film begins and is told that it runs already is told another one.
    let early = State { server_time: 4_700, ..running };
    run.witnesses.last_mut().unwrap().seen.push(Seen::Played(early));
    finds(&run, |found| matches!(found, Violation::TwoStates { .. }));
}

#[test]
fn a_former_host_is_found_out() {
    let mut all = said(&[2, 3]);
    for (version, reign) in [(2, 0), (3, 1), (4, 0)] {
        all.push(Seen::Played(State { reign: Some(reign), ..state(version) }));
    }
    finds(&run(all), |found| matches!(found, Violation::FormerHost { version: 4, reign: 0, after: 1 }));
}

#[test]
fn lists_add_up() {
    let with = |seen: Vec<Seen>| {
        let mut all = said(&[2, 3]);
        all.extend(seen);
        run(all)
    };
    let went = |who: &str| Seen::Went(who.to_owned());
    let came = |who: &str| Seen::Came(who.to_owned());
    assert_eq!(check(&with(vec![came("Cy"), went("Cy")])), []);
    finds(&with(vec![came("Ana")]), |found| matches!(found, Violation::Impossible { .. }));
    finds(&with(vec![went("Cy")]), |found| matches!(found, Violation::Impossible { .. }));
    finds(&with(vec![came("Cy")]), |found| matches!(found, Violation::WrongList { .. }));
    finds(&with(vec![went("Ana"), came("Ana")]), |found| matches!(found, Violation::Noise { .. }));
    let list = |present: &[&str]| Seen::Listed(names(present));
    finds(&with(vec![list(&["Bo"]), list(&["Ana", "Bo"])]), |found| matches!(found, Violation::Noise { .. }));
}
