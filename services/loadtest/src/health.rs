//! Asking servers how they are, while they are under pressure.
//!
//! `/livez` and `/readyz` of each server, every 50 ms, each time on a new connection, as an orchestrator would. An
//! answer counts from the moment the question was *due*, and a question does not wait for the answer to the one
//! before. All of it runs in a thread of its own, so that the crowd in this process does not delay it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::args::Target;
use crate::histogram::{Histogram, Quantiles};

/// How often each server is asked each question.
pub const EVERY: Duration = Duration::from_millis(50);
/// How long an answer may take.
pub const BOUND: Duration = Duration::from_millis(250);
/// After this there will be no answer.
const PATIENCE: Duration = Duration::from_secs(10);
const QUESTIONS: [&str; 2] = ["/livez", "/readyz"];

/// Questions that go on being asked.
#[derive(Debug)]
pub struct Probes {
    stop: CancellationToken,
    thread: JoinHandle<anyhow::Result<()>>,
    noted: Arc<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    latency: Histogram,
    /// By the option that names the server.
    each: Vec<(String, Histogram)>,
    late: Histogram,
    failed: Histogram,
}

/// What was answered.
#[derive(Clone, Debug, Serialize)]
pub struct Answers {
    /// From due to answered.
    pub latency_us: Quantiles,
    /// The same of each server, by the option that names it.
    pub each_us: BTreeMap<String, Quantiles>,
    /// Answers that came after the bound.
    pub late: u64,
    /// Questions without a good answer.
    pub failed: u64,
}

impl Answers {
    /// Whether every answer was good and in time.
    #[must_use]
    pub fn are_in_time(&self) -> bool {
        self.latency_us.count > 0 && self.late + self.failed == 0
    }

    /// For people to read.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, String)> {
        let Self { latency_us, late, failed, .. } = self;
        let (count, bound) = (latency_us.count, BOUND.as_millis());
        let all = format!("{latency_us} ({count} answers; {late} after {bound} ms, {failed} none)");
        let mut rows = vec![("health of all servers".to_owned(), all)];
        rows.extend(self.each_us.iter().map(|(server, us)| (format!("health of {server}"), us.to_string())));
        rows
    }
}

/// Begins to ask every server of this target.
///
/// # Errors
/// When an address is not one.
pub fn watch(target: &Target) -> anyhow::Result<Probes> {
    let nodes = target.ws.iter().enumerate().map(|(n, ws)| (format!("--ws {n}"), ws));
    let (mut servers, mut noted) = (Vec::new(), Noted::default());
    for (name, base) in std::iter::once(("--url".to_owned(), &target.url)).chain(nodes) {
        let url = Url::parse(base).with_context(|| format!("`{base}` is not an address"))?;
        let found = url.socket_addrs(|| None).with_context(|| format!("`{base}` can't be found"))?;
        if let Some(server) = found.first().filter(|server| !servers.contains(*server)) {
            servers.push(*server);
            noted.each.push((name, Histogram::default()));
        }
    }
    let (stop, noted) = (CancellationToken::new(), Arc::new(noted));
    let (stopped, notes) = (stop.clone(), noted.clone());
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (start, mut asking) = (Instant::now(), JoinSet::new());
            for n in 0.. {
                let due = start + EVERY * n;
                tokio::select! {
                    () = sleep_until(due.into()) => {}
                    () = stopped.cancelled() => break,
                }
                let questions = |(n, server): (usize, &_)| QUESTIONS.map(|question| (n, *server, question));
                for (n, server, question) in servers.iter().enumerate().flat_map(questions) {
                    let notes = notes.clone();
                    asking.spawn(async move {
                        let answered = timeout(PATIENCE, ask(server, question)).await;
                        let took = due.elapsed();
                        match answered {
                            Ok(Ok(true)) if took > BOUND => notes.late.record(took),
                            Ok(Ok(true)) => {}
                            _ => return notes.failed.record(took),
                        }
                        notes.latency.record(took);
                        notes.each[n].1.record(took);
                    });
                }
                while asking.try_join_next().is_some() {}
            }
            asking.join_all().await;
        });
        Ok(())
    });
    Ok(Probes { stop, thread, noted })
}

impl Probes {
    /// Asks no more, and tells what was answered.
    ///
    /// # Errors
    /// When the questions could not be asked.
    pub async fn stop(self) -> anyhow::Result<Answers> {
        self.stop.cancel();
        let asked = tokio::task::spawn_blocking(|| self.thread.join()).await?;
        asked.map_err(|_| anyhow::anyhow!("the questions failed"))??;
        let Noted { latency, each, late, failed } = &*self.noted;
        Ok(Answers {
            latency_us: latency.quantiles(),
            each_us: each.iter().map(|(server, each)| (server.clone(), each.quantiles())).collect(),
            late: late.count(),
            failed: failed.count(),
        })
    }
}

/// Whether the answer is 200.
async fn ask(server: std::net::SocketAddr, question: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET {question} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(4_096).read_to_end(&mut answer).await?;
    Ok(answer.get(9..12) == Some(b"200"))
}
