//! The api and its database, as one value: what it decides, and under which versions.
//!
//! Replicas share the database, so they are one here too; that they answer late, twice or not at all is the matter of
//! [`crate::link`].

use std::collections::BTreeMap;

use streamit_domain::playback::Playback;
use streamit_domain::room::{self, Access, Facts, Life, Person, Role, Settings, Standing};
use streamit_domain::{DisplayName, Timestamp, UserId, chat};
use streamit_wire::v1::{self, ModerationAction};
use streamit_wire::{Code, v1::event::Kind};
use uuid::Uuid;

use crate::world::{ROOM, World, note};

/// What is in the database.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) facts: Facts,
    /// What was said, from seq 1 on.
    pub(crate) messages: Vec<v1::ChatMessage>,
    keys: BTreeMap<(Vec<u8>, String), u64>,
    saved: Option<Playback>,
    host_lost_roster_version: u64,
    /// The roster version at which the room passed on.
    lost_host_roster_version: u64,
    /// Fences that the store has not heard of yet.
    pub(crate) fences_due: Vec<u64>,
}

/// The database, and the rules about it.
pub(crate) struct Api {
    pub(crate) stored: Database,
    drops_repeats: bool,
    /// Hosts in the order of their rule.
    pub(crate) hosts: Vec<UserId>,
    /// From which fence on each of them was.
    pub(crate) reigns: Vec<u64>,
    pub(crate) away_until: u64,
    /// What the sweeper knows of the store, and from when on absence counts for it.
    pub(crate) doubt: (u32, std::time::Duration),
    pub(crate) settled_at: u64,
}

/// The name of a person, which is all there is to tell them apart.
pub(crate) fn name_of(user: usize) -> String {
    format!("u{user}")
}

pub(crate) fn user_id(user: usize) -> UserId {
    UserId(Uuid::from_u128(0x1000 + user as u128))
}

fn display_name(user: UserId) -> DisplayName {
    let number = user.0.as_u128() - 0x1000;
    DisplayName::parse(&format!("u{number}")).expect("short and printable")
}

fn plain(user: UserId) -> Person {
    Person {
        name: display_name(user),
        standing: Standing::Approved,
        role: Role::Viewer,
        muted_until: None,
        removed_version: 0,
        changed_version: 0,
    }
}

impl Api {
    pub(crate) fn new(people: usize, drops_repeats: bool) -> Self {
        let host = user_id(0);
        let facts = Facts {
            room: ROOM,
            code: "ABC123".parse().expect("a code"),
            version: 1,
            fence: 1,
            epoch: 1,
            life: Life::Active,
            access: Access::Public,
            settings: Settings::default(),
            host,
            host_name: display_name(host),
            host_deadline: None,
            lost_host: None,
            source: None,
            max_members: u32::try_from(people).unwrap_or(u32::MAX) + 10,
            people: BTreeMap::new(),
        };
        let stored = Database {
            facts,
            messages: Vec::new(),
            keys: BTreeMap::new(),
            saved: None,
            host_lost_roster_version: 0,
            lost_host_roster_version: 0,
            fences_due: vec![1],
        };
        let (doubt, settled_at) = Default::default();
        Self { stored, drops_repeats, hosts: vec![host], reigns: vec![1], away_until: 0, doubt, settled_at }
    }

    fn standing(&self, user: UserId) -> Standing {
        self.stored.facts.people.get(&user).map_or(Standing::Approved, |person| person.standing)
    }

    /// Whether this person may be in the room at all.
    pub(crate) fn admits(&self, user: UserId) -> bool {
        self.standing(user) == Standing::Approved
    }

    pub(crate) fn admit(&self, user: UserId) -> v1::Admitted {
        let error = match self.standing(user) {
            Standing::Approved => "",
            Standing::Banned => Code::Banned.as_str(),
            _ => Code::NotApproved.as_str(),
        };
        v1::Admitted {
            error: error.to_owned(),
            room: ROOM.as_bytes().to_vec(),
            name: display_name(user).to_string(),
            facts_version: self.stored.facts.version,
        }
    }

    /// What changed since `base`.
    pub(crate) fn facts(&self, base: u64) -> v1::Facts {
        let mut facts = self.stored.facts.clone();
        facts.people.retain(|_, person| person.changed_version > base);
        v1::Facts::of(&facts, base)
    }

    pub(crate) fn head(&self) -> u64 {
        self.stored.messages.len() as u64
    }

    pub(crate) fn versions(&self) -> v1::RoomVersions {
        v1::RoomVersions {
            room: ROOM.as_bytes().to_vec(),
            facts_version: self.stored.facts.version,
            epoch: self.stored.facts.epoch,
            chat_head: self.head(),
            fence: self.stored.facts.fence,
            erasures: 0,
            kept_from: 1,
        }
    }

    pub(crate) fn history(&self, after: u64, before: u64, limit: usize, newest: bool) -> v1::HistoryReply {
        let is_in = |message: &&v1::ChatMessage| message.seq > after && (before == 0 || message.seq < before);
        let mut messages: Vec<_> = self.stored.messages.iter().filter(is_in).cloned().collect();
        if newest {
            messages.drain(..messages.len().saturating_sub(limit));
        } else {
            messages.truncate(limit);
        }
        v1::HistoryReply {
            messages,
            head: self.head(),
            kept_from: 1,
            epoch: self.stored.facts.epoch,
            ..Default::default()
        }
    }

    pub(crate) fn load_playback(&self) -> Option<Playback> {
        self.stored.saved
    }

    pub(crate) fn save_playback(&mut self, state: Playback) {
        if self.stored.saved.is_none_or(|saved| saved.version < state.version) {
            self.stored.saved = Some(state);
        }
    }

    fn append_one(&mut self, draft: &v1::ChatDraft, now: Timestamp) -> v1::Appended {
        let epoch = self.stored.facts.epoch;
        let key = (draft.user.clone(), draft.key.clone());
        if self.drops_repeats
            && let Some(seq) = self.stored.keys.get(&key)
        {
            let message = self.stored.messages.get(*seq as usize - 1).cloned();
            return v1::Appended { message, repeated_key: true, epoch, ..v1::Appended::default() };
        }
        let user = UserId::from_slice(&draft.user).expect("an id");
        let refused = if !self.admits(user) {
            Some(Code::NotApproved)
        } else if !self.stored.facts.settings.is_chat_enabled {
            Some(Code::ChatDisabled)
        } else {
            self.stored.facts.muted(user, now).map(|_| Code::Muted)
        };
        if let Some(code) = refused {
            return v1::Appended { error: code.as_str().to_owned(), epoch, ..v1::Appended::default() };
        }
        let message = v1::ChatMessage {
            seq: self.head() + 1,
            user: draft.user.clone(),
            name: display_name(user).to_string(),
            text: chat::text(&draft.text).expect("said by a client of ours").to_owned(),
            client_id: if draft.key_is_client_id { draft.key.clone() } else { String::new() },
            created_at: now.0,
            erased: false,
        };
        self.stored.keys.insert(key, message.seq);
        self.stored.messages.push(message.clone());
        v1::Appended { message: Some(message), epoch, ..v1::Appended::default() }
    }

    /// A person of whom there is more to say than that he joined.
    fn person(&mut self, user: UserId) -> &mut Person {
        self.stored.facts.people.entry(user).or_insert_with(|| plain(user))
    }
}

/// What the api does and then tells.
impl World {
    pub(crate) fn append(&mut self, drafts: &[v1::ChatDraft]) -> Vec<v1::Appended> {
        let now = self.room_time();
        let results: Vec<_> = drafts.iter().map(|draft| self.api.append_one(draft, now)).collect();
        let stored = results.iter().filter(|result| !result.repeated_key);
        let messages: Vec<_> = stored.filter_map(|result| result.message.clone()).collect();
        for message in &messages {
            note!(self, "api stores {} {}", message.seq, message.text);
        }
        if !messages.is_empty() {
            let epoch = self.api.stored.facts.epoch;
            self.announce(move |_| Kind::Chat(v1::Chat { epoch, messages }));
        }
        results
    }

    /// Tells the nodes of the change that was just committed.
    pub(crate) fn announce_facts(&mut self) {
        let base = self.api.stored.facts.version - 1;
        note!(self, "api commits facts {}, fence {}", base + 1, self.api.stored.facts.fence);
        self.tell_fence();
        self.announce(move |world| Kind::Facts(world.api.facts(base)));
    }

    fn announce(&mut self, kind: impl FnOnce(&Self) -> Kind + 'static) {
        let delay = self.rng.u64(0..20);
        self.after(delay, move |world| {
            if world.now >= world.store.away_until {
                let kind = kind(world);
                world.store.publish(kind);
                world.spread_news();
            }
        });
    }

    /// The outbox: tells the store of fences until it has heard.
    pub(crate) fn tell_fence(&mut self) {
        let delay = if self.rng.bool() { 1 } else { self.rng.u64(0..1_500) };
        self.after(delay, |world| {
            if world.api.stored.fences_due.is_empty() {
                return;
            }
            if world.now < world.store.away_until || world.happens(100) {
                world.after(1_000, Self::tell_fence);
                return;
            }
            for fence in std::mem::take(&mut world.api.stored.fences_due) {
                note!(world, "the store hears of fence {fence}");
                world.store.raise_fence(fence);
            }
        });
    }

    /// Makes somebody else host, by hand.
    pub(crate) fn set_host(&mut self, user: UserId) {
        self.api.stored.facts.lost_host.take_if(|lost| *lost == user);
        self.rules(user, 0);
    }

    /// Somebody else is host; he was in the roster, or is reported about, from this version on.
    fn rules(&mut self, user: UserId, roster_version: u64) {
        let facts = &mut self.api.stored.facts;
        facts.version += 1;
        facts.fence += 1;
        facts.host = user;
        facts.host_name = display_name(user);
        facts.host_deadline = None;
        let fence = facts.fence;
        self.api.stored.host_lost_roster_version = roster_version;
        self.api.stored.fences_due.push(fence);
        self.api.hosts.push(user);
        self.api.reigns.push(fence);
        note!(self, "api makes {} host", display_name(user));
        self.announce_facts();
    }

    /// The room passes on without its host's doing.
    pub(crate) fn pass_on(&mut self, next: UserId, roster_version: u64) {
        let facts = &mut self.api.stored.facts;
        facts.lost_host = room::lost_after(facts.host, facts.lost_host, next);
        self.api.stored.lost_host_roster_version = roster_version;
        self.rules(next, roster_version);
    }

    /// The deadline of the host is another one, or none.
    pub(crate) fn wait_for_host(&mut self, deadline: Option<Timestamp>) {
        let facts = &mut self.api.stored.facts;
        facts.host_deadline = deadline;
        facts.version += 1;
        self.announce_facts();
    }

    pub(crate) fn toggle_chat(&mut self) {
        let facts = &mut self.api.stored.facts;
        facts.version += 1;
        facts.settings.is_chat_enabled ^= true;
        self.announce_facts();
    }

    pub(crate) fn report_host(&mut self, report: &v1::HostReport) {
        let now = self.room_time();
        let api = &mut self.api;
        let is_lost_host = api.stored.facts.lost_host.is_some_and(|lost| report.host == lost.as_bytes());
        if is_lost_host && report.is_back && api.stored.facts.fence >= report.fence {
            if api.stored.lost_host_roster_version < report.roster_version
                && let Some(lost) = api.stored.facts.lost_host.take()
            {
                self.rules(lost, report.roster_version);
            }
            return;
        }
        let heard = api.stored.host_lost_roster_version;
        let is_stale = heard > report.roster_version || (heard == report.roster_version && report.is_back);
        if is_stale
            || report.host != api.stored.facts.host.as_bytes()
            || api.stored.facts.fence < report.fence
        {
            return;
        }
        api.stored.host_lost_roster_version = report.roster_version;
        let before = api.stored.facts.host_deadline;
        let grace = u64::from(api.stored.facts.settings.host_grace_seconds);
        api.stored.facts.host_deadline = match (report.is_back, before) {
            (true, _) => None,
            (false, Some(deadline)) => Some(deadline),
            (false, None) => Some(now.plus(std::time::Duration::from_secs(grace))),
        };
        if before.is_some() != api.stored.facts.host_deadline.is_some() {
            api.stored.facts.version += 1;
            self.announce_facts();
        }
    }

    pub(crate) fn moderate(&mut self, request: &v1::ModerateRequest) -> Option<Code> {
        if request.actor != self.api.stored.facts.host.as_bytes() {
            return Some(Code::HostOnly);
        }
        let target = UserId::from_slice(&request.target).expect("an id");
        if target == self.api.stored.facts.host || target == self.api.hosts[0] {
            return Some(Code::Forbidden);
        }
        let (version, now) = (self.api.stored.facts.version + 1, self.room_time());
        let before = self.api.standing(target);
        let person = self.api.person(target);
        let until = std::time::Duration::from_secs(request.seconds);
        match (request.action(), before) {
            (ModerationAction::Kick, Standing::Approved) => {
                (person.standing, person.removed_version) = (Standing::Kicked, version);
            }
            (ModerationAction::Ban, Standing::Approved | Standing::Kicked) => {
                (person.standing, person.removed_version) = (Standing::Banned, version);
            }
            (ModerationAction::Mute, _) => person.muted_until = Some(now.plus(until)),
            _ => return Some(Code::Conflict),
        }
        person.changed_version = version;
        self.api.stored.facts.version = version;
        note!(self, "api: {:?} of {}", request.action(), display_name(target));
        self.announce_facts();
        None
    }

    /// Somebody who was kicked joins again through the api, as after the time of a kick.
    pub(crate) fn readmit(&mut self, user: UserId) {
        let version = self.api.stored.facts.version + 1;
        if self.api.standing(user) != Standing::Kicked {
            return;
        }
        let person = self.api.person(user);
        person.standing = Standing::Approved;
        person.changed_version = version;
        self.api.stored.facts.version = version;
        note!(self, "api readmits {}", display_name(user));
        self.announce_facts();
    }

    /// The database is put back to what it was.
    pub(crate) fn restore(&mut self, backup: Database) {
        note!(
            self,
            "the database is restored: {} messages, facts {}",
            backup.messages.len(),
            backup.facts.version
        );
        self.api.stored = backup;
    }

    /// A node has seen more than is stored: a new epoch begins, above all that was.
    pub(crate) fn report_loss(&mut self, seen: &v1::Seen) {
        let Database { facts, messages, .. } = &self.api.stored;
        let other = usize::try_from(seen.chat_head).ok().and_then(|head| messages.get(head.checked_sub(1)?));
        let is_other = other.is_some_and(|other| seen.chat_at != 0 && other.created_at != seen.chat_at);
        let is_less = facts.version < seen.facts_version
            || facts.fence < seen.fence
            || (messages.len() as u64) < seen.chat_head
            || is_other;
        if !(facts.epoch < seen.epoch || (facts.epoch == seen.epoch && is_less)) {
            return;
        }
        let facts = &mut self.api.stored.facts;
        facts.epoch = facts.epoch.max(seen.epoch) + 1;
        facts.version = facts.version.max(seen.facts_version) + 1;
        facts.fence = facts.fence.max(seen.fence) + 1;
        let (epoch, fence) = (facts.epoch, facts.fence);
        self.api.stored.fences_due.push(fence);
        note!(self, "api has lost something: epoch {epoch} begins");
        self.announce_facts();
    }
}
