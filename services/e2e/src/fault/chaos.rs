//! Playing a script.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::script::{Act, Fault, Place, Script, What};
use super::{Cluster, Link, Party, Verdict};
use crate::Plan;

/// How long a drain may take, in seconds.
const DRAIN_SECONDS: &str = "4";
/// What a slow line adds, at least, and up to how much more.
const SLOW: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(400));
/// How many bytes a second a narrow line lets through.
const NARROW: u32 = 2_000;

/// What came of a script.
#[derive(Debug)]
pub struct Outcome {
    /// The promises.
    pub verdict: Verdict,
    /// How long all of it took.
    pub took: Duration,
    /// How long it took, when all was healed, until everybody saw the same.
    pub quiet_after: Duration,
}

impl Script {
    /// Starts a cluster, has it all happen, heals it, waits for quiet and judges.
    ///
    /// # Panics
    /// When the cluster can't be started, or is not ready again in the end.
    pub async fn play(&self) -> Outcome {
        let start = Instant::now();
        let plan =
            Plan::cluster(self.apis, self.nodes).limits("off").env("STREAMIT_DRAIN_SECONDS", DRAIN_SECONDS);
        let cluster =
            if self.has_postgres { Cluster::with_postgres(plan).await } else { Cluster::start(plan).await };
        let mut party = Party::open_with(&cluster, self.people, self.draw.clone()).await;
        let (talk, film) = (party.talk(self.talk), party.direct(self.film));

        let began = Instant::now();
        join_all(self.acts.iter().map(|act| happens(&cluster, &party, began, *act))).await;
        cluster.heal();
        let healed = Instant::now();
        cluster.is_ready().await;
        talk.stop().await;
        film.stop().await;

        if self.may_seem_dead() {
            party.never_gone = None;
        }
        let verdict = party.settle().await;
        Outcome { verdict, took: start.elapsed(), quiet_after: healed.elapsed() }
    }
}

async fn happens(cluster: &Cluster, party: &Party<'_>, began: Instant, act: Act) {
    sleep_until(began + act.at).await;
    match act.what {
        What::Line(place, fault) => {
            let link = link(cluster, place);
            strike(&link, fault);
            sleep(act.lasts).await;
            link.heal();
            if fault == Fault::Strand {
                // What nobody knows to be dead would live on for a minute.
                link.cut();
            }
        }
        What::KillNode(node) => {
            cluster.kill_node(node);
            sleep(act.lasts).await;
            cluster.start_node(node).await;
        }
        What::StopNode(node) => {
            cluster.stop_node(node).await;
            cluster.start_node(node).await;
        }
        What::PauseNode(node) => {
            let process = cluster.system.node(node);
            process.signal("STOP");
            sleep(act.lasts).await;
            process.signal("CONT");
        }
        What::KillApi(api) => {
            cluster.kill_api(api);
            sleep(act.lasts).await;
            cluster.start_api(api).await;
        }
        What::PauseApi(api) => {
            let process = cluster.system.api(api);
            process.signal("STOP");
            sleep(act.lasts).await;
            process.signal("CONT");
        }
        What::KillRedis => {
            cluster.kill_redis().await;
            sleep(act.lasts).await;
            cluster.start_redis().await;
        }
        What::DropSubscriptions => drop(cluster.redis_says("CLIENT KILL TYPE pubsub").await),
        What::ForgetScripts => drop(cluster.redis_says("SCRIPT FLUSH").await),
        What::ForgetFilm => drop(cluster.redis_says(&format!("DEL s1:{{{}}}:play", party.room.id)).await),
        What::ForgetRoster => drop(cluster.redis_says(&format!("DEL s1:{{{}}}:roster", party.room.id)).await),
        What::CrashPostgres => {
            cluster
                .with_database(async |postgres| {
                    postgres.crash().await;
                    sleep(act.lasts).await;
                    postgres.again().await
                })
                .await;
        }
        // Who can't be made host now stays what he is; whether he was is known afterwards.
        What::Transfer(to) => drop(party.transfer(to).await),
        What::Leave(who) => {
            party.viewers[who].leave().await;
            sleep(act.lasts).await;
            party.viewers[who].returns().await;
        }
        What::Blink(who) => party.viewers[who].blinks().await,
    }
}

fn link(cluster: &Cluster, place: Place) -> Link {
    match place {
        Place::Clients(node) => cluster.clients(node),
        Place::Calls(node) => cluster.redis_calls(node),
        Place::News(node) => cluster.redis_news(node),
        Place::Authority(node, api) => cluster.authority(node, api),
        Place::ApiRedis(api) => cluster.api_redis(api),
        Place::Database(api) => cluster.database(api),
    }
}

fn strike(link: &Link, fault: Fault) {
    match fault {
        Fault::Slow => link.slow(SLOW.0, SLOW.1),
        Fault::Narrow => link.narrow(NARROW),
        Fault::Block => link.block(),
        Fault::BlockUp => link.block_up(),
        Fault::BlockDown => link.block_down(),
        Fault::Cut => link.cut(),
        Fault::Sever => link.sever(),
        Fault::Strand => link.strand(),
    }
}
