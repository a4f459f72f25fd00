//! The host is lost: her node is killed, or cut off from everything; or she is only gone for a moment.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::time::Duration;

use streamit_client::{Event, Options, PlaybackState};
use streamit_e2e::fault::{Cluster, percentile};
use streamit_e2e::{PATIENCE, Person, Room, Seat, until};
use tokio::time::{Instant, sleep};

use crate::{assert_within, is_long, ms, plan, tell};

/// The grace in these trials; over HTTP five seconds are the least.
const GRACE: Duration = Duration::from_secs(1);
/// Until a node that is dead or cut off is held dead, as is promised.
const DEAD: Duration = Duration::from_secs(10);
/// How often the sweeper looks, and what a busy machine may add.
const SWEEP: Duration = Duration::from_millis(1_300);
const MACHINE: Duration = Duration::from_secs(2);

/// How many trials of each kind.
fn trials() -> usize {
    if is_long() { 10 } else { 1 }
}

/// A room whose host sits on a node that something is about to happen to, and two others on the other nodes.
struct Trial<'a> {
    cluster: &'a Cluster,
    room: Room,
    ana: Person,
    host: Seat,
    bo: Seat,
    cy: Seat,
    /// Her node.
    node: usize,
    position: f64,
}

impl<'a> Trial<'a> {
    async fn open(cluster: &'a Cluster, number: usize) -> Self {
        let system = &cluster.system;
        let [ana, bo, cy] = [system.guest("Ana").await, system.guest("Bo").await, system.guest("Cy").await];
        let room = ana.public_room().await;
        let shorten =
            "UPDATE rooms SET host_grace_seconds = $2, facts_version = facts_version + 1 WHERE id = $1";
        sqlx::query(shorten)
            .bind(room.id)
            .bind(GRACE.as_secs().cast_signed())
            .execute(&mut cluster.opens_database().await)
            .await
            .unwrap();
        let node = number % cluster.nodes();
        let host = room.join_on(node, &ana).await;
        let bo = room.join_on(node + 1, &bo).await;
        let mut cy = room.join_on(node + 2, &cy).await;
        // So that all know of all.
        cy.quiet().await;
        let mut trial = Self { cluster, room, ana, host, bo, cy, node, position: 1_000.0 };
        trial.position += 1.0;
        let position = trial.position;
        assert!(is_obeyed(&mut trial.host, position).await, "the host of the beginning");
        sees(&mut trial.cy, position).await;
        trial
    }

    /// The host and the fence that the database has: one row, so there is one of each.
    async fn stored(&self) -> (uuid::Uuid, i64) {
        let ask = "SELECT host_id, host_fence FROM rooms WHERE id = $1";
        let mut database = self.cluster.opens_database().await;
        sqlx::query_as(ask).bind(self.room.id).fetch_one(&mut database).await.unwrap()
    }

    /// Both who stayed hear of the next host, who is called Bo here from then on; how long that took. It is who was there
    /// longest: Bo, unless his node was held dead a moment ago and entered him anew.
    async fn passes_on(&mut self, lost: Instant) -> Duration {
        let next = hears_of_host(&mut self.bo).await;
        assert_eq!(hears_of_host(&mut self.cy).await, next, "both hear of the same");
        let took = lost.elapsed();
        if self.cy.who() == next {
            std::mem::swap(&mut self.bo, &mut self.cy);
        }
        let bo = self.bo.welcome.participants.you.as_ref().expect("he is told who he is").id;
        assert_eq!((self.bo.who(), self.stored().await), (next.as_str(), (bo, 2)));
        self.position += 1.0;
        assert!(is_obeyed(&mut self.bo, self.position).await, "the next host");
        sees(&mut self.cy, self.position).await;
        assert!(!is_obeyed(&mut self.cy, 1.0).await, "who is not host");
        took
    }

    /// Everybody hears that she is host again, and it is so.
    async fn goes_back_to_ana(&mut self, back: Instant) -> Duration {
        for seat in [&mut self.bo, &mut self.cy] {
            assert_eq!(hears_of_host(seat).await, "Ana", "nobody else is host in between");
        }
        assert_eq!(self.stored().await, (self.ana.id(), 3));
        self.position += 1.0;
        // A node that was cut off may hear of all this last.
        while !is_obeyed(&mut self.host, self.position).await {
            assert!(back.elapsed() < PATIENCE, "the host who is back is refused");
        }
        let took = back.elapsed();
        for seat in [&mut self.bo, &mut self.cy] {
            sees(seat, self.position).await;
            assert!(!is_obeyed(seat, 2.0).await, "the former host, and who never was");
        }
        took
    }
}

/// Waits until somebody else is host, and tells who.
async fn hears_of_host(seat: &mut Seat) -> String {
    seat.waits("another host", |event| match event {
        Event::HostChanged(change) => Some(change.host.clone()),
        _ => None,
    })
    .await
}

fn is_at(state: &PlaybackState, position: f64) -> bool {
    (state.time - position).abs() < 0.001
}

async fn sees(seat: &mut Seat, position: f64) {
    seat.sees("the film there", |state| is_at(state, position)).await;
}

/// Whether a seek of this one is carried out, or refused because somebody else is host. Asks again while that can't be told.
async fn is_obeyed(seat: &mut Seat, position: f64) -> bool {
    loop {
        seat.seek(position).await;
        let answer = seat.waits("an answer to a command", |event| match event {
            Event::PlaybackState(state) if is_at(state, position) => Some(Ok(true)),
            Event::Error(refusal) if refusal.code == "HOST_ONLY" => Some(Ok(false)),
            Event::Error(refusal) => Some(Err(refusal.code.clone())),
            _ => None,
        });
        match answer.await {
            Ok(is_obeyed) => return is_obeyed,
            Err(code) => assert_eq!(code, "TRY_AGAIN"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// A cluster whose sweepers have watched for long enough to decide something: a first room has passed on.
async fn settled() -> Cluster {
    let cluster = Cluster::start(plan()).await;
    let trial = Trial::open(&cluster, 0).await;
    trial.host.leaves().await;
    let (http, code, ana) = (trial.ana.http(), &trial.room.code, trial.ana.id());
    until("a first room to pass on", async || {
        http.detail(code).await.unwrap().host_id.filter(|host| *host != ana)
    })
    .await
    .unwrap();
    cluster
}

/// From the death of a node, or its being cut off, until everybody has another host.
fn promised() -> Duration {
    DEAD + GRACE + SWEEP + MACHINE
}

/// One cluster for all, since its sweepers take their time before they decide anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_whose_host_is_lost_has_exactly_one_and_goes_back() {
    let cluster = settled().await;
    // First what has to be silent: a node that was cut off is still to make up for it.
    is_back_in_time(&cluster).await;
    is_killed(&cluster).await;
    is_cut_off(&cluster).await;
}

/// The node dies, and she comes back through another.
async fn is_killed(cluster: &Cluster) {
    let (mut passed, mut back) = (Vec::new(), Vec::new());
    for number in 0..trials() {
        let mut trial = Trial::open(cluster, number).await;
        cluster.kill_node(trial.node);
        passed.push(trial.passes_on(Instant::now()).await);
        let returns = Instant::now();
        trial.host = trial.room.sit(trial.node + 1, &trial.ana, Options::default()).await;
        back.push(trial.goes_back_to_ana(returns).await);
        cluster.start_node(trial.node).await;
    }
    report("the host's node is killed", &passed, &back);
}

/// The node is cut off and does not know what it misses.
async fn is_cut_off(cluster: &Cluster) {
    let (mut passed, mut back) = (Vec::new(), Vec::new());
    for number in 0..trials() {
        let mut trial = Trial::open(cluster, number).await;
        let mut lines = vec![cluster.redis_calls(trial.node), cluster.redis_news(trial.node)];
        lines.extend((0..cluster.apis()).map(|api| cluster.authority(trial.node, api)));
        lines.iter().for_each(|line| line.block());
        let lost = Instant::now();
        passed.push(trial.passes_on(lost).await);
        // Her node knows nothing of it. What she asks for is under way to Redis when all is healed.
        const STALE: f64 = 9_999.0;
        trial.host.seek(STALE).await;
        let answered = trial.host.waits("an answer", |event| match event {
            Event::Error(refusal) => Some(refusal.code.clone()),
            Event::PlaybackState(state) if is_at(state, STALE) => Some("obeyed".to_owned()),
            _ => None,
        });
        let code = answered.await;
        assert!(
            matches!(code.as_str(), "TRY_AGAIN" | "HOST_ONLY"),
            "a host who is not host any more: {code}"
        );
        let healed = Instant::now();
        lines.iter().for_each(|line| line.heal());
        back.push(trial.goes_back_to_ana(healed).await);
        for seat in [&mut trial.host, &mut trial.bo, &mut trial.cy] {
            for event in seat.quiet().await {
                let is_stale = matches!(&event, Event::PlaybackState(state) if is_at(state, STALE));
                assert!(!is_stale, "{} saw a command of a former host", seat.who());
            }
        }
    }
    report("the host's node is cut off from Redis and the apis", &passed, &back);
}

fn report(what: &str, passed: &[Duration], back: &[Duration]) {
    tell(
        &format!("{what}, {} times", passed.len()),
        format!(
            "exactly one host each time; the next after p50 {} p99 {}, the first again p50 {} p99 {}",
            ms(percentile(passed, 0.5)),
            ms(percentile(passed, 0.99)),
            ms(percentile(back, 0.5)),
            ms(percentile(back, 0.99)),
        ),
    );
    assert_within("another host", percentile(passed, 1.0), promised());
    assert_within("the host again", percentile(back, 1.0), DEAD + MACHINE);
}

/// She is gone for a moment: she stays host, and nobody is told more than that she went and came.
async fn is_back_in_time(cluster: &Cluster) {
    let mut away = Vec::new();
    for number in 0..trials() {
        let Trial { room, ana, host, mut bo, mut cy, node, cluster, position } =
            Trial::open(cluster, number).await;
        for seat in [&mut bo, &mut cy] {
            seat.quiet().await;
        }
        let left = Instant::now();
        host.leaves().await;
        bo.gets("HOST_DISCONNECTED").await;
        let host = room.sit(node + 2, &ana, Options::default()).await;
        away.push(left.elapsed());
        // Past the grace, and past the sweepers' next looks.
        let over = left + GRACE + 2 * SWEEP;
        let mut told = vec!["USER_LEFT".to_owned(), "HOST_DISCONNECTED".to_owned()];
        while Instant::now() < over {
            told.extend(bo.quiet().await.iter().map(|event| event.kind().to_owned()));
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(told, ["USER_LEFT", "HOST_DISCONNECTED", "USER_JOINED", "HOST_RECONNECTED"]);
        let mut trial = Trial { cluster, room, ana, host, bo, cy, node, position };
        assert_eq!(trial.stored().await, (trial.ana.id(), 1), "the same host, under the same fence");
        assert!(is_obeyed(&mut trial.host, position + 1.0).await);
        assert!(!is_obeyed(&mut trial.bo, 1.0).await);
    }
    assert_within("back in time, or the trial shows nothing", percentile(&away, 1.0), GRACE);
    tell(
        &format!("the host is back within the grace, {} times", trials()),
        format!("away for up to {}, the same host, and nothing else told", ms(percentile(&away, 1.0))),
    );
}
