"""Realtime nodes: who is connected, what is delivered, whether nodes agree."""

from panels import choice, dashboard, graph, states, steps
from promql import mean, process, quantile, rate

HERE = 'job="realtime",instance=~"$instance"'
IN_TIME = HERE + ',le="0.25"'


def each(metric, extra=""):
    """A rate for each node, by what `extra` names."""
    return rate(metric, ", ".join(part for part in ("instance", extra) if part), HERE)


made = dashboard(
    "streamit-nodes", "StreamIt: realtime nodes", "Who is connected to which node, what is delivered, and whether nodes agree.",
    [
        ("Connections", [
            graph("Connections", "Sockets that are open.", "short", ("{{instance}}", f"streamit_connections{{{HERE}}}"), book="nodes-uneven"),
            graph("People and rooms", "Joined, over all rooms of the node; and its live rooms.", "short",
                  ("{{instance}} people", f"streamit_members{{{HERE}}}"), ("{{instance}} rooms", f"streamit_rooms{{{HERE}}}")),
            states("What the node does", "Drained nodes stay so until `resume` or a restart.",
                   {0: ("serving", "green"), 1: ("unready, still serving", "yellow"), 2: ("closing", "orange"), 3: ("drained", "blue")},
                   ("{{instance}}", f"streamit_drain_state{{{HERE}}}"), book="drain-takes-long", width=8, height=8),
            graph("Joined", "For good.", "cps", ("{{instance}}", each("streamit_connections_opened_total"))),
            graph("Turned away", "By reason. busy: no turn at the door; full: no descriptors; unavailable: no api; limit, origin, "
                  "token, revoked, room, malformed: theirs.", "cps",
                  ("{{instance}} {{reason}}", each("streamit_connections_rejected_total", "reason")), book="joins-fail"),
            graph("Closed", "By code; 1006 vanished without a word.", "cps",
                  ("{{instance}} {{code}}", each("streamit_connections_closed_total", "code")), book="connections-vanish"),
            graph("Handshakes by phase, 95 of 100", "door: waited for a turn; admit: asked the api; enter: got into the room.", "s",
                  ("{{phase}}", quantile(0.95, "streamit_handshake_duration_seconds", "phase", HERE)), book="joins-slow"),
            graph("Coming back", "resumed: went on where they were; afresh: that could not be done; first: a first visit.", "cps",
                  ("{{result}}", rate("streamit_resumes_total", "result", HERE))),
            graph("Messages from people", "By type; invalid ones are answered with an ERROR.", "cps",
                  ("{{type}}", rate("streamit_messages_received_total", "type", HERE))),
        ]),
        ("Delivery", [
            graph("Until it is delivered, 99 of 100", "From publishing to the write to the socket.", "s",
                  ("{{instance}} {{kind}}", quantile(0.99, "streamit_delivery_lag_seconds", "instance, kind", HERE)), book="delivery-slow",
                  marks=steps("transparent", (0.25, "red"))),
            graph("Later than 250 ms", "Share of what is delivered.", "percentunit",
                  ("{{instance}}", f"1 - {rate('streamit_delivery_lag_seconds_bucket', 'instance', IN_TIME)}"
                   f" / {rate('streamit_delivery_lag_seconds_count', 'instance', HERE)}"), book="delivery-slow"),
            graph("Delivered", "Messages written, counted for each who gets them.", "cps",
                  ("{{instance}} {{type}}", each("streamit_messages_sent_total", "type"))),
            graph("What waits", "In the queues of all members of a node, looked at every five seconds.", "bytes",
                  ("{{instance}} all", f"streamit_queue_bytes{{{HERE}}}"),
                  ("{{instance}} the fullest", f"streamit_queue_bytes_max{{{HERE}}}"), book="slow-readers"),
            graph("Frames that wait", "The same, counted.", "short", ("{{instance}}", f"streamit_queue_frames{{{HERE}}}"),
                  book="slow-readers"),
            graph("Frames not sent", "replaced: an older film state, made needless by a newer one; deferred: chat that its reader gets "
                  "from the room's tail later. Nothing is lost.", "cps",
                  ("{{instance}} {{reason}}", each("streamit_frames_dropped_total", "reason")), book="slow-readers"),
            graph("Frames in one write", "More than one means that a backlog is worked off at once.", "short",
                  ("{{instance}}", mean("streamit_flush_frames", "instance", HERE))),
        ]),
        ("Agreement", [
            graph("Comparisons with the homes", "regular: every ten seconds or so; doubt: about every second, while a node does not trust "
                  "what it hears.", "cps", ("{{instance}} {{cause}}", each("streamit_repairs_total", "cause")), book="state-differs"),
            graph("Rooms read again", "Because the home had something else than the node.", "cps",
                  ("{{instance}} {{kind}}", each("streamit_room_reloads_total", "kind")), book="state-differs"),
            graph("Gaps in chat", "Found, and filled.", "cps", ("{{instance}} found", each("streamit_gaps_found_total")),
                  ("{{instance}} filled", each("streamit_gaps_filled_total")), book="state-differs"),
            graph("Entries put right", "pruned: of nodes that died; ghosts: own ones that no connection had.", "cps",
                  ("{{instance}} pruned", each("streamit_presence_pruned_total")),
                  ("{{instance}} ghosts", each("streamit_presence_ghosts_total")), book="state-differs"),
            graph("Clocks", "The rooms' clock minus the machine's.", "s", ("{{instance}}", f"streamit_clock_offset_seconds{{{HERE}}}"),
                  book="clock-off", low=None),
            graph("How far players are from the room", "As they say themselves, at SYNC_CHECK.", "s",
                  ("half", quantile(0.5, "streamit_client_drift_seconds", "", HERE)),
                  ("95 of 100", quantile(0.95, "streamit_client_drift_seconds", "", HERE))),
        ]),
        ("The api, as nodes see it", [
            graph("Replicas", "As probed.", "short", ("{{instance}} {{state}}", f"streamit_authority_replicas{{{HERE}}}"),
                  book="api-unreachable"),
            graph("Calls", "By method.", "cps", ("{{rpc_method}}", rate("rpc_client_call_duration_seconds_count", "rpc_method", HERE))),
            graph("Calls that fail", "By method and status.", "cps",
                  ("{{rpc_method}} {{rpc_response_status_code}}",
                   rate("rpc_client_call_duration_seconds_count", "rpc_method, rpc_response_status_code", HERE + ',rpc_response_status_code!="OK"')),
                  book="grpc-errors"),
            graph("How long calls take, 99 of 100", "By method.", "s",
                  ("{{rpc_method}}", quantile(0.99, "rpc_client_call_duration_seconds", "rpc_method", HERE))),
            graph("Calls that went to another replica", "Because the first was down, slow, or could not.", "cps",
                  ("{{instance}}", each("streamit_authority_retries_total")), book="api-unreachable"),
        ]),
        ("Processes", [
            graph("Panics contained", "Each is a bug: in the last hour.", "short",
                  ("{{instance}} {{place}}", f"increase(streamit_faults_total{{{HERE}}}[1h])"), book="fault"),
            graph("Memory for each connection", "6.9 KiB for one that does nothing, and a share of what the process needs itself.", "bytes",
                  ("{{instance}}", f"process_memory_usage_bytes{{{HERE}}} / (streamit_connections{{{HERE}}} > 0)"), book="memory-grows"),
            *process("realtime"),
        ]),
    ],
    [choice("instance", "Node", 'label_values(streamit_ready{job="realtime"}, instance)')],
)  # fmt: skip
