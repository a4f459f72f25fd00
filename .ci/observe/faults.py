"""Faults made on purpose, one of each kind: a check that finds nothing in them is no check."""

import json
import pathlib
import shutil
import tempfile

from . import dashboards, exports, files, made_up, metrics, rules

OBSERVABILITY = "deploy/observability"
CAUSES, SLO = f"{OBSERVABILITY}/rules/causes.yml", f"{OBSERVABILITY}/rules/slo.yml"
OVERVIEW = f"{OBSERVABILITY}/grafana/dashboards/overview.json"
COLLECTOR, INDEX = f"{OBSERVABILITY}/collector.yaml", "docs/runbooks/README.md"
TELL = """# TYPE streamit_ready gauge
streamit_ready{mood="x"} 1
# TYPE streamit_rooms counter
streamit_rooms 1
# TYPE streamit_unheard_of gauge
streamit_unheard_of 1
# TYPE streamit_delivery_lag_seconds histogram
streamit_delivery_lag_seconds_bucket{kind="chat",le="0.3"} 1
"""


def check(root, tool):
    """Ends the program with what was not found."""
    missed = []
    for what, file, old, new, found, look in FAULTS:
        with tempfile.TemporaryDirectory(prefix="streamit-observability-") as directory:
            copy = pathlib.Path(directory)
            for part in (OBSERVABILITY, "docs/runbooks"):
                shutil.copytree(root / part, copy / part)
            shutil.copy(root / "docs" / "metrics.md", copy / "docs" / "metrics.md")
            text = (copy / file).read_text()
            changed = new(text) if callable(new) else text.replace(old, new, 1)
            if changed == text:
                missed.append(f"{what}: there is no {old!r} in {file} any more")
                continue
            (copy / file).write_text(changed)
            if not any(found in line for line in look(copy, tool)):
                missed.append(f"{what}: nothing says {found!r}")
    missed += [f"exports: nothing says {words!r}" for words in TOLD if not any(words in line for line in told(root))]
    if missed:
        raise SystemExit("\n".join(f"observability: a fault made on purpose was not found: {line}" for line in missed))


def said(copy, _tool):
    return rules.said(copy, metrics.documented(copy), sorted((copy / OBSERVABILITY / "tests").glob("*.yml")))


def tested(copy, tool):
    return rules.runs(tool, "test", "rules", str(copy / OBSERVABILITY / "tests" / "telemetry.yml"))


def configured(copy, tool):
    return rules.runs(tool, "check", "config", str(copy / OBSERVABILITY / "prometheus.yml"))


def drawn(copy, _tool):
    return dashboards.said(copy, metrics.documented(copy))[0]


def made(copy, _tool):
    return dashboards.stale(copy)


def parsed(copy, tool):
    return dashboards.parsed(tool, dashboards.said(copy, metrics.documented(copy))[1])


def answered(copy, tool):
    known = metrics.documented(copy)
    return made_up.check(copy, tool, rules.recorded(copy, known), dashboards.said(copy, known)[1])


def beside(copy, _tool):
    return files.check(copy)


def told(root):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(TELL)
        file.flush()
        return exports.check(root, metrics.documented(root), [file.name])[0]


def board(change):
    """A change of a dashboard's panels."""

    def changed(text):
        whole = json.loads(text)
        change(whole["panels"])
        return json.dumps(whole)

    return changed


TOLD = (
    "streamit_unheard_of is told, but",
    "streamit_rooms is told as a counter",
    "with the label mood",
    "streamit_delivery_lag_seconds_bucket up to 0.25, which is no bound",
)
# What is wrong, in which file, from what to what, what is to be said, and by which check.
FAULTS = (
    ("a metric that is not there", CAUSES, "max(streamit_outbox_age_seconds)", "max(streamit_outbox_years)",
     "StreamitOutboxOld speaks of streamit_outbox_years", said),
    ("a label that is not there", CAUSES, 'streamit_connections_closed_total{code="4100"}', 'streamit_connections_closed_total{close="4100"}',
     "for the label close", said),
    ("grouped by a label that is not there", CAUSES, "sum by (rpc_method)", "sum by (method)", "groups by the label method", said),
    ("no severity", CAUSES, "labels: { severity: page }", "labels: { severity: panic }", "has no severity", said),
    ("no summary", CAUSES, "          summary: Redis is slow\n", "", "StreamitRedisSlow has no summary", said),
    ("no value", CAUSES, "{{ $value | humanizePercentage }} of its probes", "some of its probes", "has no description with its value", said),
    ("a runbook elsewhere", CAUSES, '"{{ $externalLabels.runbooks }}/outbox-old.md"', '"https://example.org/outbox-old.md"', "has no runbook_url", said),
    ("a runbook that is not there", CAUSES, "/outbox-old.md", "/outbox-new.md", "outbox-new.md, which does not exist", said),
    ("a runbook that does not tell of its alert", "docs/runbooks/outbox-old.md", "`StreamitOutboxOld`", "it", "which does not tell of it", said),
    ("an index that lacks an alert", INDEX, "| `StreamitOutboxOld`", "| `StreamitOutboxGone`", "has no row `StreamitOutboxOld`", said),
    ("an index that lists no alert", INDEX, "| `StreamitOutboxOld`", "| `StreamitOutboxGone`", "lists StreamitOutboxGone", said),
    ("an alert without a test", f"{OBSERVABILITY}/tests/telemetry.yml", "alertname: StreamitCollectorDown\n        eval_time: 35m",
     "alertname: StreamitTelemetryDropped\n        eval_time: 3m", "no test sees StreamitCollectorDown fire", said),
    ("an alert that does not fire", CAUSES, 'up{job="collector"} == 0', 'up{job="collector"} == 2', "FAILED", tested),
    ("an expression that is none", SLO, "vector(0.001)", "vector(0.001))", "promtool check config", configured),
    ("a dashboard that was changed by hand", OVERVIEW, '"refresh": "30s"', '"refresh": "5s"', "overview.json is not what", made),
    ("a panel that covers another", OVERVIEW, "", board(lambda p: p[2]["gridPos"].update(x=0)), "covers", drawn),
    ("a panel too wide", OVERVIEW, "", board(lambda p: p[2]["gridPos"].update(w=25)), "does not fit", drawn),
    ("two panels of one id", OVERVIEW, "", board(lambda p: p[2].update(id=2)), "has the id of another panel", drawn),
    ("a panel without a unit", OVERVIEW, "", board(lambda p: p[2]["fieldConfig"]["defaults"].pop("unit")), "needs a description and a unit", drawn),
    ("a link to no runbook", OVERVIEW, "${runbooks}/http-errors.md", "${runbooks}/http-terrors.md", "http-terrors.md, which does not exist", drawn),
    ("a data source by name", OVERVIEW, '"uid": "${datasource}"', '"uid": "prometheus"', "no variable: ", drawn),
    ("a variable that is not there", OVERVIEW, "[$__rate_interval]", "[$pace]", "uses $pace", drawn),
    ("a metric that is not there, in a panel", OVERVIEW, "sum(streamit_members)", "sum(streamit_viewers)", "speaks of streamit_viewers", drawn),
    ("a legend of a label that is not there", OVERVIEW, '"legendFormat": "{{reason}}"', '"legendFormat": "{{why}}"', "shows the label why", drawn),
    ("an expression that is none, in a panel", OVERVIEW, "sum(streamit_members)", "sum(streamit_members", "promtool check rules", parsed),
    ("sides that do not match, in a panel", OVERVIEW, "sum(streamit_members)", "streamit_members * on (job) streamit_rooms", "many-to-many", answered),
    ("a panel that is always empty", OVERVIEW, "sum(streamit_members)", "sum(streamit_members) and on (job) up", "People asks for what nothing tells",
     answered),
    ("a pipeline of nothing", COLLECTOR, "exporters: [otlp/tempo]", "exporters: [otlp/jaeger]", "names otlp/jaeger", beside),
    ("a part that nothing uses", COLLECTOR, "exporters: [debug]", "exporters: [otlp/tempo]", "debug is in no pipeline", beside),
    ("memory is not looked at", COLLECTOR, "[memory_limiter, batch]", "[batch, memory_limiter]", "does not begin with memory_limiter", beside),
    ("traces to another port", f"{OBSERVABILITY}/tempo.yaml", "0.0.0.0:4317", "0.0.0.0:4417", "but Tempo listens on", beside),
    ("a port that is not scraped", f"{OBSERVABILITY}/prometheus.yml", "realtime2:9464", "realtime2:9090", "realtime2:9090 is scraped", beside),
    ("a job that no rule knows", f"{OBSERVABILITY}/prometheus.yml", "job_name: realtime", "job_name: nodes", "rules know the jobs", beside),
    ("a source on another port", f"{OBSERVABILITY}/grafana/provisioning/datasources/streamit.yaml", "tempo:3200", "tempo:3201", "Tempo is asked at", beside),
)  # fmt: skip
