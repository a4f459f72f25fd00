"""Replicas of the api: HTTP, gRPC, chat, accounts."""

from panels import choice, dashboard, graph, steps
from promql import mean, process, quantile, rate

HERE = 'job="api",instance=~"$instance"'
REAL = HERE + ',http_route!~"/livez|/readyz|/metrics|/api/health/?"'

made = dashboard(
    "streamit-api", "StreamIt: api", "HTTP, gRPC, the storing of chat, accounts.",
    [
        ("HTTP", [
            graph("Calls by status", "Health probes left out.", "reqps",
                  ("{{http_response_status_code}}", rate("http_server_request_duration_seconds_count", "http_response_status_code", REAL)),
                  book="http-errors", stack=True),
            graph("Calls that fail", "5xx, by route.", "reqps",
                  ("{{http_request_method}} {{http_route}} {{http_response_status_code}}",
                   rate("http_server_request_duration_seconds_count", "http_request_method, http_route, http_response_status_code",
                        REAL + ',http_response_status_code=~"5.."')), book="http-errors"),
            graph("Refused by limits", "429, by limit.", "cps", ("{{limit}}", rate("streamit_limits_refused_total", "limit", HERE)),
                  book="login-failures"),
            graph("Calls by route", "The ten busiest.", "reqps",
                  ("{{http_request_method}} {{http_route}}",
                   f"topk(10, {rate('http_server_request_duration_seconds_count', 'http_request_method, http_route', REAL)})")),
            graph("How long they take, 99 of 100", "The ten slowest routes.", "s",
                  ("{{http_request_method}} {{http_route}}",
                   f"topk(10, {quantile(0.99, 'http_server_request_duration_seconds', 'http_request_method, http_route', REAL)})"),
                  book="http-slow", marks=steps("transparent", (0.5, "red"))),
            graph("By replica", "All of them should do about the same.", "reqps",
                  ("{{instance}}", rate("http_server_request_duration_seconds_count", "instance", REAL))),
        ]),
        ("gRPC", [
            graph("Calls of nodes", "By method.", "cps", ("{{rpc_method}}", rate("rpc_server_call_duration_seconds_count", "rpc_method", HERE))),
            graph("Calls that fail", "By method and status.", "cps",
                  ("{{rpc_method}} {{rpc_response_status_code}}",
                   rate("rpc_server_call_duration_seconds_count", "rpc_method, rpc_response_status_code",
                        HERE + ',rpc_response_status_code!="OK"')), book="grpc-errors"),
            graph("How long they take, 99 of 100", "By method.", "s",
                  ("{{rpc_method}}", quantile(0.99, "rpc_server_call_duration_seconds", "rpc_method", HERE)), book="grpc-errors"),
        ]),
        ("Chat", [
            graph("Messages in one transaction", "The group commit: more under load.", "short",
                  ("{{instance}}", mean("streamit_append_batch_messages", "instance", HERE))),
            graph("Messages stored", "Each second.", "cps", ("{{instance}}", rate("streamit_append_batch_messages_sum", "instance", HERE))),
            graph("How long a transaction takes", "Until it is committed.", "s",
                  ("half", quantile(0.5, "streamit_append_duration_seconds", "", HERE)),
                  ("99 of 100", quantile(0.99, "streamit_append_duration_seconds", "", HERE)), book="database-slow"),
        ]),
        ("Accounts", [
            graph("Logins", "By how they ended.", "cps", ("{{result}}", rate("streamit_logins_total", "result", HERE)), book="login-failures"),
            graph("Passwords that wait", "For a turn to be hashed; 256 may.", "short",
                  ("{{instance}}", f"streamit_passwords_waiting{{{HERE}}}"), book="passwords-wait"),
            graph("Passwords, 95 of 100", "wait: for a turn, five seconds at most; hash: the hash itself.", "s",
                  ("{{step}}", quantile(0.95, "streamit_passwords_duration_seconds", "step", HERE)), book="passwords-wait"),
        ]),
        ("Behind", [
            graph("Announcements that wait", "Age of the oldest, as each replica sees the one table.", "s",
                  ("{{instance}}", f"streamit_outbox_age_seconds{{{HERE}}}"), book="outbox-old"),
            graph("How many", "Rows of the outbox.", "short", ("{{instance}}", f"streamit_outbox_rows{{{HERE}}}"), book="outbox-old"),
            graph("Deadlines carried out", "transfer: somebody else is host; pause: a film of nobody stands; expire: a room has ended; "
                  "empty: a room that nobody is in.", "cps", ("{{what}}", rate("streamit_sweeps_total", "what", HERE))),
            graph("Rows that the audit log lacks", "In the last hour; must be none.", "short",
                  ("{{instance}}", f"increase(streamit_audit_lost_total{{{HERE}}}[1h])"), book="audit-lost"),
        ]),
        ("Processes", process("api")),
    ],
    [choice("instance", "Replica", 'label_values(streamit_ready{job="api"}, instance)')],
)  # fmt: skip
