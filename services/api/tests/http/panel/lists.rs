//! Lists: what they find, how they are paged, and what they say to what they can't understand.

use streamit_domain::Timestamp;
use streamit_storage::chat::{self, Draft, Outcome};

use super::{Desk, Rank, account, desk};
use crate::support::{Person, Room, START, World};

/// A text that a browser must not take for markup.
const EVIL: &str = "<script>alert(1)</script>";

/// Stores what somebody says, as nodes have it stored; gives its number.
pub(super) async fn says(world: &World, room: &Room, person: &Person, text: &str) -> u64 {
    let mut tx = world.store.begin().await.unwrap();
    let draft = Draft {
        room: room.id,
        user: person.id,
        text: text.to_owned(),
        key: text.to_owned(),
        key_is_client_id: true,
    };
    let mut stored = chat::append(&mut tx, &[draft], Timestamp(START)).await.unwrap();
    tx.commit().await.unwrap();
    match stored.remove(0).outcome {
        Outcome::Stored(message) => message.seq,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn people_are_found_by_name_address_and_id() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let ana = world.guest("Ana-Guest").await;
    let bo = account(&world, "bo@example.org", Rank::Nobody).await;
    for (query, shows_ana, shows_bo) in [
        ("", true, true),
        ("?q=ana-g", true, false),
        ("?q=BO%40exam", false, true),
        (&format!("?q={}", ana.id), true, false),
        (&format!("?q={bo}"), false, true),
        ("?kind=guest", true, false),
        ("?kind=account", false, true),
        ("?kind=guest&q=bo%40", false, false),
        ("?kind=staff", false, false),
        ("?kind=inactive", false, false),
        ("?sort=oldest", true, true),
    ] {
        let page = root.page(&world, &format!("/admin/users/{query}")).await;
        let shows = |id: &str| page.contains(&format!("/admin/users/{id}/"));
        assert_eq!((shows(&ana.id.to_string()), shows(&bo.to_string())), (shows_ana, shows_bo), "{query}");
    }
    let page = root.page(&world, "/admin/users/?q=nobody-like-that").await;
    assert!(page.contains("Nobody is like that."));
}

#[tokio::test]
async fn lists_are_paged_forth_and_back_without_gap_or_repetition() {
    let world = World::unlimited().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    for n in 0..120 {
        // Ids of one moment have no order.
        world.advance(1);
        world.guest(&format!("Guest {n:03}")).await;
    }
    let users = |sort: &str| format!("/admin/users/?kind=guest&sort={sort}");
    let log = "/admin/audit/?action=account.guest".to_owned();
    for (list, is_newest) in [(users("newest"), true), (users("oldest"), false), (log, true)] {
        let (last, forth) = walk(&world, &root, &list, "next").await;
        let names: Vec<String> = forth.iter().flatten().cloned().collect();
        let mut expected: Vec<String> = (0..120).map(|n| format!("Guest {n:03}")).collect();
        if is_newest {
            expected.reverse();
        }
        assert_eq!(names, expected, "{list}");
        assert_eq!(forth.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 20], "{list}");
        let (_, mut back) = walk(&world, &root, &last, "prev").await;
        back.reverse();
        assert_eq!(back, forth, "{list}");
    }
}

/// Follows the links to the pages that come next, or before; gives the address of the last one and the names on each.
async fn walk(world: &World, desk: &Desk, start: &str, rel: &str) -> (String, Vec<Vec<String>>) {
    let (mut place, mut pages) = (start.to_owned(), Vec::new());
    loop {
        let page = desk.page(world, &place).await;
        pages.push(
            page.split("Guest ")
                .skip(1)
                .filter(|rest| rest[3..].starts_with("</a>"))
                .map(|rest| format!("Guest {}", &rest[..3]))
                .collect(),
        );
        let Some((_, rest)) = page.split_once(&format!("rel=\"{rel}\" href=\"")) else {
            return (place, pages);
        };
        place = rest.split_once('"').unwrap().0.replace("&amp;", "&");
    }
}

#[tokio::test]
async fn what_people_wrote_is_shown_and_never_run() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let ana = world.guest(EVIL).await;
    let room = world.public_room(&ana).await;
    let source =
        serde_json::json!({"room_id": room.id, "url": "https://example.org/a.mp4?<script>", "title": EVIL});
    assert_eq!(world.post("/api/rooms/source/").by(&ana).json(source).send().await.status, 200);
    let seq = says(&world, &room, &ana, EVIL).await;
    let report = serde_json::json!({"room_id": room.id, "reason": "OTHER", "note": EVIL});
    assert_eq!(world.post("/api/rooms/report/").by(&ana).json(report).send().await.status, 201);
    let (user, id) = (ana.id, room.id);
    let reports = root.page(&world, "/admin/reports/").await;
    let report = reports
        .split("/admin/reports/")
        .filter_map(|rest| rest.get(..36))
        .find(|id| id.parse::<uuid::Uuid>().is_ok());
    for path in [
        "/admin/users/".to_owned(),
        format!("/admin/users/{user}/"),
        format!("/admin/users/{user}/rooms/"),
        format!("/admin/users/{user}/deactivate/"),
        "/admin/rooms/".to_owned(),
        format!("/admin/rooms/{id}/"),
        format!("/admin/rooms/{id}/people/"),
        format!("/admin/rooms/{id}/people/{user}/"),
        format!("/admin/rooms/{id}/messages/{seq}/erase/"),
        "/admin/messages/".to_owned(),
        format!("/admin/messages/?room={id}&q=%3Cscript%3E"),
        "/admin/sessions/".to_owned(),
        format!("/admin/reports/{}/", report.unwrap()),
        "/admin/audit/".to_owned(),
        "/admin/users/?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned(),
    ] {
        let page = root.page(&world, &path).await;
        assert!(!page.contains("<script>"), "{path}");
        assert!(page.contains("&lt;script&gt;"), "{path}: {page}");
    }
    let reply = root.get(&world, "/admin/messages/?q=%22%3E%3Cscript%3E").await;
    assert_eq!(reply.status, 400);
    assert!(!reply.text.contains("\"><script>"));
}

#[tokio::test]
async fn what_a_list_does_not_understand_it_says() {
    let world = World::new().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    let ana = world.guest("Ana").await;
    let room = world.public_room(&ana).await;
    let mark = "1.00000000000000000000000000000000.0";
    for query in [
        "users/?kind=nothing".to_owned(),
        "users/?sort=nothing".to_owned(),
        format!("users/?q={}", "x".repeat(101)),
        "users/?after=nothing".to_owned(),
        format!("users/?after={mark}&before={mark}"),
        "users/?before=1.x.0".to_owned(),
        format!("users/{}/rooms/?standing=nothing", ana.id),
        "rooms/?life=nothing".to_owned(),
        "rooms/?access=nothing".to_owned(),
        "rooms/?sort=active&life=closed".to_owned(),
        "rooms/?sort=active&q=a".to_owned(),
        format!("rooms/{}/people/?standing=nothing", room.id),
        "messages/?room=nothing".to_owned(),
        "messages/?user=nothing".to_owned(),
        "messages/?q=anything".to_owned(),
        format!("messages/?room={}&user={}", room.id, ana.id),
        "sessions/?user=nothing".to_owned(),
        "sessions/?state=nothing".to_owned(),
        "bans/?kind=nothing".to_owned(),
        "bans/?room=nothing".to_owned(),
        "reports/?state=nothing".to_owned(),
        "reports/?room=nothing".to_owned(),
        "reports/?after=nothing".to_owned(),
        "audit/?action=nothing".to_owned(),
        "audit/?by=nothing".to_owned(),
        "audit/?about=nothing".to_owned(),
        "audit/?room=nothing".to_owned(),
        "audit/?since=yesterday".to_owned(),
        "audit/?since=2026-02-01T00:00&until=2026-01-01T00:00".to_owned(),
        "audit/?after=nothing".to_owned(),
    ] {
        let reply = root.get(&world, &format!("/admin/{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.text.contains(r#"role="alert""#) && reply.text.contains("<form"), "{query}");
    }
    for form in ["csv", "jsonl"] {
        let reply = root.get(&world, &format!("/admin/audit/export.{form}?action=nothing")).await;
        assert_eq!(reply.status, 400, "{form}");
    }
}

#[tokio::test]
async fn the_log_is_exported_whole_and_as_no_formula() {
    let world = World::unlimited().await;
    let root = desk(&world, "root@example.org", Rank::Superuser).await;
    // More than is read at once.
    for n in 0..600 {
        world.guest(&format!("=cmd{n}")).await;
    }
    let csv = root.get(&world, "/admin/audit/export.csv?action=account.guest").await;
    assert_eq!(csv.status, 200);
    assert!(csv.header("content-disposition").unwrap().contains("audit.csv"));
    let lines: Vec<&str> = csv.text.trim_end().split("\r\n").collect();
    assert_eq!(lines.len(), 601);
    assert!(lines[0].starts_with("id,at,action,"));
    assert!(lines[1..].iter().all(|line| line.contains(",'=cmd")), "{}", lines[1]);
    let json = root.get(&world, "/admin/audit/export.jsonl?action=account.guest").await;
    let rows: Vec<serde_json::Value> =
        json.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 600);
    let ids: std::collections::HashSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 600);
    let page = root.page(&world, "/admin/audit/?action=staff.audit_exported").await;
    assert!(page.contains("jsonl") && page.contains("csv"));
}
