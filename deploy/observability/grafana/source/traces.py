"""The way of a call or a message through the programs, from Tempo."""

from panels import dashboard, datasource, text, trace, traces, typed

OURS = 'resource.service.name =~ "streamit.*"'

made = dashboard(
    "streamit-traces", "StreamIt: traces", "Messages and calls on their way through the programs, and one of them span by span.",
    [
        ("Find", [
            text("How to", "Put the id of a trace (from a table below, from a log line, from somebody's report) into *Trace* above. "
                 "No room and no person is named in a trace.\n\nA message: `receive CHAT_MESSAGE` at the sender's node, the call "
                 "`streamit.v1.Authority/Append` from there to an api, `append` there, and a `process room` for each node that was "
                 "told of it. A command of the remote: `receive PLAY`, `send room`, and a `process room` for each node. A call over "
                 "HTTP: `POST /api/rooms/join/`, and so on.", height=5),
            traces("What people said", "Chat, from the sender's node on.", '{ name = "receive CHAT_MESSAGE" }'),
            traces("What hosts did with the film", "Play, pause and seek.", '{ name =~ "receive (PLAY|PAUSE|SEEK)" }'),
            traces("Slow", "Half a second or more.", f"{{ {OURS} && duration > 500ms }}"),
            traces("Failed", "With an error somewhere.", f"{{ {OURS} && status = error }}"),
            traces("From node to node", "What was told on one node and taken in on another.",
                   '{ name =~ "receive .+" } >> { name = "process room" }'),
            traces("HTTP calls", "Of people to the api.", '{ resource.service.name = "streamit-api" && span.http.route != nil }'),
        ]),
        ("One trace", [trace("Trace", "Every span of the trace that is named above.", "${trace}")]),
    ],
    [datasource("tempo", "tempo", "Tempo"), typed("trace", "Trace")],
    prometheus=False, since="now-1h",
)  # fmt: skip
