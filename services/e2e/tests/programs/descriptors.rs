//! More clients than a process has file descriptors.

use std::path::Path;
use std::time::Duration;

use streamit_client::{Connection, Entry, Event, Http, Options};
use streamit_e2e::{Program, until};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::{Desk, owned};

/// How many descriptors the program has. Some sixty it needs for itself, so clients can take fewer than the seats that
/// are left over by the reserve, and more than that.
const DESCRIPTORS: usize = 256;

/// The processor time that a program has used.
fn used(program: &Program) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.pid())).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let ticks = |field: usize| after_name.split(' ').nth(field).unwrap().parse::<u64>().unwrap();
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

#[tokio::test]
async fn without_descriptors_those_who_are_in_go_on_and_newcomers_are_turned_away() {
    let desk = Desk::new();
    let env = [
        ("STREAMIT_LISTEN", "127.0.0.1:0"),
        ("STREAMIT_DATA_DIR", &*desk.path("data")),
        ("STREAMIT_LIMITS", "off"),
    ];
    let binary = streamit_e2e::program("streamit").display().to_string();
    let limited = ["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$0\""), &binary];
    let program =
        Program::start("streamit", Path::new("/bin/sh"), &limited, &owned(&env), Path::new(&desk.path("")));
    let address = program.printed("listening http://").await.unwrap();
    let http = Http::new(&format!("http://{address}")).unwrap();
    let ws = format!("ws://{address}");
    let ana = http.guest("Ana").await.unwrap();
    let room = http.as_user(&ana).create_room(Entry::Public).await.unwrap();
    let join = async || Connection::join(&ws, &room.code, &ana.access_token, Options::default()).await;
    let (mut host, _) = join().await.unwrap();

    // First sockets that are told why: when the reserve is reached, with time to come back at.
    let mut others = Vec::new();
    let refused = loop {
        match join().await {
            Ok((line, _)) => others.push(line),
            Err(error) => break error,
        }
        assert!(others.len() < DESCRIPTORS);
    };
    let reason = refused.close_reason().unwrap_or_else(|| panic!("{refused}"));
    assert!(reason.code == 1013 && reason.retry_in_ms.is_some(), "{reason}");

    // Then connections that say nothing, until there is no descriptor for any more.
    let mut silent = Vec::new();
    for _ in 0..DESCRIPTORS * 2 {
        silent.push(TcpStream::connect(&*address).await.unwrap());
    }
    let before = used(&program);
    let begun = Instant::now();
    let mut away = 0;
    for line in silent.iter_mut().rev() {
        // An end or a reset, and both at once: nobody is left to hang.
        let mut byte = [0];
        away += usize::from(matches!(
            timeout(Duration::from_secs(2), line.read(&mut byte)).await,
            Ok(Ok(0) | Err(_))
        ));
        if away >= DESCRIPTORS {
            break;
        }
    }
    assert!(
        away >= DESCRIPTORS && begun.elapsed() < Duration::from_secs(2),
        "{away} in {:?}",
        begun.elapsed()
    );
    for n in 0..20 {
        host.sender().chat(&format!("{n}"), None).await.unwrap();
        let heard = host.expect("it", |event| match event {
            Event::ChatMessage(said) => Some(said.message.clone()),
            _ => None,
        });
        assert_eq!(heard.await.unwrap(), format!("{n}"));
    }
    let spent = used(&program) - before;
    assert!(spent < begun.elapsed() / 2 + Duration::from_secs(1), "{spent:?} in {:?}", begun.elapsed());
    let complaints = program.log().matches("could not accept a connection").count();
    assert!((1..=3).contains(&complaints), "told {complaints} times");

    // And when they are gone, everybody is welcome again.
    drop((silent, others));
    let back = until("a seat", async || join().await.ok()).await;
    assert!(back.is_ok());
}
