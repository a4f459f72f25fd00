"""The first look: are people well, who is here, what goes on."""

from panels import dashboard, graph, stat, steps, table
from promql import quantile, rate

BUDGET = steps("red", (0, "orange"), (0.25, "green"))
SOME = steps("red", (1, "green"))


def left(title, slo, about, book):
    about = f"{about} What is left of the errors that 30 days may have; below zero the promise is broken."
    return stat(title, about, "percentunit", f'slo:error_budget_left:ratio{{slo="{slo}"}}', book, BUDGET)


made = dashboard(
    "streamit-overview", "StreamIt: overview", "Whether people are well, who is here, and what goes on.",
    [
        ("What is promised", [
            left("Calls succeed", "http-availability", "99.9 % of HTTP calls do not end with a 5xx.", "http-errors"),
            left("Calls are quick", "http-latency", "99 % of HTTP calls take at most half a second.", "http-slow"),
            left("Joins succeed", "joins", "99.5 % of those who should get in do.", "joins-fail"),
            left("Delivery is quick", "delivery", "99 % of what is said and played is written within 250 ms.", "delivery-slow"),
            left("Chat is stored", "chat", "99.9 % of the calls that store chat succeed.", "chat-not-stored"),
            stat("Pages", "Alerts that somebody is to be woken for, at this moment.", "short",
                 'count(ALERTS{alertstate="firing",alertname=~"Streamit.+",severity="page"}) or vector(0)',
                 marks=steps("green", (1, "red"))),
            graph("How fast budgets are used up", "Over the last hour. At 1 the budget lasts exactly 30 days; from 14.4 on somebody "
                  "is woken.", "none", ("{{slo}}", "slo:burn_rate:1h"), width=12,
                  marks=steps("transparent", (1, "orange"), (14.4, "red"))),
            graph("Share that is bad", "Over five minutes, of all events that count.", "percentunit",
                  ("{{slo}}", "slo:errors:rate5m / (slo:events:rate5m > 0)"), width=12),
        ]),
        ("Now", [
            stat("People", "Joined, over all rooms.", "short", "sum(streamit_members)"),
            stat("Connections", "Sockets that are open: a person may have several.", "short", "sum(streamit_connections)"),
            stat("Rooms", "Live rooms, each counted on every node that has it open.", "short", "sum(streamit_rooms)"),
            stat("Nodes ready", "Realtime nodes that take people.", "short", 'sum(streamit_ready{job="realtime"})', "none-ready", SOME),
            stat("Apis ready", "Replicas of the api that take calls.", "short", 'sum(streamit_ready{job="api"})', "none-ready", SOME),
            stat("Without Redis", "Processes whose subscription to Redis is not alive.", "short",
                 'count(streamit_redis_up{job=~"api|realtime"} == 0) or vector(0)', "redis-down", steps("green", (1, "red"))),
        ]),
        ("People", [
            graph("Connections", "By node.", "short", ("{{instance}}", "sum by (instance) (streamit_connections)"), book="nodes-uneven"),
            graph("Coming", "Joined for good, and turned away by reason. Reasons of ours are busy, full, unavailable, internal.", "cps",
                  ("joined", rate("streamit_connections_opened_total")),
                  ("{{reason}}", rate("streamit_connections_rejected_total", "reason")), book="joins-fail"),
            graph("Going", "By close code: 1000 and 1001 left, 1006 vanished, 1012 moved to another node, 4100 did not read, 4102 fell "
                  "silent.", "cps", ("{{code}}", rate("streamit_connections_closed_total", "code")), book="connections-vanish"),
        ]),
        ("Traffic", [
            graph("Said and done", "Messages from people, by type.", "cps",
                  ("{{type}}", rate("streamit_messages_received_total", "type"))),
            graph("Delivered", "Messages to people, counted for each who gets them.", "cps",
                  ("{{type}}", rate("streamit_messages_sent_total", "type"))),
            graph("Until it is delivered", "From publishing to the write to the socket.", "s",
                  ("half", quantile(0.5, "streamit_delivery_lag_seconds")),
                  ("99 of 100", quantile(0.99, "streamit_delivery_lag_seconds")),
                  ("999 of 1000", quantile(0.999, "streamit_delivery_lag_seconds")), book="delivery-slow",
                  marks=steps("transparent", (0.25, "red"))),
            graph("HTTP calls", "By status.", "reqps",
                  ("{{http_response_status_code}}", rate("http_server_request_duration_seconds_count", "http_response_status_code")),
                  book="http-errors"),
            graph("How long HTTP calls take", "Health probes and the film left out.", "s",
                  *((name, quantile(q, "http_server_request_duration_seconds", "",
                     'http_route!~"/livez|/readyz|/metrics|/api/health/?|/ws/.*|/sample.mp4"'))
                    for name, q in (("half", 0.5), ("99 of 100", 0.99))), book="http-slow",
                  marks=steps("transparent", (0.5, "red"))),
            graph("Until somebody is in", "The whole way: door, token, the api's answer, the room.", "s",
                  ("half", quantile(0.5, "streamit_handshake_duration_seconds", "", 'phase="total"')),
                  ("95 of 100", quantile(0.95, "streamit_handshake_duration_seconds", "", 'phase="total"')), book="joins-slow"),
        ]),
        ("Alerts", [
            table("What fires", "Each alert names its runbook.", 'ALERTS{alertstate="firing",alertname=~"Streamit.+"}',
                  ("alertstate", "runbooks")),
        ]),
    ],
)  # fmt: skip
