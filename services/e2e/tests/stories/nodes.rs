//! What operators see of the nodes, and ask of them.

use std::time::Duration;

use futures_util::future::join_all;
use streamit_client::{CloseReason, Connection, Error, Http, Options};
use streamit_e2e::{Ended, Plan, Program, Seat, System, program, until};

use crate::{guests_of_another_node, only_one_is_missed};

/// Runs a command of the api against the system's Redis.
async fn operator(system: &System, args: &[&str]) -> Ended {
    let env = [("REDIS_URL".to_owned(), system.redis().unwrap().to_owned())];
    Program::run(&program("streamit-api"), args, &env, system.home(), "").await
}

/// Waits until a node's line of the table holds these: connections, if it matters how many, and whether it drains.
async fn is_shown(system: &System, node: &str, connections: Option<usize>, draining: &str) {
    let mut last = String::new();
    let shown = until("the node's line", async || {
        let ended = operator(system, &["nodes"]).await;
        assert!(ended.is_success(), "{}", ended.stderr);
        last.clone_from(&ended.stdout);
        let line = last.lines().find(|line| line.starts_with(node))?;
        let cells: Vec<&str> = line.split_whitespace().collect();
        let counted = connections.is_none_or(|connections| cells[2] == connections.to_string());
        (counted && cells[5] == draining).then_some(())
    });
    shown.await.unwrap_or_else(|why| panic!("{why}: {last}"));
}

async fn is_ready(system: &System, node: usize) -> u16 {
    let http = Http::new(&system.ws(node).replace("ws://", "http://")).unwrap();
    http.raw("GET", "/readyz", None).await.unwrap().status
}

#[tokio::test]
async fn a_drained_node_takes_nobody_until_it_resumes_and_nobody_is_missed() {
    const PEOPLE: usize = 8;
    Plan::cluster(1, 2)
        .limits("off")
        .run(async |system| {
            let (room, mut host, seats) = guests_of_another_node(system, PEOPLE).await;
            is_shown(system, "node-0", Some(PEOPLE), "no").await;
            is_shown(system, "node-1", Some(1), "no").await;

            let unknown = operator(system, &["drain", "--node", "another"]).await;
            assert!(!unknown.is_success());
            assert!(unknown.stderr.contains("no node is called another; there are: node-0, node-1"));
            let told = operator(system, &["drain", "--node", "node-0", "--over", "1s"]).await;
            assert!(told.is_success(), "{}", told.stderr);
            is_shown(system, "node-0", None, "yes").await;
            let alone = operator(system, &["drain", "--node", "node-1"]).await;
            assert!(!alone.is_success() && alone.stderr.contains("no other node"), "{}", alone.stderr);

            let moves = seats.into_iter().map(async |(person, mut seat)| {
                let reason: CloseReason = seat.is_closed().await;
                assert_eq!(reason.code, 1012, "{reason}");
                tokio::time::sleep(Duration::from_millis(reason.retry_in_ms.unwrap())).await;
                room.try_sit(1, &person, Options::default()).await.unwrap()
            });
            let mut back: Vec<Seat> = join_all(moves).await;
            is_shown(system, "node-0", Some(0), "yes").await;
            let goes = back.pop().unwrap();
            only_one_is_missed(&mut host, goes, &mut back).await;

            assert_eq!(is_ready(system, 0).await, 503);
            let late = system.guest("Late").await;
            room.admit(&late).await;
            // Whoever comes directly is told when to come back; whoever comes by a proxy could be taken elsewhere by it.
            let address = system.ws(0);
            let directly = Connection::join(&address, &room.code, late.token(), Options::default());
            let refused = directly.await.unwrap_err();
            let Error::Closed(reason) = &refused else { panic!("{refused}") };
            assert!(reason.code == 1012 && reason.retry_in_ms.is_some(), "{reason}");
            let refused = room.try_sit(0, &late, Options::default()).await.unwrap_err();
            assert!(matches!(refused, Error::UpgradeRefused(503)), "{refused}");

            let told = operator(system, &["resume", "--node", "node-0"]).await;
            assert!(told.is_success(), "{}", told.stderr);
            is_shown(system, "node-0", Some(0), "no").await;
            assert_eq!(is_ready(system, 0).await, 200);
            let _late = room.join_on(0, &late).await;
            host.sees_come("Late").await;
        })
        .await;
}
