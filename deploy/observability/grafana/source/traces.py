"""The way of a call or a message through the programs, from Tempo."""

from panels import dashboard, datasource, text, trace, traces, typed

OURS = 'resource.service.name =~ "streamit.*"'

made = dashboard(
    "streamit-traces", "StreamIt: traces", "Calls and messages that were slow or failed, and one of them span by span.",
    [
        ("Find", [
            text("How to", "A click on a trace shows it. Or put its id (from a log line's `trace_id`, or from somebody's report) into "
                 "*Trace* above. No room is named in a trace by its code; a trace that went through several programs has a span of "
                 "each.", height=3),
            traces("Slow", "Half a second or more.", f"{{ {OURS} && duration > 500ms }}"),
            traces("Failed", "With an error somewhere.", f"{{ {OURS} && status = error }}"),
            traces("Calls of nodes to the api", "Both ends in one trace.",
                   '{ resource.service.name = "streamit-realtime" } >> { resource.service.name = "streamit-api" }'),
            traces("HTTP calls", "Of people to the api.", '{ resource.service.name = "streamit-api" && kind = server && span.http.route != nil }'),
        ]),
        ("One trace", [trace("Trace", "Every span of the trace that is named above.", "${trace}")]),
    ],
    [datasource("tempo", "tempo", "Tempo"), typed("trace", "Trace")],
    prometheus=False, since="now-1h",
)  # fmt: skip
