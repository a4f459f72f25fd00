"""What dashboards are made of: panels, rows that lay them out, and the frame around them."""

import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
OBSERVABILITY = HERE.parent.parent
# The schema of Grafana 12; older ones from 10 on take it, and newer ones bring it up to date when they load it.
SCHEMA = 41
WIDTH = 24


def runbooks():
    """Where links lead: said once, for alerts and for dashboards."""
    text = (OBSERVABILITY / "prometheus.yml").read_text()
    return re.search(r"^ +runbooks: (\S+)$", text, re.M)[1]


def source(kind):
    return {"type": kind, "uid": "${datasource}" if kind == "prometheus" else "${tempo}"}


def steps(*marks):
    """Thresholds: a colour from the beginning on, then (value, colour) for each step."""
    first, *rest = marks
    listed = [{"color": first, "value": None}, *({"color": color, "value": value} for value, color in rest)]
    return {"mode": "absolute", "steps": listed}


PLAIN = steps("green")


def panel(kind, title, about, unit, width, height, options, targets, book=None, defaults=None, custom=None):
    field = {"unit": unit, "thresholds": PLAIN, "color": {"mode": "palette-classic"}, "mappings": [], **(defaults or {})}
    if custom is not None:
        field["custom"] = custom
    made = {
        "type": kind, "title": title, "description": about, "width": width, "height": height,
        "datasource": targets[0]["datasource"] if targets else None,
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": options, "targets": targets, "transparent": False,
    }  # fmt: skip
    if book:
        made["links"] = [{"title": f"Runbook: {book}", "url": f"${{runbooks}}/{book}.md", "targetBlank": True}]
    return made


def queries(pairs, instant=False):
    """Targets of (legend, expression) pairs."""
    return [
        {
            "refId": chr(ord("A") + i), "datasource": source("prometheus"), "editorMode": "code",
            "expr": " ".join(expression.split()), "legendFormat": legend,
            "range": not instant, "instant": instant,
        }
        for i, (legend, expression) in enumerate(pairs)
    ]  # fmt: skip


def graph(title, about, unit, *pairs, book=None, width=8, height=8, stack=False, marks=None, low=0):
    """A line for each series. The legend tells the last and the highest value once there are several."""
    custom = {
        "drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stack else 8, "showPoints": "never",
        "spanNulls": False, "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if marks else "off"},
    }  # fmt: skip
    defaults = {"thresholds": marks} if marks else {}
    if low is not None:
        defaults["min"] = low
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, about, unit, width, height, options, queries(pairs), book, defaults, custom)


def stat(title, about, unit, expression, book=None, marks=PLAIN, width=4, height=4, nothing="-"):
    """One figure of now, coloured by what it means."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "textMode": "auto", "orientation": "auto",
    }  # fmt: skip
    defaults = {"thresholds": marks, "color": {"mode": "thresholds"}, "noValue": nothing}
    return panel("stat", title, about, unit, width, height, options, queries([("", expression)]), book, defaults)


def states(title, about, names, *pairs, book=None, width=12, height=6):
    """What state something was in when. Names are {value: (word, colour)}."""
    mapped = {str(value): {"text": word, "color": color, "index": i} for i, (value, (word, color)) in enumerate(names.items())}
    defaults = {"mappings": [{"type": "value", "options": mapped}], "color": {"mode": "thresholds"}}
    options = {
        "showValue": "never", "mergeValues": True, "rowHeight": 0.85,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }  # fmt: skip
    custom = {"lineWidth": 0, "fillOpacity": 80}
    return panel("state-timeline", title, about, "none", width, height, options, queries(pairs), book, defaults, custom)


def table(title, about, expression, hidden, book=None, width=24, height=8):
    """The series of an expression, one a row."""
    made = panel("table", title, about, "none", width, height, {"showHeader": True, "cellHeight": "sm"},
                 queries([("", expression)], instant=True), book, custom={"align": "auto"})  # fmt: skip
    made["targets"][0]["format"] = "table"
    exclude = {name: True for name in ("Time", "Value", "__name__", *hidden)}
    made["transformations"] = [{"id": "organize", "options": {"excludeByName": exclude}}]
    return made


def traces(title, about, traceql, width=12, height=10):
    """The traces that a query finds; a click on one shows it."""
    target = {
        "refId": "A", "datasource": source("tempo"), "queryType": "traceql", "query": traceql, "limit": 20,
        "tableType": "traces",
    }  # fmt: skip
    return panel("table", title, about, "none", width, height, {"showHeader": True, "cellHeight": "sm"}, [target])


def trace(title, about, variable, width=24, height=18):
    """One trace, span by span."""
    target = {"refId": "A", "datasource": source("tempo"), "queryType": "traceql", "query": variable}
    return panel("traces", title, about, "none", width, height, {}, [target])


def text(title, markdown, width=24, height=4):
    made = panel("text", title, "", "none", width, height, {"mode": "markdown", "content": markdown}, [])
    del made["targets"], made["datasource"]
    return made


def layout(rows):
    """Panels from the top left on, row by row; where a line is full the next begins."""
    placed, y = [], 0
    for title, panels in rows:
        placed.append({
            "type": "row", "title": title, "collapsed": False, "panels": [], "id": len(placed) + 1,
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
        })  # fmt: skip
        x, y, tallest = 0, y + 1, 0
        for made in panels:
            width, height = made.pop("width"), made.pop("height")
            if x + width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            placed.append({**made, "id": len(placed) + 1, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x, tallest = x + width, max(tallest, height)
        y += tallest
    return placed


def datasource(name, kind, label):
    return {"name": name, "type": "datasource", "query": kind, "label": label, "hide": 0, "multi": False,
            "includeAll": False, "refresh": 1, "regex": "", "options": [], "current": {}}  # fmt: skip


def choice(name, label, expression):
    """A variable that the reader chooses from what there is."""
    return {
        "name": name, "type": "query", "label": label, "datasource": source("prometheus"),
        "definition": expression, "query": {"qryType": 1, "query": expression, "refId": name},
        "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*", "regex": "", "hide": 0,
        "options": [], "current": {"text": ["All"], "value": ["$__all"]},
    }  # fmt: skip


def typed(name, label):
    """A variable that the reader types."""
    return {"name": name, "type": "textbox", "label": label, "query": "", "hide": 0, "options": [], "current": {}}


def constant(name, value):
    return {"name": name, "type": "constant", "query": value, "hide": 2, "skipUrlSync": True, "options": [], "current": {}}


def dashboard(uid, title, about, rows, variables=(), prometheus=True, since="now-3h"):
    listed = [datasource("datasource", "prometheus", "Prometheus")] if prometheus else []
    listed += [*variables, constant("runbooks", runbooks())]
    alerts = {
        "name": "Alerts", "datasource": source("prometheus"), "enable": True, "hide": False, "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing",alertname=~"Streamit.+"}', "titleFormat": "{{alertname}}",
        "textFormat": "{{instance}} {{severity}}", "step": "60s",
    }  # fmt: skip
    return {
        "uid": uid, "title": title, "description": about, "tags": ["streamit"], "schemaVersion": SCHEMA, "version": 1,
        "editable": True, "graphTooltip": 1, "timezone": "browser", "refresh": "30s", "time": {"from": since, "to": "now"},
        "annotations": {"list": [alerts] if prometheus else []},
        "templating": {"list": listed},
        "links": [{"title": "StreamIt", "type": "dashboards", "tags": ["streamit"], "asDropdown": True, "keepTime": True,
                   "includeVars": False, "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}],
        "panels": layout(rows),
    }  # fmt: skip


def written(made):
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"
