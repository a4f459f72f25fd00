//! Signals go to a whole process, so this test has one of its own.

use std::process::Command;
use std::time::Duration;

use streamit_telemetry::shutdown;

fn send(signal: &str) {
    let me = std::process::id().to_string();
    let kill = Command::new("kill").args([signal, &me]).status().expect("every Unix has kill");
    assert!(kill.success());
}

#[tokio::test]
async fn the_first_signal_asks_and_the_second_insists() {
    let stop = shutdown::signal().unwrap();
    send("-TERM");
    tokio::time::timeout(Duration::from_secs(10), stop.first.cancelled()).await.unwrap();
    assert!(!stop.second.is_cancelled());
    send("-INT");
    tokio::time::timeout(Duration::from_secs(10), stop.second.cancelled()).await.unwrap();
}
