//! The lists of the panel, its logins, and what staff does to accounts.

use streamit_domain::account::Email;
use streamit_domain::room::{Access, Life, Standing};
use streamit_domain::{RoomId, SessionId, Timestamp, UserId};
use streamit_storage::chat::{self, Draft, Which};
use streamit_storage::panel::messages::Of as Said;
use streamit_storage::panel::rooms::{Filter, Sort};
use streamit_storage::panel::seats::Of;
use streamit_storage::panel::sessions::{IDLE, LONGEST, NewPanelSession};
use streamit_storage::panel::users::Kind;
use streamit_storage::panel::{
    Mark, Marked, Order, Page, Place, Window, bans, counts, logins, messages, rooms as list, seats, sessions,
    users as people,
};
use streamit_storage::users::{self, NewUser};
use streamit_storage::{bans as networks, participants, rooms, staff};

use crate::harness::{Db, NOW, id, later, name};

both_engines!(
    people_are_found_by_the_beginning_of_their_name_or_address,
    a_list_is_read_forth_and_back,
    rooms_are_found_by_code_and_by_the_name_of_their_host,
    rooms_are_sorted_by_when_somebody_was_in_them,
    entries_are_listed_by_room_by_person_and_by_ban,
    what_was_said_is_listed_by_room_by_person_and_by_time,
    sessions_are_listed_by_person_and_by_whether_they_hold,
    networks_are_listed_until_their_time_is_over,
    a_login_to_the_panel_holds_as_long_as_it_is_used_and_its_owner_is_staff,
    who_is_forgotten_is_forgotten_everywhere,
    rights_are_for_accounts,
    figures_stop_where_they_are_large_enough,
);

const ALL: Window = Window { order: Order::Newest, place: Place::Start, limit: 50 };

async fn account(db: &Db, address: &str, called: &str) -> UserId {
    let email = Email::parse(address).unwrap();
    let user = NewUser::account(UserId(id()), email, name(called), "$argon2id$x".to_owned(), NOW);
    let mut tx = db.store.begin().await.unwrap();
    users::insert(&mut tx, &user).await.unwrap();
    tx.commit().await.unwrap();
    user.id
}

async fn says(db: &Db, room: RoomId, user: UserId, text: &str, at: Timestamp) {
    let draft = Draft { room, user, text: text.to_owned(), key: text.to_owned(), key_is_client_id: false };
    let mut tx = db.store.begin().await.unwrap();
    chat::append(&mut tx, &[draft], at).await.unwrap();
    tx.commit().await.unwrap();
}

async fn people_are_found_by_the_beginning_of_their_name_or_address(db: Db) {
    let guest = db.guest("Zoë").await;
    let ana = account(&db, "ana@example.org", "Queen").await;
    let bo = account(&db, "bo_x@example.org", "ANAtol").await;
    let mut tx = db.store.begin().await.unwrap();
    staff::set_rights(&mut tx, ana, true, false).await.unwrap();
    users::set_active(&mut tx, bo, false).await.unwrap();
    tx.commit().await.unwrap();
    let mut read = db.store.read().await.unwrap();
    for (kind, search, found) in [
        (Kind::Any, None, vec![bo, ana, guest]),
        (Kind::Guest, None, vec![guest]),
        (Kind::Account, None, vec![bo, ana]),
        (Kind::Staff, None, vec![ana]),
        (Kind::Inactive, None, vec![bo]),
        (Kind::Any, Some("ana"), vec![bo, ana]),
        (Kind::Any, Some("ANA@"), vec![ana]),
        (Kind::Staff, Some("ana"), vec![ana]),
        (Kind::Inactive, Some("ana"), vec![bo]),
        (Kind::Guest, Some("ana"), vec![]),
        (Kind::Any, Some("Zo"), vec![guest]),
        (Kind::Any, Some("bo_"), vec![bo]),
        // No pattern: what it means is itself.
        (Kind::Any, Some("%"), vec![]),
        (Kind::Any, Some("bo-"), vec![]),
    ] {
        let page = people::list(&mut read, kind, search, ALL).await.unwrap();
        let ids: Vec<UserId> = page.rows.iter().map(|user| user.id).collect();
        assert_eq!(ids, found, "{kind:?} {search:?}");
    }
    assert!(!people::is_anonymised(&mut read, ana).await.unwrap());
}

async fn a_list_is_read_forth_and_back(db: Db) {
    let mut all = Vec::new();
    for n in 0..7 {
        all.push(db.guest(&format!("Guest {n}")).await);
    }
    all.reverse();
    let mut read = db.store.read().await.unwrap();
    for order in [Order::Newest, Order::Oldest] {
        let (mut place, mut forth) = (Place::Start, Vec::new());
        let last = loop {
            let window = Window { order, place, limit: 3 };
            let page = people::list(&mut read, Kind::Any, None, window).await.unwrap();
            assert_eq!(page.has_previous, place != Place::Start);
            forth.push(ids(&page));
            match page.next() {
                Some(mark) => place = Place::After(mark),
                None => break page,
            }
        };
        assert_eq!(forth.concat(), all, "{order:?}");
        let (mut mark, mut back) = (last.previous(), vec![ids(&last)]);
        while let Some(before) = mark {
            let window = Window { order, place: Place::Before(before), limit: 3 };
            let page = people::list(&mut read, Kind::Any, None, window).await.unwrap();
            assert!(page.has_next);
            back.insert(0, ids(&page));
            mark = page.previous();
        }
        assert_eq!(back, forth, "{order:?}");
        all.reverse();
    }
    // Beyond the end there is nothing, and a way back.
    let beyond = Mark { at: i64::MIN, id: uuid::Uuid::nil(), number: 0 };
    let window = Window { order: Order::Newest, place: Place::After(beyond), limit: 3 };
    let page = people::list(&mut read, Kind::Any, None, window).await.unwrap();
    assert!(page.rows.is_empty() && page.next().is_none());
}

fn ids(page: &Page<users::User>) -> Vec<UserId> {
    page.rows.iter().map(|user| user.id).collect()
}

async fn rooms_are_found_by_code_and_by_the_name_of_their_host(db: Db) {
    let one = db.room_at(Access::Public, later(1)).await;
    let two = db.room_at(Access::Password, later(2)).await;
    let bo = db.guest("Boris").await;
    db.join(two.id, bo, "Boris", Standing::Approved).await;
    let mut tx = db.store.begin().await.unwrap();
    rooms::set_host(&mut tx, two.id, bo, NOW).await.unwrap();
    rooms::end(&mut tx, one.id, Life::Closed, NOW).await.unwrap();
    tx.commit().await.unwrap();
    let mut read = db.store.read().await.unwrap();
    let whole = one.code.to_string().to_lowercase();
    for (life, access, search, found) in [
        (None, None, None, vec![two.id, one.id]),
        (Some(Life::Active), None, None, vec![two.id]),
        (Some(Life::Closed), None, None, vec![one.id]),
        (None, Some(Access::Password), None, vec![two.id]),
        (None, Some(Access::Approval), None, vec![]),
        (None, None, Some("a0"), vec![two.id, one.id]),
        (None, None, Some(whole.as_str()), vec![one.id]),
        (None, None, Some("bor"), vec![two.id]),
        // Who opened a room and is not its host any more is not looked for.
        (None, None, Some("ana"), vec![one.id]),
        (Some(Life::Active), None, Some("ana"), vec![]),
    ] {
        let filter = Filter { life, access, search, sort: Sort::Opened };
        let page = list::list(&mut read, &filter, ALL).await.unwrap();
        let ids: Vec<RoomId> = page.rows.iter().map(|room| room.id).collect();
        assert_eq!(ids, found, "{filter:?}");
    }
    let page = list::list(&mut read, &Filter::default(), ALL).await.unwrap();
    assert_eq!((page.rows[0].host, page.rows[0].host_name.as_str()), (bo, "Boris"));
}

async fn rooms_are_sorted_by_when_somebody_was_in_them(db: Db) {
    let one = db.room_at(Access::Public, later(1)).await;
    let two = db.room_at(Access::Public, later(2)).await;
    let mut tx = db.store.begin().await.unwrap();
    rooms::touch(&mut tx, &[one.id], later(500_000)).await.unwrap();
    tx.commit().await.unwrap();
    let mut read = db.store.read().await.unwrap();
    let filter = Filter { sort: Sort::Active, ..Filter::default() };
    let first = list::list(&mut read, &filter, Window { limit: 1, ..ALL }).await.unwrap();
    assert_eq!(first.rows[0].id, one.id);
    let place = Place::After(first.next().unwrap());
    let second = list::list(&mut read, &filter, Window { place, limit: 1, ..ALL }).await.unwrap();
    assert_eq!((second.rows[0].id, second.has_next), (two.id, false));
    assert_eq!(list::active(&mut read, later(3), 10).await.unwrap(), [one.id]);
    assert_eq!(list::active(&mut read, NOW, 10).await.unwrap(), [one.id, two.id]);
}

async fn entries_are_listed_by_room_by_person_and_by_ban(db: Db) {
    let (room, other) = (db.room(Access::Public).await, db.room(Access::Public).await);
    let bo = db.guest("Bo").await;
    db.join_at(room.id, bo, "Bo", Standing::Approved, later(10)).await;
    db.join_at(other.id, bo, "Bo", Standing::Approved, later(20)).await;
    db.stand(room.id, bo, Standing::Banned).await;
    let mut read = db.store.read().await.unwrap();
    for (of, standing, found) in [
        (Of::Room(room.id), None, vec![(room.id, bo), (room.id, room.host)]),
        (Of::Room(room.id), Some(Standing::Banned), vec![(room.id, bo)]),
        (Of::Room(other.id), Some(Standing::Banned), vec![]),
        (Of::Person(bo), None, vec![(other.id, bo), (room.id, bo)]),
        (Of::Person(bo), Some(Standing::Approved), vec![(other.id, bo)]),
        (Of::Banned, None, vec![(room.id, bo)]),
    ] {
        let page = seats::list(&mut read, of, standing, ALL).await.unwrap();
        let seats: Vec<_> = page.rows.iter().map(|seat| (seat.room, seat.user)).collect();
        assert_eq!(seats, found, "{of:?} {standing:?}");
    }
    // Page by page: the mark of a person's rooms is the room.
    let one = Window { limit: 1, ..ALL };
    let first = seats::list(&mut read, Of::Person(bo), None, one).await.unwrap();
    let place = Place::After(first.next().unwrap());
    let second = seats::list(&mut read, Of::Person(bo), None, Window { place, ..one }).await.unwrap();
    assert_eq!(second.rows[0].room, room.id);
    assert_eq!(second.rows[0].mark().id, room.id.0);
}

async fn what_was_said_is_listed_by_room_by_person_and_by_time(db: Db) {
    let (room, other) = (db.room(Access::Public).await, db.room(Access::Public).await);
    let bo = db.member(room.id, "Bo").await;
    db.join(other.id, bo, "Bo", Standing::Approved).await;
    says(&db, room.id, bo, "One Hundred % sure", later(1)).await;
    says(&db, other.id, bo, "two", later(2)).await;
    says(&db, room.id, room.host, "three", later(3)).await;
    says(&db, room.id, bo, "four", later(3)).await;
    let mut tx = db.store.begin().await.unwrap();
    chat::erase(&mut tx, room.id, Which::One(3), later(9)).await.unwrap();
    tx.commit().await.unwrap();
    let mut read = db.store.read().await.unwrap();
    for (of, found) in [
        (Said::Room(room.id, None), vec!["-", "three", "One Hundred % sure"]),
        (Said::Room(room.id, Some("hundred %")), vec!["One Hundred % sure"]),
        (Said::Room(room.id, Some("_")), vec![]),
        (Said::Room(room.id, Some("two")), vec![]),
        (Said::Person(bo), vec!["-", "two", "One Hundred % sure"]),
        (Said::Person(room.host), vec!["three"]),
        (Said::Anybody, vec!["-", "three", "two", "One Hundred % sure"]),
    ] {
        let page = messages::list(&mut read, of, ALL).await.unwrap();
        let texts: Vec<&str> = page.rows.iter().map(|said| said.text.as_deref().unwrap_or("-")).collect();
        assert_eq!(texts, found, "{of:?}");
        // One at a time, forth and back.
        let (mut place, mut forth) = (Place::Start, Vec::new());
        loop {
            let window = Window { order: Order::Oldest, place, limit: 1 };
            let page = messages::list(&mut read, of, window).await.unwrap();
            forth.extend(page.rows.iter().map(|said| said.text.clone().unwrap_or("-".to_owned())));
            let Some(mark) = page.next() else { break };
            place = Place::After(mark);
        }
        forth.reverse();
        assert_eq!(forth, texts, "{of:?}");
    }
    let erased = messages::one(&mut read, room.id, 3).await.unwrap().unwrap();
    assert_eq!((erased.text, erased.erased_at), (None, Some(later(9))));
    assert_eq!(messages::one(&mut read, room.id, 4).await.unwrap(), None);
}

async fn sessions_are_listed_by_person_and_by_whether_they_hold(db: Db) {
    let (ana, bo) = (db.guest("Ana").await, db.guest("Bo").await);
    let (first, second, other) = (db.session(ana).await, db.session(ana).await, db.session(bo).await);
    let mut tx = db.store.begin().await.unwrap();
    streamit_storage::sessions::revoke(&mut tx, first, NOW).await.unwrap();
    tx.commit().await.unwrap();
    let mut read = db.store.read().await.unwrap();
    for (user, live_at, found) in [
        (None, None, vec![other, second, first]),
        (Some(ana), None, vec![second, first]),
        (Some(ana), Some(NOW), vec![second]),
        (None, Some(NOW), vec![other, second]),
        (None, Some(later(3_600_000)), vec![]),
    ] {
        let page = logins::list(&mut read, user, live_at, ALL).await.unwrap();
        let ids: Vec<SessionId> = page.rows.iter().map(|login| login.id).collect();
        assert_eq!(ids, found, "{user:?} {live_at:?}");
        assert!(page.rows.iter().all(|login| login.is_live(NOW) != (login.id == first)));
    }
    assert_eq!(logins::one(&mut read, first).await.unwrap().unwrap().user, ana);
}

async fn networks_are_listed_until_their_time_is_over(db: Db) {
    let (room, other) = (db.room(Access::Public).await, db.room(Access::Public).await);
    let bo = db.member(room.id, "Bo").await;
    let mut tx = db.store.begin().await.unwrap();
    let session = SessionId(id());
    streamit_storage::sessions::insert(
        &mut tx,
        &streamit_storage::sessions::NewSession {
            id: session,
            user: bo,
            cookie_hash: None,
            user_agent: None,
            address: Some("a network"),
            created_at: NOW,
            expires_at: later(1_000_000),
        },
    )
    .await
    .unwrap();
    networks::insert(&mut tx, room.id, bo, later(1_000), NOW).await.unwrap();
    tx.commit().await.unwrap();
    let mut read = db.store.read().await.unwrap();
    for (of, now, count) in
        [(None, NOW, 1), (Some(room.id), NOW, 1), (Some(other.id), NOW, 0), (None, later(1_000), 0)]
    {
        let page = bans::list(&mut read, of, now, ALL).await.unwrap();
        assert_eq!(page.rows.len(), count, "{of:?} {now:?}");
        assert!(page.rows.iter().all(|network| network.user == bo && network.until == later(1_000)));
    }
}

async fn a_login_to_the_panel_holds_as_long_as_it_is_used_and_its_owner_is_staff(db: Db) {
    let root = account(&db, "root@example.org", "Root").await;
    let (hash, session) = ([7_u8; 32], SessionId(id()));
    let new = NewPanelSession {
        id: session,
        user: root,
        cookie_hash: &hash,
        user_agent: Some("Browser"),
        address: Some("203.0.113.0/24"),
        created_at: NOW,
    };
    let mut tx = db.store.begin().await.unwrap();
    sessions::insert(&mut tx, &new).await.unwrap();
    assert!(sessions::by_cookie(&mut tx, &hash, NOW).await.unwrap().is_none(), "not of staff");
    staff::set_rights(&mut tx, root, true, false).await.unwrap();
    let found = sessions::by_cookie(&mut tx, &hash, NOW).await.unwrap().unwrap();
    assert_eq!((found.id, found.user.id, found.seen_at), (session, root, NOW));
    assert!(sessions::by_cookie(&mut tx, &[8; 32], NOW).await.unwrap().is_none());

    let idle = NOW.plus(IDLE);
    assert!(sessions::by_cookie(&mut tx, &hash, idle).await.unwrap().is_none());
    sessions::touch(&mut tx, session, later(1)).await.unwrap();
    sessions::touch(&mut tx, session, NOW).await.unwrap();
    assert!(sessions::by_cookie(&mut tx, &hash, idle).await.unwrap().is_some(), "it never goes back");
    let end = NOW.plus(LONGEST);
    sessions::touch(&mut tx, session, end).await.unwrap();
    assert!(sessions::by_cookie(&mut tx, &hash, end).await.unwrap().is_none());
    let before = Timestamp(end.0 - 1);
    assert!(sessions::by_cookie(&mut tx, &hash, before).await.unwrap().is_some());
    users::set_active(&mut tx, root, false).await.unwrap();
    assert!(sessions::by_cookie(&mut tx, &hash, before).await.unwrap().is_none());
    users::set_active(&mut tx, root, true).await.unwrap();
    assert_eq!(sessions::revoke_all(&mut tx, root, before).await.unwrap(), 1);
    assert!(!sessions::revoke(&mut tx, session, before).await.unwrap());
    assert!(sessions::by_cookie(&mut tx, &hash, before).await.unwrap().is_none());
}

async fn who_is_forgotten_is_forgotten_everywhere(db: Db) {
    let ana = account(&db, "ana@example.org", "Ana").await;
    let (open, ended) = (db.room(Access::Public).await, db.room(Access::Public).await);
    for room in [&open, &ended] {
        db.join(room.id, ana, "Ana-Maria", Standing::Approved).await;
        says(&db, room.id, ana, "hello", NOW).await;
    }
    let mut tx = db.store.begin().await.unwrap();
    rooms::end(&mut tx, ended.id, Life::Closed, NOW).await.unwrap();
    tx.commit().await.unwrap();
    let before = db.reload(open.id).await.facts_version;

    let mut tx = db.store.begin().await.unwrap();
    let (actor, target) = staff::lock_pair(&mut tx, open.host, ana).await.unwrap();
    assert_eq!((actor.unwrap().id, target.unwrap().id), (open.host, ana));
    let changed = staff::anonymise(&mut tx, ana, &name("Somebody 1"), NOW).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(changed, [(open.id, before + 1)], "rooms that have ended tell nobody");

    let facts = db.facts(open.id, before).await;
    assert_eq!(facts.people[&ana].name, name("Somebody 1"));
    let mut read = db.store.read().await.unwrap();
    let user = users::by_id(&mut read, ana).await.unwrap().unwrap();
    assert!(user.email.is_none() && user.password_hash.is_none() && !user.is_active);
    assert_eq!(user.display_name, name("Somebody 1"));
    assert!(people::is_anonymised(&mut read, ana).await.unwrap());
    for room in [&open, &ended] {
        let seat = participants::get(&mut read, room.id, ana).await.unwrap().unwrap();
        assert_eq!(seat.name, name("Somebody 1"));
        let said = messages::one(&mut read, room.id, 1).await.unwrap().unwrap();
        assert_eq!((said.name, said.text.as_deref()), (name("Somebody 1"), Some("hello")));
    }
}

async fn rights_are_for_accounts(db: Db) {
    let (ana, guest) = (account(&db, "ana@example.org", "Ana").await, db.guest("Guest").await);
    let mut tx = db.store.begin().await.unwrap();
    assert!(staff::set_rights(&mut tx, ana, true, true).await.unwrap());
    assert!(!staff::set_rights(&mut tx, guest, true, true).await.unwrap());
    let user = users::by_id(&mut tx, ana).await.unwrap().unwrap();
    assert!(user.is_staff && user.is_superuser);
    let (same, again) = staff::lock_pair(&mut tx, ana, ana).await.unwrap();
    assert_eq!((same.unwrap().id, again.unwrap().id), (ana, ana));
    assert_eq!(staff::lock_pair(&mut tx, ana, UserId(id())).await.unwrap().1, None);
}

async fn figures_stop_where_they_are_large_enough(db: Db) {
    let room = db.room_at(Access::Public, NOW).await;
    says(&db, room.id, room.host, "old", later(-3 * 3_600_000)).await;
    says(&db, room.id, room.host, "new", NOW).await;
    let mut read = db.store.read().await.unwrap();
    let figures = counts::read(&mut read, later(1)).await.unwrap();
    assert_eq!((figures.messages_hour, figures.messages_day), (1, 2));
    assert_eq!((figures.users_day, figures.rooms_day), (1, 1));
    assert_eq!((figures.reports_open, figures.logins_failed), (0, 0));
    drop(read);
    for n in 0..1_010 {
        says(&db, room.id, room.host, &format!("message {n}"), NOW).await;
    }
    let mut read = db.store.read().await.unwrap();
    let figures = counts::read(&mut read, later(1)).await.unwrap();
    assert_eq!(figures.messages_hour, counts::MOST + 1);
}
