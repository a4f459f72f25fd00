"""What the programs need, as they see it: Redis, PostgreSQL, the collector."""

from panels import dashboard, graph, states
from promql import WINDOW, quantile, rate

REDIS = 'db_system_name="redis"'
UP = {1: ("up", "green"), 0: ("away", "red")}

made = dashboard(
    "streamit-dependencies", "StreamIt: what it needs",
    "Redis, PostgreSQL and the collector, as the programs see them. What the servers say of themselves is not here.",
    [
        ("Redis", [
            states("Subscription", "Whether news can come.", UP,
                   ("{{job}} {{instance}}", 'streamit_redis_up{job=~"api|realtime"}'), book="redis-down", width=12, height=8),
            graph("Probes", "Every two seconds each process sends itself one, over the subscription.", "cps",
                  ("{{instance}} {{result}}", rate("streamit_redis_probes_total", "instance, result")), book="redis-shaky", width=12),
            graph("Round trip of probes, 99 of 100", "There and back by way of Redis.", "s",
                  ("{{instance}}", quantile(0.99, "streamit_redis_probe_duration_seconds", "instance")), book="redis-shaky"),
            graph("Connected anew", "By line.", "short",
                  ("{{instance}} {{line}}", "increase(streamit_redis_reconnects_total[15m])"), book="redis-shaky"),
            graph("Commands", "By script or command.", "cps",
                  ("{{db_operation_name}}", rate("db_client_operation_duration_seconds_count", "db_operation_name", REDIS))),
            graph("How long commands take, 99 of 100", "By script or command.", "s",
                  ("{{db_operation_name}}", quantile(0.99, "db_client_operation_duration_seconds", "db_operation_name", REDIS)),
                  book="redis-shaky"),
            graph("The same by process", "One that differs from the others has a line, or a processor, of its own to blame.", "s",
                  ("{{job}} {{instance}}", quantile(0.99, "db_client_operation_duration_seconds", "job, instance", REDIS)), book="redis-shaky"),
        ]),
        ("PostgreSQL", [
            graph("Connections of the pools", "In use and idle; all of them together may be `max`.", "short",
                  ("{{instance}} {{state}}", "sum by (instance, state) (db_client_connection_count)"),
                  ("{{instance}} max", "db_client_connection_max"), book="database-slow"),
            graph("Waiting for a connection, 99 of 100", "Of the pool.", "s",
                  ("{{instance}}", quantile(0.99, "db_client_connection_wait_time_seconds", "instance")), book="database-slow"),
            graph("Given up", "Waited too long, or the database is away.", "cps",
                  ("{{instance}}", rate("db_client_connection_timeouts_total", "instance")), book="database-away"),
            graph("Storing chat, 99 of 100", "One transaction, until it is committed.", "s",
                  ("{{instance}}", quantile(0.99, "streamit_append_duration_seconds", "instance")), book="database-slow"),
            graph("Announcements that wait", "Age of the oldest.", "s", ("{{instance}}", "streamit_outbox_age_seconds"), book="outbox-old"),
        ]),
        ("Telemetry", [
            states("Scraped", "Whether Prometheus reaches what it watches.", UP, ("{{job}} {{instance}}", "up"), book="instance-down",
                   width=12, height=8),
            graph("Did not arrive", "Spans and log records that the collector did not take.", "cps",
                  ("{{instance}} {{signal}}", f"rate(streamit_telemetry_dropped_total{WINDOW})"), book="telemetry-lost", width=12),
            graph("How long a scrape takes", "By target.", "s", ("{{job}} {{instance}}", "scrape_duration_seconds"), width=12),
            graph("Series", "Samples of one scrape, by target: what a label with too many values would show in.", "short",
                  ("{{job}} {{instance}}", "scrape_samples_scraped"), width=12),
        ]),
    ],
)  # fmt: skip
