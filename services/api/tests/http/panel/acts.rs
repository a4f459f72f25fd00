//! What staff does: it happens, nodes are told, and it is written down with its reason.

use serde_json::json;
use streamit_domain::UserId;
use streamit_domain::audit::{Action, ActorKind};
use streamit_domain::room::{Life, Standing};
use streamit_storage::audit::{self, Filter, Record};
use streamit_storage::participants;
use streamit_wire::v1;

use super::lists::says;
use super::{Desk, PASSWORD, REASON, Rank, account, desk, stored as account_of, tries};
use crate::support::{World, next, next_facts, stored};

/// The row of the log about the last such action.
async fn row(world: &World, action: Action) -> Record {
    let mut read = world.store.read().await.unwrap();
    let filter = Filter { actions: vec![action], ..Filter::default() };
    let found = audit::list(&mut read, &filter, None, 1).await.unwrap();
    found.into_iter().next().unwrap_or_else(|| panic!("{action} is not written down")).record
}

/// Panics unless staff did it, to whom it was, with the reason that was given.
async fn is_written(world: &World, action: Action, by: &Desk, target: Option<UserId>) {
    let row = row(world, action).await;
    assert_eq!((row.actor_kind, row.actor, row.target), (ActorKind::Staff, Some(by.id), target), "{action}");
    assert_eq!(row.reason.as_deref(), Some(REASON), "{action}");
    assert!(row.request_id.is_some() && row.address.is_some(), "{action}");
}

#[tokio::test]
async fn an_account_that_is_switched_off_is_out_everywhere_until_it_is_switched_on() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let ana = world.guest("Ana").await;
    let mut news = world.rooms.subscribe_all().await.unwrap();
    let base = format!("/admin/users/{}/", ana.id);
    let place = root.does(&world, &format!("{base}deactivate/"), &[]).await;
    assert_eq!(place, format!("{base}?done=deactivated"));
    match next(&mut news).await.kind {
        Some(v1::event::Kind::Revoked(revoked)) => {
            assert_eq!((revoked.user.as_slice(), revoked.session.len()), (ana.id.as_bytes().as_slice(), 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.get("/api/auth/me/").by(&ana).send().await.status, 401);
    is_written(&world, Action::Deactivated, &root, Some(ana.id)).await;
    let page = root.page(&world, &place).await;
    assert!(page.contains("The account is switched off") && page.contains("Switch on"), "{page}");

    root.does(&world, &format!("{base}activate/"), &[]).await;
    assert!(account_of(&world, ana.id).await.is_active);
    is_written(&world, Action::Activated, &root, Some(ana.id)).await;
}

#[tokio::test]
async fn one_session_ends_or_all_of_them() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    account(&world, "ana@example.org", Rank::Nobody).await;
    let login = async || {
        world.advance(1);
        let body = json!({"email": "ana@example.org", "password": PASSWORD});
        crate::support::Person::of(&world.post("/api/auth/login/").json(body).send().await)
    };
    let (one, two) = (login().await, login().await);
    let page = root.page(&world, &format!("/admin/sessions/?state=live&user={}", one.id)).await;
    let ends: Vec<&str> =
        page.split("href=\"").filter_map(|rest| rest.split_once('"')).map(|(href, _)| href).collect();
    let ends: Vec<&str> = ends.into_iter().filter(|href| href.ends_with("/end/")).collect();
    assert_eq!(ends.len(), 2);
    let me = async |person| world.get("/api/auth/me/").by(person).send().await.status;
    root.does(&world, ends[1], &[]).await;
    assert_eq!((me(&one).await, me(&two).await), (401, 200), "the older one stands last");
    root.does(&world, &format!("/admin/users/{}/end-sessions/", one.id), &[]).await;
    assert_eq!(me(&two).await, 401);
    is_written(&world, Action::SessionsEnded, &root, Some(one.id)).await;
    assert_eq!(me(&login().await).await, 200);
}

#[tokio::test]
async fn a_new_password_is_shown_once_and_opens_the_account() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let ana = account(&world, "ana@example.org", Rank::Staff).await;
    let reply = root.post(&world, &format!("/admin/users/{ana}/password/"), &[]).await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
    let (_, rest) = reply.text.split_once(r#"id="password">"#).unwrap();
    let password = rest.split_once('<').unwrap().0;
    assert_eq!(password.len(), 21);
    assert_eq!(tries(&world, "ana@example.org", PASSWORD).await.status, 401);
    assert_eq!(tries(&world, "ana@example.org", password).await.status, 303);
    is_written(&world, Action::PasswordReset, &root, Some(ana)).await;
    let row = row(&world, Action::PasswordReset).await;
    assert!(!format!("{row:?}").contains(password));

    let guest = world.guest("Guest").await;
    let reply = root.post(&world, &format!("/admin/users/{}/password/", guest.id), &[]).await;
    assert_eq!(reply.status, 409);
    assert!(reply.text.contains("has no password"));
}

#[tokio::test]
async fn who_is_forgotten_has_no_name_or_address_any_more() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let id = account(&world, "ana@example.org", Rank::Nobody).await;
    let body = json!({"email": "ana@example.org", "password": PASSWORD});
    let ana = crate::support::Person::of(&world.post("/api/auth/login/").json(body).send().await);
    let room = world.public_room(&ana).await;
    let bo = world.guest("Bo").await;
    world.join(&room, &bo, "APPROVED").await;
    says(&world, &room, &ana, "hello").await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let path = format!("/admin/users/{id}/anonymise/");
    let reply = root.post(&world, &path, &[("sure", "yes")]).await;
    assert_eq!(reply.status, 400, "it has to be meant");
    root.does(&world, &path, &[("sure", "anonymise")]).await;

    let facts = next_facts(&mut news).await;
    assert_eq!(facts.people.len(), 1, "{facts:?}");
    let account = account_of(&world, id).await;
    assert!(account.email.is_none() && account.password_hash.is_none() && !account.is_active);
    assert!(account.display_name.as_str().starts_with("Somebody "), "{}", account.display_name);
    let history = world.get(&format!("/api/rooms/{}/messages/", room.code)).by(&bo).send().await;
    assert_eq!(history.body["messages"][0]["user"], account.display_name.as_str());
    assert_eq!(history.body["messages"][0]["message"], "hello");
    let mut read = world.store.read().await.unwrap();
    let seat = participants::get(&mut read, room.id, id).await.unwrap().unwrap();
    assert_eq!(seat.name, account.display_name);
    is_written(&world, Action::Anonymised, &root, Some(id)).await;
    for path in ["/admin/users/", "/admin/audit/", "/admin/messages/", &format!("/admin/rooms/{}/", room.id)]
    {
        let page = root.page(&world, path).await;
        assert!(!page.contains("ana@example.org"), "{path}");
    }
    // Nothing is left to switch on.
    let reply = root.post(&world, &format!("/admin/users/{id}/activate/"), &[]).await;
    assert_eq!(reply.status, 409);
    // The address may come again.
    let body = json!({"email": "ana@example.org", "password": PASSWORD, "display_name": "Ana"});
    assert_eq!(world.post("/api/auth/register/").json(body).send().await.status, 201);
}

#[tokio::test]
async fn superusers_make_staff_and_one_always_stays() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let ana = account(&world, "ana@example.org", Rank::Nobody).await;
    let rights = |id: UserId| format!("/admin/users/{id}/rights/");
    for (rank, is_staff, is_superuser) in
        [("staff", true, false), ("superuser", true, true), ("none", false, false)]
    {
        world.advance(1);
        root.does(&world, &rights(ana), &[("rank", rank)]).await;
        let user = account_of(&world, ana).await;
        assert_eq!((user.is_staff, user.is_superuser), (is_staff, is_superuser), "{rank}");
    }
    let row = row(&world, Action::StaffChanged).await;
    assert_eq!(row.before.as_deref(), Some(r#"{"rank":"SUPERUSER"}"#));
    assert_eq!(row.after.as_deref(), Some(r#"{"rank":"NONE"}"#));
    assert_eq!(root.post(&world, &rights(ana), &[("rank", "king")]).await.status, 400);
    let guest = world.guest("Guest").await;
    assert_eq!(root.post(&world, &rights(guest.id), &[("rank", "staff")]).await.status, 409);

    for (path, fields) in [
        (rights(root.id), vec![("rank", "none")]),
        (format!("/admin/users/{}/deactivate/", root.id), vec![]),
        (format!("/admin/users/{}/anonymise/", root.id), vec![("sure", "anonymise")]),
    ] {
        assert_eq!(root.post(&world, &path, &fields).await.status, 403, "{path}");
    }
    assert!(account_of(&world, root.id).await.is_superuser);
}

#[tokio::test]
async fn rights_that_were_lost_since_the_page_was_made_count_no_more() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let ana = account(&world, "ana@example.org", Rank::Staff).await;
    super::set_rank(&world, root.id, Rank::Staff).await;
    let reply = root.post(&world, &format!("/admin/users/{ana}/rights/"), &[("rank", "superuser")]).await;
    assert_eq!(reply.status, 403);
    assert!(!account_of(&world, ana).await.is_superuser);
}

#[tokio::test]
async fn staff_closes_rooms_and_switches_their_chat() {
    let world = World::new().await;
    let staff = desk(&world, "staff@example.org", Rank::Staff).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let mut news = world.rooms.subscribe(room.id).await.unwrap();
    let base = format!("/admin/rooms/{}/", room.id);
    for (deed, is_on) in [("chat-off", false), ("chat-on", true)] {
        let place = staff.does(&world, &format!("{base}{deed}/"), &[]).await;
        assert_eq!(place, format!("{base}?done={deed}"));
        assert_eq!(next_facts(&mut news).await.settings.unwrap().is_chat_enabled, is_on);
        assert_eq!(stored(&world, &room).await.settings.is_chat_enabled, is_on);
        is_written(&world, Action::SettingsChanged, &staff, None).await;
    }
    staff.does(&world, &format!("{base}close/"), &[]).await;
    assert_eq!(stored(&world, &room).await.life, Life::Closed);
    is_written(&world, Action::RoomClosed, &staff, None).await;
    let page = staff.page(&world, &base).await;
    assert!(page.contains("Closed") && !page.contains("/close/"));
    let again = staff.post(&world, &format!("{base}close/"), &[]).await;
    assert_eq!(again.status, 404);
    assert!(again.text.contains("The room was closed"), "{}", again.text);
}

#[tokio::test]
async fn staff_keeps_order_among_the_people_of_a_room() {
    let world = World::new().await;
    let staff = desk(&world, "staff@example.org", Rank::Staff).await;
    let (host, bo) = (world.guest("Host").await, world.guest("Bo").await);
    let room = world.public_room(&host).await;
    world.join(&room, &bo, "APPROVED").await;
    let base = format!("/admin/rooms/{}/people/{}/", room.id, bo.id);
    let seat = async || {
        let mut read = world.store.read().await.unwrap();
        participants::get(&mut read, room.id, bo.id).await.unwrap().unwrap()
    };
    for (deed, fields, action) in [
        ("mute", vec![("seconds", "600")], Action::Muted),
        ("unmute", vec![], Action::Unmuted),
        ("host", vec![], Action::HostChanged),
    ] {
        let place = staff.does(&world, &format!("{base}{deed}/"), &fields).await;
        assert_eq!(place, format!("{base}?done={deed}"));
        is_written(&world, action, &staff, Some(bo.id)).await;
        assert_eq!(seat().await.muted_until.is_some(), deed == "mute", "{deed}");
    }
    assert_eq!(stored(&world, &room).await.host, bo.id);
    for deed in ["kick", "ban"] {
        let reply = staff.post(&world, &format!("{base}{deed}/"), &[]).await;
        assert_eq!(reply.status, 403, "a room has a host: {}", reply.text);
    }
    staff.does(&world, &format!("/admin/rooms/{}/people/{}/host/", room.id, host.id), &[]).await;
    for (deed, action, standing) in [
        ("kick", Action::Kicked, Standing::Kicked),
        ("ban", Action::Banned, Standing::Banned),
        // The kick before the ban still holds.
        ("unban", Action::Unbanned, Standing::Kicked),
    ] {
        if deed == "unban" {
            for list in
                ["/admin/bans/", "/admin/bans/?kind=networks", &format!("/admin/bans/?room={}", room.id)]
            {
                let page = staff.page(&world, list).await;
                assert!(page.contains(&format!("{base}unban/")), "{list}");
            }
        }
        staff.does(&world, &format!("{base}{deed}/"), &[]).await;
        assert_eq!(seat().await.standing, standing, "{deed}");
        is_written(&world, action, &staff, Some(bo.id)).await;
    }
    assert_eq!(staff.post(&world, &format!("{base}mute/"), &[("seconds", "7")]).await.status, 400);
    assert_eq!(staff.post(&world, &format!("{base}promote/"), &[]).await.status, 404);
}

#[tokio::test]
async fn staff_takes_back_one_message_or_all_of_a_person() {
    let world = World::new().await;
    let staff = desk(&world, "staff@example.org", Rank::Staff).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let first = says(&world, &room, &ana, "the first").await;
    for text in ["the second", "the third"] {
        says(&world, &room, &ana, text).await;
    }
    let base = format!("/admin/rooms/{}/", room.id);
    let path = format!("{base}messages/{first}/erase/");
    assert!(staff.page(&world, &path).await.contains("the first"));
    assert_eq!(staff.does(&world, &path, &[]).await, format!("{base}?done=erased"));
    is_written(&world, Action::Erased, &staff, Some(ana.id)).await;
    let page = staff.page(&world, &format!("/admin/messages/?room={}", room.id)).await;
    assert!(!page.contains("the first") && page.contains("the second") && page.contains(">erased"), "{page}");
    let found = staff.page(&world, &format!("/admin/messages/?room={}&q=THIRD", room.id)).await;
    assert!(found.contains("the third") && !found.contains("the second"));
    staff.does(&world, &format!("{base}people/{}/erase/", ana.id), &[]).await;
    for list in ["/admin/messages/".to_owned(), format!("/admin/messages/?user={}", ana.id)] {
        let page = staff.page(&world, &list).await;
        assert!(!page.contains("the second") && page.matches(">erased").count() == 3, "{list}: {page}");
    }
}

#[tokio::test]
async fn a_report_is_decided_about_once() {
    let world = World::new().await;
    let staff = desk(&world, "staff@example.org", Rank::Staff).await;
    let (ana, bo) = (world.guest("Ana").await, world.guest("Bo").await);
    let room = world.public_room(&ana).await;
    world.join(&room, &bo, "APPROVED").await;
    let seq = says(&world, &room, &bo, "buy my things").await;
    let body =
        json!({"room_id": room.id, "user_id": bo.id, "seq": seq, "reason": "SPAM", "note": "all night"});
    let reply = world.post("/api/rooms/report/").by(&ana).json(body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let queue = staff.page(&world, "/admin/reports/").await;
    assert!(queue.contains("buy my things"));
    let (_, rest) = queue.split_once("scope=\"row\"").unwrap();
    let path = rest.split_once("href=\"").unwrap().1.split_once('"').unwrap().0;
    assert!(staff.page(&world, path).await.contains("all night"));
    assert_eq!(staff.post(&world, path, &[("decision", "maybe")]).await.status, 400);
    let place = staff.does(&world, path, &[("decision", "acted")]).await;
    assert_eq!(place, "/admin/reports/?done=report");
    is_written(&world, Action::ReportHandled, &staff, Some(bo.id)).await;
    assert!(!staff.page(&world, "/admin/reports/").await.contains("buy my things"));
    for list in
        ["/admin/reports/?state=acted".to_owned(), format!("/admin/reports/?state=any&user={}", bo.id)]
    {
        assert!(staff.page(&world, &list).await.contains("buy my things"), "{list}");
    }
    assert!(staff.page(&world, path).await.contains(REASON));
    assert_eq!(staff.post(&world, path, &[("decision", "dismissed")]).await.status, 409);
}

#[tokio::test]
async fn the_dashboard_counts_what_is_so_now() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    for n in 0..3 {
        says(&world, &room, &ana, &format!("message {n}")).await;
    }
    tries(&world, "root@example.org", "wrong horse").await;
    let report = json!({"room_id": room.id, "reason": "SPAM"});
    assert_eq!(world.post("/api/rooms/report/").by(&ana).json(report).send().await.status, 201);
    let page = root.page(&world, "/admin/").await;
    let figure = |name: &str| {
        let (_, rest) = page.split_once(name).unwrap_or_else(|| panic!("{name}"));
        rest.split_once("<strong>").unwrap().1.split_once('<').unwrap().0.to_owned()
    };
    for (name, value) in [
        ("People online", "0"),
        ("Messages, last hour", "3"),
        ("Messages, last day", "3"),
        ("Reports open", "1"),
        ("Failed logins, last hour", "1"),
        ("Rooms opened, last day", "1"),
    ] {
        assert_eq!(figure(name), value, "{name}");
    }
}
