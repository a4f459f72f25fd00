//! Lists and their pages: public rooms, and what was said.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use streamit_client::Entry;
use streamit_e2e::{Answer, System, on_both, until};

on_both! {
    crate::SYSTEMS;
    public_rooms_are_listed_page_by_page_each_once,
    private_rooms_are_not_listed,
    the_listing_counts_people_not_connections,
    the_history_is_read_backwards_page_by_page,
    a_page_can_only_start_where_a_number_says,
}

async fn public_rooms_are_listed_page_by_page_each_once(system: &System) {
    const ROOMS: usize = 60;
    // One person opens 20 in a minute.
    let hosts = join_all((0..ROOMS / 20).map(|_| system.guest("Ana"))).await;
    let made = (0..ROOMS).map(|i| hosts[i % hosts.len()].http_at(i).create_room(Entry::Public));
    let (made, ana) = (join_all(made).await, &hosts[0]);
    let made: BTreeSet<String> = made.into_iter().map(|room| room.unwrap().code).collect();

    let first = ana.reads("/api/rooms/public/").await;
    let array = first.is(200);
    let entry = &array.as_array().expect("a bare array")[0];
    assert!(entry["host"].is_string() && entry["viewers"].is_u64() && entry["code"].is_string());
    assert!(entry["created_at"].as_str().unwrap().ends_with('Z'));

    let (mut seen, mut pages, mut next) = (Vec::new(), 0, None);
    loop {
        let page = system.http(pages).public_rooms(next.as_deref()).await.unwrap();
        assert!(!page.items.is_empty(), "an empty page was announced");
        seen.extend(page.items.into_iter().map(|room| room.code).filter(|code| made.contains(code)));
        pages += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert!(pages > 1, "{ROOMS} rooms on one page");
    assert_eq!(seen.len(), made.len(), "each room once");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), made);
}

async fn private_rooms_are_not_listed(system: &System) {
    let ana = system.user("Ana").await;
    let (password, approval, public) =
        (ana.password_room().await, ana.approval_room().await, ana.public_room().await);
    assert!(password.listed().await.is_none() && approval.listed().await.is_none());
    assert_eq!(public.listed().await.unwrap().host.as_deref(), Some("Ana"));
}

async fn the_listing_counts_people_not_connections(system: &System) {
    let (ana, bo) = (system.guest("Ana").await, system.guest("Bo").await);
    let room = ana.public_room().await;
    assert_eq!(room.listed().await.unwrap().viewers, 0);

    let ana_sits = room.join_on(0, &ana).await;
    let one_tab = room.join_on(1, &bo).await;
    let other_tab = room.join_on(2, &bo).await;
    let viewers = async |count: u64| {
        let what = format!("{count} viewers");
        until(&what, async || (room.listed().await?.viewers == count).then_some(())).await.unwrap();
    };
    viewers(2).await;

    one_tab.leaves().await;
    ana_sits.leaves().await;
    viewers(1).await;
    other_tab.leaves().await;
    viewers(0).await;
}

async fn the_history_is_read_backwards_page_by_page(system: &System) {
    const PEOPLE: usize = 13;
    // As many as the pace of chat allows each at once.
    const EACH: usize = 5;
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let people = join_all((0..PEOPLE).map(|i| system.guest(if i % 2 == 0 { "Even" } else { "Odd" }))).await;
    let mut seats = join_all(people.iter().enumerate().map(|(i, person)| room.join_on(i, person))).await;
    for seat in &mut seats {
        for n in 0..EACH {
            seat.say(&format!("number {n}")).await;
        }
    }
    let heard = seats[0].hears_many(PEOPLE * EACH).await;

    let latest = people[0].http().messages(&room.code, None).await.unwrap();
    assert_eq!(latest.len(), 50);
    assert_eq!(latest, heard[heard.len() - 50..]);
    let earlier = people[1].http_at(1).messages(&room.code, Some(latest[0].seq)).await.unwrap();
    assert_eq!(earlier, heard[..heard.len() - 50]);
    assert!(people[1].http().messages(&room.code, Some(1)).await.unwrap().is_empty());
    let beyond = people[1].http().messages(&room.code, Some(1_000_000)).await.unwrap();
    assert_eq!(beyond, latest);

    let stranger = system.guest("Stranger").await;
    stranger.reads(&format!("/api/rooms/{}/messages/", room.code)).await.is_refused(403, "NOT_APPROVED");
}

async fn a_page_can_only_start_where_a_number_says(system: &System) {
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    for wrong in ["x", "-1", "1.5", "99999999999999999999999", "%00", "1%20"] {
        let answer = ana.reads(&format!("/api/rooms/{}/messages/?before={wrong}", room.code)).await;
        answer.is_refused(400, "INVALID");
    }
    for wrong in ["after=x", "after=1.x", "limit=x", "limit=-1"] {
        ana.reads(&format!("/api/rooms/public/?{wrong}")).await.is_refused(400, "INVALID");
    }
}
