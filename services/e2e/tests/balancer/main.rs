//! Two apis and three nodes behind real load balancers, which run the configurations that are shipped. People know one
//! address, that of the balancer; what it does must not be seen.

#![expect(clippy::unwrap_used, reason = "what should not happen ends the test, there and then")]

mod address;
mod contract;
mod faults;
mod idle;

use streamit_e2e::Plan;

/// How long a node's drain takes in these tests, in seconds: shorter than the balancers' checks need to notice it.
const DRAIN_SECONDS: &str = "5";

/// Limits are off where they are not the matter: all clients of a test come from one address.
fn plan(limits: &str) -> Plan {
    Plan::cluster(2, 3).limits(limits).env("STREAMIT_DRAIN_SECONDS", DRAIN_SECONDS)
}

/// Makes a test of each story for each balancer.
macro_rules! behind_each {
    ($($name:ident),+ $(,)?) => {
        mod nginx {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(streamit_e2e::balancer::Kind::Nginx).await; } )+
        }
        mod haproxy {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(streamit_e2e::balancer::Kind::Haproxy).await; } )+
        }
        mod envoy {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(streamit_e2e::balancer::Kind::Envoy).await; } )+
        }
    };
}
use behind_each;
