//! Many people at once. Nobody is told that the server failed.

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde_json::json;
use streamit_client::{Event, Status};
use streamit_e2e::{Answer, System, on_both, until};

on_both! {
    crate::SYSTEMS;
    three_hundred_guests_come_at_32_in_parallel,
    two_hundred_and_forty_new_people_join_one_room_at_once,
    a_full_evening_of_rooms_goes_on_side_by_side,
    a_crowd_is_told_as_a_number,
}

async fn three_hundred_guests_come_at_32_in_parallel(system: &System) {
    let answers: Vec<_> = stream::iter(0..300)
        .map(async |i| system.post("/api/auth/guest/", &json!({"display_name": format!("Guest {i}")})).await)
        .buffer_unordered(32)
        .collect()
        .await;
    for answer in answers {
        answer.is(200);
    }
}

async fn two_hundred_and_forty_new_people_join_one_room_at_once(system: &System) {
    const PEOPLE: usize = 240;
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let people: Vec<_> =
        stream::iter(0..PEOPLE).map(|_| system.guest("Guest")).buffer_unordered(32).collect().await;

    let joined = join_all(people.iter().map(|person| person.http().join(&room.code, None))).await;

    for joined in joined {
        assert_eq!(joined.unwrap().status, Status::Approved);
    }
    let list = ana.http().participants(room.id).await.unwrap();
    assert_eq!(list.len(), PEOPLE + 1);
    let mut names: Vec<_> = list.iter().map(|person| person.display_name.to_lowercase()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), PEOPLE + 1, "everybody has a name of their own");
}

async fn a_full_evening_of_rooms_goes_on_side_by_side(system: &System) {
    const ROOMS: usize = 8;
    const PEOPLE: usize = 5;
    join_all((0..ROOMS).map(async |n| {
        let host = system.guest("Host").await;
        let room = host.public_room().await;
        let mut seats = vec![room.join_on(n, &host).await];
        for i in 1..PEOPLE {
            seats.push(room.join_on(n + i, &system.guest("Guest").await).await);
        }
        seats[0].play(Some(100.0 * n as f64)).await;
        for seat in &mut seats {
            seat.say(&format!("room {n}")).await;
        }
        for seat in &mut seats {
            let mut state = None;
            let mut heard = Vec::new();
            seat.waits("the film and the words of this room", |event| {
                match event {
                    Event::PlaybackState(told) if told.is_playing => state = Some(*told),
                    Event::ChatMessage(said) => heard.push(said.message.clone()),
                    _ => {}
                }
                (state.is_some() && heard.len() == PEOPLE).then_some(())
            })
            .await;
            assert!((state.unwrap().time - 100.0 * n as f64).abs() < 0.001);
            assert!(heard.iter().all(|text| *text == format!("room {n}")), "{heard:?}");
        }
        let what = "everybody to be counted";
        until(what, async || (room.listed().await?.viewers == PEOPLE as u64).then_some(())).await.unwrap();
        for seat in seats {
            seat.leaves().await;
        }
    }))
    .await;
}

async fn a_crowd_is_told_as_a_number(system: &System) {
    // Above this many online, coming and going is told as a number.
    const ONE_BY_ONE: usize = 200;
    const PEOPLE: usize = 240;
    let ana = system.guest("Ana").await;
    let room = ana.public_room().await;
    let people: Vec<_> =
        stream::iter(0..PEOPLE).map(|_| system.guest("Guest")).buffer_unordered(32).collect().await;
    let mut host = room.join_on(0, &ana).await;

    let listening = async {
        let (mut named, mut told) = (0, Vec::new());
        host.waits("everybody to be counted", |event| {
            match event {
                Event::UserJoined(_) => named += 1,
                Event::RoomUpdated(changed) => told.extend(changed.online),
                _ => {}
            }
            told.contains(&(PEOPLE as u64 + 1)).then_some(())
        })
        .await;
        (named, told)
    };
    let coming = stream::iter(people.iter().enumerate())
        .map(async |(node, person)| room.join_on(node, person).await)
        .buffer_unordered(16)
        .collect::<Vec<_>>();
    let ((named, told), seats) = tokio::join!(listening, coming);

    // Who comes in one batch with the one too many may already be told as a number.
    assert!((ONE_BY_ONE - 40..=ONE_BY_ONE).contains(&named), "{named} were named");
    assert!(told.iter().all(|online| *online > ONE_BY_ONE as u64), "{told:?}");
    let late = room.sit(1, &people[0], streamit_client::Options::default()).await;
    assert_eq!(late.welcome.participants.online, Some(PEOPLE as u64 + 1));
    assert_eq!(late.welcome.participants.members.len(), PEOPLE + 1);
    drop(seats);
}
