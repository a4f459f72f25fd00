//! What is measured of the api.

use std::time::Duration;

use http::{Method, StatusCode};
use opentelemetry::metrics::{Counter, Histogram, Meter};
use opentelemetry::{KeyValue, global};
use streamit_storage::Store;
use streamit_telemetry::metrics::{Counters, Metric};
use streamit_telemetry::trace;

use crate::app::App;

const REQUESTS: Metric = Metric::seconds(
    "http.server.request.duration",
    "how long requests took; `http_route` is the pattern of the path, `-` if there was none",
)
.by(&["http.request.method", "http.route", "http.response.status_code"]);
const CALLS: Metric = Metric::seconds("rpc.server.call.duration", "how long calls of realtime nodes took")
    .by(&["rpc.method", "rpc.response.status_code"]);
const WAITS: Metric = Metric::seconds(
    "db.client.connection.wait_time",
    "how long a connection to the database was waited for that came",
);
const CONNECTIONS: Metric = Metric::gauge(
    "db.client.connection.count",
    "{connection}",
    "connections to the database: `idle` or `used`",
)
.by(&["state"]);
const CONNECTIONS_MAX: Metric =
    Metric::gauge("db.client.connection.max", "{connection}", "how many there may be");
const TIMEOUTS: Metric = Metric::counter(
    "db.client.connection.timeouts",
    "{timeout}",
    "how often no connection came in time, or the database was away",
);
const BATCH: Metric = Metric::counts(
    "streamit.append.batch.messages",
    "{message}",
    "chat messages stored with one transaction",
);
const APPEND: Metric = Metric::seconds("streamit.append.duration", "how long such a transaction took");
const OUTBOX_AGE: Metric = Metric::gauge(
    "streamit.outbox.age",
    "s",
    "for how long the oldest announcement waits that live state has not heard; 0 if none waits (looked at every 5 s)",
);
const OUTBOX_ROWS: Metric =
    Metric::gauge("streamit.outbox.rows", "{announcement}", "how many such announcements wait");
const PASSWORDS_WAITING: Metric = Metric::gauge(
    "streamit.passwords.waiting",
    "{password}",
    "passwords that wait for their turn to be hashed",
);
const PASSWORDS: Metric = Metric::seconds(
    "streamit.passwords.duration",
    "how long a password took: to `wait` for a turn, to be `hash`ed",
)
.by(&["step"]);
const REFUSED: Metric = Metric::counter(
    "streamit.limits.refused",
    "{request}",
    "what was refused because there was too much of it",
)
.by(&["limit"]);
const LOGINS: Metric = Metric::counter(
    "streamit.logins",
    "{login}",
    "tries to log in with a password, also to the panel: `success` or `failure`",
)
.by(&["result"]);
const SWEEPS: Metric = Metric::counter(
    "streamit.sweeps",
    "{deadline}",
    "deadlines that were carried out: a room passed on (`transfer`) or closed (`close`) without its host, a film that nobody \
     watches paused (`pause`), a room that nobody visits ended (`expire`)",
)
.by(&["what"]);
const AUDIT_LOST: Metric = Metric::counter(
    "streamit.audit.lost",
    "{row}",
    "rows that are missing in the audit log: nodes had to give them up",
);

/// What is measured of the api.
pub const METRICS: &[Metric] = &[
    REQUESTS,
    CALLS,
    WAITS,
    CONNECTIONS,
    CONNECTIONS_MAX,
    TIMEOUTS,
    BATCH,
    APPEND,
    OUTBOX_AGE,
    OUTBOX_ROWS,
    PASSWORDS_WAITING,
    PASSWORDS,
    REFUSED,
    LOGINS,
    SWEEPS,
    AUDIT_LOST,
];

/// Which limit refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    Login,
    Register,
    Guest,
    Join,
    Password,
    Code,
    Create,
    Report,
    Act,
}

impl Limited {
    const ALL: [Self; 9] = [
        Self::Login,
        Self::Register,
        Self::Guest,
        Self::Join,
        Self::Password,
        Self::Code,
        Self::Create,
        Self::Report,
        Self::Act,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Register => "register",
            Self::Guest => "guest",
            Self::Join => "join",
            Self::Password => "password",
            Self::Code => "code",
            Self::Create => "create",
            Self::Report => "report",
            Self::Act => "act",
        }
    }
}

/// What the sweeper did.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Swept {
    Transfer,
    Close,
    Pause,
    Expire,
}

/// What is recorded into.
#[derive(Debug)]
pub(crate) struct Instruments {
    requests: Histogram<f64>,
    calls: Histogram<f64>,
    batch: Histogram<f64>,
    append: Histogram<f64>,
    passwords: Histogram<f64>,
    refused: Counters,
    logins: Counters,
    sweeps: Counters,
    audit_lost: Counter<u64>,
}

impl Instruments {
    pub(crate) fn new() -> Self {
        let meter = meter();
        Self {
            requests: REQUESTS.records(&meter),
            calls: CALLS.records(&meter),
            batch: BATCH.records(&meter),
            append: APPEND.records(&meter),
            passwords: PASSWORDS.records(&meter),
            refused: REFUSED.adds_by(&meter, &Limited::ALL.map(Limited::word)),
            logins: LOGINS.adds_by(&meter, &["success", "failure"]),
            sweeps: SWEEPS.adds_by(&meter, &["transfer", "close", "pause", "expire"]),
            audit_lost: AUDIT_LOST.adds(&meter),
        }
    }

    /// A request was answered.
    pub(crate) fn served(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        self.requests.record(
            took.as_secs_f64(),
            &[
                KeyValue::new("http.request.method", trace::method_word(method.as_str())),
                KeyValue::new("http.route", route.to_owned()),
                KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
            ],
        );
    }

    /// A node's call was answered.
    pub(crate) fn called(&self, method: &'static str, outcome: &'static str, took: Duration) {
        let labels =
            [KeyValue::new("rpc.method", method), KeyValue::new("rpc.response.status_code", outcome)];
        self.calls.record(took.as_secs_f64(), &labels);
    }

    /// So many messages were stored with one transaction.
    pub(crate) fn appended(&self, messages: usize, took: Duration) {
        self.batch.record(messages as f64, &[]);
        self.append.record(took.as_secs_f64(), &[]);
    }

    /// A password had its turn after this time.
    pub(crate) fn password_waited(&self, took: Duration) {
        self.passwords.record(took.as_secs_f64(), &[KeyValue::new("step", "wait")]);
    }

    /// A password was hashed.
    pub(crate) fn password_hashed(&self, took: Duration) {
        self.passwords.record(took.as_secs_f64(), &[KeyValue::new("step", "hash")]);
    }

    /// Something was too much.
    pub(crate) fn refused(&self, limit: Limited) {
        self.refused.add(1, limit.word());
    }

    /// Somebody tried to log in.
    pub(crate) fn login(&self, is_success: bool) {
        self.logins.add(1, if is_success { "success" } else { "failure" });
    }

    /// The sweeper did something.
    pub(crate) fn swept(&self, what: Swept) {
        self.sweeps.add(
            1,
            match what {
                Swept::Transfer => "transfer",
                Swept::Close => "close",
                Swept::Pause => "pause",
                Swept::Expire => "expire",
            },
        );
    }

    /// Rows of the audit log could not be kept.
    pub(crate) fn audit_lost(&self, rows: u64) {
        self.audit_lost.add(rows, &[]);
    }
}

/// Tells whenever somebody looks, for as long as there is an api.
pub(crate) fn observe(app: &App) {
    let meter = meter();
    // A program that holds more adds checks of its own to the same health.
    app.health.observe(&meter, || true);
    observe_store(&meter, &app.store);
    let weak = app.downgrade();
    OUTBOX_ROWS.observes(&meter, move |rows| {
        if let Some(app) = weak() {
            rows.observe(app.outbox_seen().0 as f64, &[]);
        }
    });
    let weak = app.downgrade();
    OUTBOX_AGE.observes(&meter, move |age| {
        if let Some(app) = weak() {
            let oldest = app.outbox_seen().1;
            age.observe(oldest.map_or(0.0, |oldest| app.now().since(oldest).as_secs_f64()), &[]);
        }
    });
    let weak = app.downgrade();
    PASSWORDS_WAITING.observes(&meter, move |waiting| {
        if let Some(app) = weak() {
            waiting.observe(app.passwords.waiting() as f64, &[]);
        }
    });
}

fn observe_store(meter: &Meter, store: &Store) {
    let waits = WAITS.records(meter);
    store.tell_waits(move |took| waits.record(took.as_secs_f64(), &[]));
    let of = || store.clone();
    CONNECTIONS.observes(meter, {
        let store = of();
        move |count| {
            let load = store.load();
            count.observe(load.idle as f64, &[KeyValue::new("state", "idle")]);
            count.observe(load.used as f64, &[KeyValue::new("state", "used")]);
        }
    });
    CONNECTIONS_MAX.observes(meter, {
        let store = of();
        move |max| max.observe(store.load().most as f64, &[])
    });
    TIMEOUTS.observes_total(meter, {
        let store = of();
        move |timeouts| timeouts.observe(store.given_up() as f64, &[])
    });
}

fn meter() -> Meter {
    global::meter("streamit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_somebody_made_up_is_no_label() {
        assert_eq!(trace::method_word(Method::PATCH.as_str()), "PATCH");
        assert_eq!(trace::method_word("ANA"), "_OTHER");
    }
}
