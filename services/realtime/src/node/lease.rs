//! Being seen to live, and seeing who does not.
//!
//! A node beats every 2 s; its lease runs out after 6. It holds another dead only when it has itself looked without a
//! break for 6 s and not seen a beat move. After anything that casts doubt on what it sees (the store came back, its
//! own beat was late) it concludes nothing from absence for 15 s: then everybody's beats may be missing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use streamit_domain::Incarnation;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::status::status;
use super::{Node, pause};
use crate::room::effect::Input;

/// How often a node beats and looks.
const BEAT: Duration = Duration::from_secs(2);
/// Without a beat seen for so long, a node is held dead.
const LIFE: Duration = Duration::from_secs(6);
/// How long nothing is concluded after a doubt.
const DOUBT: Duration = Duration::from_secs(15);
/// For how long rooms are told again of a dead node: some of its entries count until a later moment.
const REMEMBER: Duration = Duration::from_secs(120);

/// What this node has seen of the others.
#[derive(Debug, Default)]
pub struct Watch {
    seen: HashMap<Incarnation, (Option<u64>, Instant)>,
    dead: HashMap<Incarnation, Instant>,
    trusted_from: Option<Instant>,
    last_look: Option<Instant>,
}

impl Watch {
    /// Something casts doubt on what is seen.
    pub fn doubt(&mut self, now: Instant) {
        self.seen.clear();
        self.trusted_from = Some(now + DOUBT);
    }

    /// Takes in what was read at `now`: every incarnation that is known, with its beat if it has a lease. Returns the
    /// dead; nobody while in doubt, since one that was held dead before may beat again, unseen.
    pub fn look(
        &mut self,
        beats: &[(Incarnation, Option<u64>)],
        own: Incarnation,
        now: Instant,
    ) -> HashSet<Incarnation> {
        // A pause between looks is a time in which anything may have happened unseen.
        if self.last_look.is_some_and(|last| now - last > BEAT * 2) {
            self.doubt(now);
        }
        self.last_look = Some(now);
        for (incarnation, beat) in beats.iter().filter(|(incarnation, _)| *incarnation != own) {
            let (last, since) = self.seen.entry(*incarnation).or_insert((*beat, now));
            if beat != last && beat.is_some() {
                (*last, *since) = (*beat, now);
                self.dead.remove(incarnation);
            } else if now - *since >= LIFE && self.trusted_from.is_none_or(|from| now >= from) {
                self.dead.entry(*incarnation).or_insert(now);
            }
        }
        let known: HashSet<Incarnation> = beats.iter().map(|(incarnation, _)| *incarnation).collect();
        self.seen.retain(|incarnation, _| known.contains(incarnation));
        self.dead.retain(|incarnation, _| known.contains(incarnation));
        if self.trusted_from.is_some_and(|from| now < from) {
            return HashSet::new();
        }
        let lately = self.dead.iter().filter(|(_, since)| now - **since < REMEMBER);
        lately.map(|(incarnation, _)| *incarnation).collect()
    }
}

/// Beats and looks until `stop`, then gives the lease up. All the while it is noted that this process runs, whatever
/// the store does.
pub async fn run(node: Arc<Node>, stop: CancellationToken) {
    tokio::join!(pause::run(&node, &stop), beat(&node, &stop));
}

async fn beat(node: &Arc<Node>, stop: &CancellationToken) {
    let mut watch = Watch::default();
    let mut every = tokio::time::interval(BEAT);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut doubts = node.bus.doubts();
    let mut lives = node.pauses.lives();
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = node.orders.changed() => {} // so that it is seen at once
            () = stop.cancelled() => break,
        }
        node.look_for_pause(node.now().up);
        if std::mem::replace(&mut lives, node.pauses.lives()) != node.pauses.lives() {
            // So that rooms in which nothing happens come to hear of the new life, too.
            for (_, room) in node.rooms.list() {
                let _ = room.try_send(Input::Tick);
            }
        }
        let own = node.incarnation();
        if node.bus.beat(own, &status(node)).await.is_err() || node.bus.doubts() != doubts {
            doubts = node.bus.doubts();
            watch.doubt(Instant::now());
            continue;
        }
        let Ok(known) = node.bus.nodes().await else { continue };
        let Ok(beats) = node.bus.beats(&known).await else { continue };
        let beats: Vec<_> = known.into_iter().zip(beats).collect();
        let dead = watch.look(&beats, own, Instant::now());
        if dead.is_empty() {
            continue;
        }
        let dead: Arc<[Incarnation]> = dead.into_iter().collect();
        for (_, room) in node.rooms.list() {
            // A room that is too busy to hear it hears it with the next look.
            let _ = room.try_send(Input::Dead(dead.clone()));
        }
    }
    let _ = node.bus.rest(node.incarnation()).await; // else it runs out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Incarnation {
        Incarnation(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn dead_is_who_was_not_seen_to_move_for_the_life_of_a_lease() {
        let (own, other) = (id(1), id(2));
        let mut watch = Watch::default();
        let mut beat = 0;
        let look =
            |beats: Option<u64>, watch: &mut Watch, now| watch.look(&[(own, None), (other, beats)], own, now);
        let start = Instant::now();
        for i in 0..5 {
            beat += 1;
            assert!(look(Some(beat), &mut watch, start + BEAT * i).is_empty());
        }
        for i in 5..7 {
            assert!(look(Some(beat), &mut watch, start + BEAT * i).is_empty());
        }
        assert_eq!(look(None, &mut watch, start + BEAT * 7), HashSet::from([other]));
        assert!(look(Some(beat + 1), &mut watch, start + BEAT * 8).is_empty(), "it lives after all");
    }

    #[test]
    fn who_was_dead_before_a_doubt_is_not_told_of_until_it_is_over() {
        let (own, other) = (id(1), id(2));
        let mut watch = Watch::default();
        let start = Instant::now();
        let look = |watch: &mut Watch, beat, i| watch.look(&[(other, beat)], own, start + BEAT * i);
        for i in 0..3 {
            look(&mut watch, None, i);
        }
        assert_eq!(look(&mut watch, None, 3), HashSet::from([other]));
        // It beats again, but before that was seen there is a doubt: the first beat after it has not moved yet.
        watch.doubt(start + BEAT * 4);
        assert!(look(&mut watch, Some(1), 4).is_empty());
        for i in 5..20 {
            assert!(look(&mut watch, Some(i.into()), i).is_empty(), "look {i}");
        }
    }

    #[test]
    fn a_dead_node_is_told_of_for_a_while_and_then_left_alone() {
        let (own, other) = (id(1), id(2));
        let mut watch = Watch::default();
        let start = Instant::now();
        let dead = |watch: &mut Watch, i| !watch.look(&[(other, None)], own, start + BEAT * i).is_empty();
        let told = (0..200).filter(|i| dead(&mut watch, *i)).count();
        assert_eq!(told, 60);
    }

    #[test]
    fn nothing_is_concluded_while_in_doubt() {
        let (own, other) = (id(1), id(2));
        let mut watch = Watch::default();
        let start = Instant::now();
        watch.doubt(start);
        for i in 0..7 {
            assert!(watch.look(&[(other, None)], own, start + BEAT * i).is_empty());
        }
        assert!(!watch.look(&[(other, None)], own, start + BEAT * 8).is_empty());
        // A break in looking is a doubt of its own.
        let mut watch = Watch::default();
        watch.look(&[(other, None)], own, start);
        assert!(watch.look(&[(other, None)], own, start + BEAT * 10).is_empty());
    }
}
