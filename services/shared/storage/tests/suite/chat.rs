//! What is said is numbered without holes and stored once.

use std::collections::BTreeMap;

use streamit_domain::room::{Access, FOREVER, Life, Role, Settings, Standing};
use streamit_domain::{RoomId, UserId};
use streamit_storage::chat::{
    self, Append, Draft, Erasure, History, Message, Outcome, Range, Refusal, Which,
};
use streamit_storage::{participants, rooms};

use crate::harness::{Db, NOW, id, later};

both_engines!(
    messages_are_numbered_in_the_order_given,
    a_repeat_is_answered_with_what_was_stored,
    each_draft_is_refused_for_its_own_reason,
    sixteen_writers_leave_no_holes,
    two_nodes_send_the_same_message_at_once,
    history_is_read_in_ranges,
    an_erased_message_leaves_a_tombstone,
    all_that_somebody_said_is_erased_at_once_and_told_to_who_missed_it,
    a_slow_room_lets_viewers_speak_once_in_a_while,
    a_locked_chat_is_for_those_in_charge,
    blocked_words_are_said_by_nobody,
    any_text_comes_back_as_it_was,
);

fn draft(room: RoomId, user: UserId, text: &str, key: &str) -> Draft {
    Draft { room, user, text: text.to_owned(), key: key.to_owned(), key_is_client_id: false }
}

async fn append(db: &Db, drafts: &[Draft]) -> Vec<Append> {
    let mut tx = db.store.begin().await.unwrap();
    let answers = chat::append(&mut tx, drafts, NOW).await.unwrap();
    tx.commit().await.unwrap();
    answers
}

async fn history(db: &Db, room: RoomId) -> History {
    let range = Range { after: 0, before: None, limit: 10_000, newest: false };
    chat::history(&mut db.store.read().await.unwrap(), room, range).await.unwrap().unwrap()
}

fn stored(answer: &Append) -> &Message {
    match &answer.outcome {
        Outcome::Stored(message) => message,
        other => panic!("{other:?}"),
    }
}

fn repeated(answer: &Append) -> &Message {
    match &answer.outcome {
        Outcome::Repeated(message) => message,
        other => panic!("{other:?}"),
    }
}

async fn messages_are_numbered_in_the_order_given(db: Db) {
    let (first, second) = (db.room(Access::Public).await, db.room(Access::Public).await);
    let bo = db.member(first.id, "Bo").await;
    let answers = append(
        &db,
        &[
            draft(first.id, bo, "one", "a"),
            draft(second.id, second.host, "other room", "a"),
            Draft { key_is_client_id: true, ..draft(first.id, first.host, "two", "a") },
        ],
    )
    .await;
    append(&db, &[draft(first.id, bo, "three", "b")]).await;

    assert_eq!(answers.iter().map(|answer| stored(answer).seq).collect::<Vec<_>>(), [1, 1, 2]);
    assert!(answers.iter().all(|answer| answer.epoch == 1));
    let told = history(&db, first.id).await;
    assert_eq!(told.messages[0], *stored(&answers[0]), "what is answered is what is stored");
    assert_eq!(told.messages[1], *stored(&answers[2]));
    assert_eq!(told.messages[1].client_id.as_deref(), Some("a"));
    assert_eq!((told.messages[0].client_id.as_deref(), told.messages[0].name.as_str()), (None, "Bo"));
    assert_eq!((told.head, told.kept_from, told.epoch, told.messages.len()), (3, 1, 1, 3));
    assert_eq!(append(&db, &[]).await, []);
}

async fn a_repeat_is_answered_with_what_was_stored(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    let in_batch = append(
        &db,
        &[
            draft(room.id, bo, "hi", "k"),
            draft(room.id, bo, "hi again", "k"),
            draft(room.id, room.host, "me", "k"),
        ],
    )
    .await;
    assert_eq!(repeated(&in_batch[1]), stored(&in_batch[0]), "also within the batch");
    assert_eq!(stored(&in_batch[2]).seq, 2, "the key is the sender's own, and a repeat takes no number");

    // Also when the sender would be refused by now: the first try did succeed.
    db.stand(room.id, bo, Standing::Banned).await;
    let later =
        append(&db, &[draft(room.id, bo, "something else", "k"), draft(room.id, bo, "new", "l")]).await;

    assert_eq!(repeated(&later[0]), stored(&in_batch[0]));
    assert_eq!(later[1].outcome, Outcome::Refused(Refusal::NotApproved));
    assert_eq!(history(&db, room.id).await.head, 2);
}

async fn each_draft_is_refused_for_its_own_reason(db: Db) {
    let (open, quiet, closed) =
        (db.room(Access::Approval).await, db.room(Access::Public).await, db.room(Access::Public).await);
    let (muted, was_muted) = (db.member(open.id, "Bo").await, db.member(open.id, "Cy").await);
    let (waiting, stranger) = (db.guest("Di").await, db.guest("Ed").await);
    db.join(open.id, waiting, "Di", Standing::Pending).await;
    let mut tx = db.store.begin().await.unwrap();
    participants::set_mute(&mut tx, open.id, muted, Some(FOREVER)).await.unwrap();
    participants::set_mute(&mut tx, open.id, was_muted, Some(NOW)).await.unwrap();
    let settings = Settings { is_chat_enabled: false, ..quiet.settings };
    rooms::update_settings(&mut tx, quiet.id, &settings).await.unwrap();
    rooms::end(&mut tx, closed.id, Life::Closed, NOW).await.unwrap();
    tx.commit().await.unwrap();

    let answers = append(
        &db,
        &[
            draft(open.id, muted, "x", "1"),
            draft(open.id, was_muted, "x", "1"),
            draft(open.id, waiting, "x", "1"),
            draft(open.id, stranger, "x", "1"),
            draft(quiet.id, quiet.host, "x", "1"),
            draft(closed.id, closed.host, "x", "1"),
            draft(RoomId(id()), open.host, "x", "1"),
            draft(open.id, open.host, "x", "1"),
        ],
    )
    .await;

    let refused = |answer: &Append| match answer.outcome {
        Outcome::Refused(refusal) => Some(refusal),
        _ => None,
    };
    assert_eq!(
        answers.iter().map(refused).collect::<Vec<_>>(),
        [
            Some(Refusal::Muted(FOREVER)),
            None,
            Some(Refusal::NotApproved),
            Some(Refusal::NotApproved),
            Some(Refusal::ChatDisabled),
            Some(Refusal::RoomEnded(Life::Closed)),
            Some(Refusal::NoRoom),
            None,
        ]
    );
    assert_eq!((stored(&answers[1]).seq, stored(&answers[7]).seq), (1, 2), "refusals take no number");
    assert_eq!((answers[5].epoch, answers[6].epoch), (1, 0));
}

async fn sixteen_writers_leave_no_holes(db: Db) {
    let mut rooms = Vec::new();
    for _ in 0..4 {
        let room = db.room(Access::Public).await;
        rooms.push((room.id, room.host));
    }
    let writers: Vec<_> = (0..16_usize)
        .map(|n| {
            let (db, mut rooms) = (db.clone(), rooms.clone());
            tokio::spawn(async move {
                let mut seqs: Vec<(RoomId, u64)> = Vec::new();
                for round in 0..10 {
                    // Batches over all rooms, each in another order.
                    rooms.rotate_left((n + round) % 4);
                    if n % 2 == 0 {
                        rooms.reverse();
                    }
                    let drafts: Vec<Draft> = rooms
                        .iter()
                        .chain(&rooms[..2])
                        .enumerate()
                        .map(|(i, (room, host))| draft(*room, *host, "x", &format!("{n}-{round}-{i}")))
                        .collect();
                    let answers = append(&db, &drafts).await;
                    seqs.extend(
                        drafts.iter().zip(&answers).map(|(draft, answer)| (draft.room, stored(answer).seq)),
                    );
                }
                // A writer's own messages of a room are in the order it sent them.
                for (room, _) in &rooms {
                    assert!(seqs.iter().filter(|(of, _)| of == room).map(|(_, seq)| seq).is_sorted());
                }
                seqs
            })
        })
        .collect();
    let mut by_room: BTreeMap<RoomId, Vec<u64>> = BTreeMap::new();
    for writer in writers {
        for (room, seq) in writer.await.unwrap() {
            by_room.entry(room).or_default().push(seq);
        }
    }
    let mut total = 0;
    for (room, mut seqs) in by_room {
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "no hole, no number twice");
        let told = history(&db, room).await;
        assert_eq!(told.head, seqs.len() as u64);
        assert_eq!(told.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), seqs);
        total += seqs.len();
    }
    assert_eq!(total, 16 * 10 * 6);
}

async fn two_nodes_send_the_same_message_at_once(db: Db) {
    let room = db.room(Access::Public).await;
    let senders: Vec<_> = (0..16)
        .map(|n| {
            let db = db.clone();
            let own = draft(room.id, room.host, "mine", &format!("own-{n}"));
            let drafts = [own, draft(room.id, room.host, "the same", "shared")];
            tokio::spawn(async move { append(&db, &drafts).await })
        })
        .collect();
    let (mut first, mut shared) = (0, Vec::new());
    for sender in senders {
        let answers = sender.await.unwrap();
        match &answers[1].outcome {
            Outcome::Stored(message) => {
                first += 1;
                shared.push(message.seq);
            }
            Outcome::Repeated(message) => shared.push(message.seq),
            other @ Outcome::Refused(_) => panic!("{other:?}"),
        }
    }
    shared.dedup();
    assert_eq!((first, shared.len()), (1, 1));
    assert_eq!(history(&db, room.id).await.head, 17);
}

async fn history_is_read_in_ranges(db: Db) {
    let room = db.room(Access::Public).await;
    let drafts: Vec<Draft> =
        (1..=10).map(|n| draft(room.id, room.host, &format!("m{n}"), &format!("k{n}"))).collect();
    append(&db, &drafts).await;
    let mut read = db.store.read().await.unwrap();
    for (after, before, limit, newest, expected) in [
        (0, None, 3, false, vec![1, 2, 3]),
        (0, None, 3, true, vec![8, 9, 10]),
        (7, None, 100, false, vec![8, 9, 10]),
        (2, Some(6), 100, false, vec![3, 4, 5]),
        (0, Some(6), 2, true, vec![4, 5]),
        (2, Some(6), 2, false, vec![3, 4]),
        (10, None, 100, false, vec![]),
        (99, None, 100, true, vec![]),
        (0, Some(1), 100, false, vec![]),
        (0, Some(u64::MAX), 1, true, vec![10]),
        (0, None, 0, true, vec![]),
    ] {
        let range = Range { after, before, limit, newest };
        let told = chat::history(&mut read, room.id, range).await.unwrap().unwrap();
        assert_eq!(
            told.messages.iter().map(|message| message.seq).collect::<Vec<_>>(),
            expected,
            "{range:?}"
        );
        assert_eq!(told.head, 10);
    }
    let range = Range { after: 0, before: None, limit: 1, newest: true };
    assert_eq!(chat::history(&mut read, RoomId(id()), range).await.unwrap(), None);
}

async fn erase(db: &Db, room: RoomId, which: Which) -> Option<Erasure> {
    let mut tx = db.store.begin().await.unwrap();
    let erasure = chat::erase(&mut tx, room, which, later(5)).await.unwrap();
    tx.commit().await.unwrap();
    erasure
}

async fn an_erased_message_leaves_a_tombstone(db: Db) {
    let room = db.room(Access::Public).await;
    append(&db, &[draft(room.id, room.host, "oops", "k"), draft(room.id, room.host, "fine", "l")]).await;

    let erasure = erase(&db, room.id, Which::One(1)).await.unwrap();
    assert_eq!((erasure.number, erasure.count, erasure.epoch), (1, 1, 1));
    assert_eq!(erasure.tombstones.iter().map(|message| message.seq).collect::<Vec<_>>(), [1]);
    assert_eq!(erase(&db, room.id, Which::One(1)).await, None, "gone already");
    assert_eq!(erase(&db, room.id, Which::One(3)).await, None);

    let told = history(&db, room.id).await;
    assert_eq!(told.messages.iter().map(Message::is_erased).collect::<Vec<_>>(), [true, false]);
    assert_eq!(told.erasures, 1, "what took nothing has no number");
    let again = append(&db, &[draft(room.id, room.host, "oops", "k")]).await;
    assert!(repeated(&again[0]).is_erased(), "sending it again does not bring it back");
}

async fn all_that_somebody_said_is_erased_at_once_and_told_to_who_missed_it(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    let by = [bo, room.host, bo, bo, room.host];
    let drafts: Vec<Draft> =
        (0..).zip(by).map(|(n, user)| draft(room.id, user, "x", &format!("k{n}"))).collect();
    append(&db, &drafts).await;
    erase(&db, room.id, Which::One(5)).await.unwrap();

    let erasure = erase(&db, room.id, Which::AllOf(bo)).await.unwrap();
    let seqs = |messages: &[Message]| messages.iter().map(|message| message.seq).collect::<Vec<_>>();
    assert_eq!((erasure.number, erasure.count, seqs(&erasure.tombstones)), (2, 3, vec![1, 3, 4]));
    assert_eq!(erase(&db, room.id, Which::AllOf(bo)).await, None);

    let mut read = db.store.read().await.unwrap();
    for (after, from, expected) in
        [(0, 1, vec![1, 3, 4, 5]), (1, 1, vec![1, 3, 4]), (1, 4, vec![4]), (2, 1, vec![])]
    {
        let (told, erasures, epoch) =
            chat::erased_since(&mut read, room.id, after, from).await.unwrap().unwrap();
        assert_eq!((seqs(&told), erasures, epoch), (expected, 2, 1), "after {after}, from {from}");
        assert!(told.iter().all(Message::is_erased));
    }
    assert_eq!(chat::erased_since(&mut read, RoomId(id()), 0, 1).await.unwrap(), None);
    let versions = rooms::versions(&mut read, &[room.id]).await.unwrap();
    assert_eq!(versions[0].erasures, 2);
}

fn refusals(answers: &[Append]) -> Vec<Option<Refusal>> {
    let refusal = |answer: &Append| match answer.outcome {
        Outcome::Refused(refusal) => Some(refusal),
        _ => None,
    };
    answers.iter().map(refusal).collect()
}

async fn set(db: &Db, room: RoomId, settings: Settings, words: &[&str]) {
    let mut tx = db.store.begin().await.unwrap();
    rooms::update_settings(&mut tx, room, &settings).await.unwrap();
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    rooms::set_blocked_words(&mut tx, room, &words).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(rooms::blocked_words(&mut db.store.read().await.unwrap(), room).await.unwrap(), words);
}

async fn a_slow_room_lets_viewers_speak_once_in_a_while(db: Db) {
    let room = db.room(Access::Public).await;
    let bo = db.member(room.id, "Bo").await;
    set(&db, room.id, Settings { slow_mode_seconds: 10, ..room.settings }, &[]).await;
    let say = |key| [draft(room.id, bo, "x", key), draft(room.id, room.host, "x", key)];

    let slow = Some(Refusal::SlowMode(later(10_000)));
    let both = [say("a"), say("b")].concat();
    assert_eq!(refusals(&append(&db, &both).await), [None, None, slow, None], "also within one batch");
    assert_eq!(refusals(&append(&db, &say("c")).await), [slow, None], "the host is not slowed down");
    let mut tx = db.store.begin().await.unwrap();
    let later = chat::append(&mut tx, &say("d"), later(10_000)).await.unwrap();
    assert_eq!(refusals(&later), [None, None]);
}

async fn a_locked_chat_is_for_those_in_charge(db: Db) {
    let room = db.room(Access::Public).await;
    let (bo, cy) = (db.member(room.id, "Bo").await, db.member(room.id, "Cy").await);
    let mut tx = db.store.begin().await.unwrap();
    participants::set_role(&mut tx, room.id, cy, Role::Cohost, NOW).await.unwrap();
    tx.commit().await.unwrap();
    set(&db, room.id, Settings { is_chat_locked: true, ..room.settings }, &[]).await;

    let answers = append(&db, &[bo, cy, room.host].map(|user| draft(room.id, user, "x", "k"))).await;
    assert_eq!(refusals(&answers), [Some(Refusal::ChatLocked), None, None]);
}

async fn blocked_words_are_said_by_nobody(db: Db) {
    let (room, other) = (db.room(Access::Public).await, db.room(Access::Public).await);
    let bo = db.member(room.id, "Bo").await;
    set(&db, room.id, room.settings, &["spoil*", "bad film"]).await;

    let said = [(room.id, bo, "a SPOILER"), (room.id, room.host, "bad, film"), (room.id, bo, "a good film")];
    let drafts: Vec<Draft> =
        (0..).zip(said).map(|(n, (room, user, text))| draft(room, user, text, &n.to_string())).collect();
    let elsewhere = draft(other.id, other.host, "spoiler", "k");
    let answers = append(&db, &[drafts, vec![elsewhere]].concat()).await;
    assert_eq!(refusals(&answers), [Some(Refusal::Blocked), Some(Refusal::Blocked), None, None]);
    set(&db, room.id, room.settings, &[]).await;
    assert_eq!(refusals(&append(&db, &[draft(room.id, bo, "spoiler", "l")]).await), [None]);
}

async fn any_text_comes_back_as_it_was(db: Db) {
    let room = db.room(Access::Public).await;
    let texts = [
        "'; DROP TABLE messages; --",
        "\"\\/\u{1}\u{7f}",
        "🎬 é ß\n\t",
        "{\"a\":null}",
        "null",
        "0",
        "$1 %s",
    ];
    let drafts: Vec<Draft> = texts
        .iter()
        .map(|text| Draft { key_is_client_id: true, ..draft(room.id, room.host, text, text) })
        .collect();

    append(&db, &drafts).await;

    let told = history(&db, room.id).await;
    for (message, text) in told.messages.iter().zip(texts) {
        assert_eq!((message.text.as_deref(), message.client_id.as_deref()), (Some(text), Some(text)));
    }
    assert_eq!(told.messages.len(), texts.len());
    let again = append(&db, &drafts).await;
    assert!(again.iter().all(|answer| matches!(answer.outcome, Outcome::Repeated(_))));
}
