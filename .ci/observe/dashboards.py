"""Dashboards, as Grafana gets them."""

import json
import re
import string
import subprocess
import sys
import tempfile

from . import made_up, metrics, rules

HERE = "deploy/observability/grafana"
# What Grafana puts in for them does not matter to whether an expression is one.
BUILT_IN = {"__rate_interval": "5m", "__interval": "1m", "__range": "1h", "__all": ".*"}
LETTERS = string.ascii_uppercase + string.ascii_lowercase
VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def loaded(root):
    for path in sorted((root / HERE / "dashboards").glob("*.json")):
        yield path.name, json.loads(path.read_text())


def count(root):
    return sum(panel["type"] != "row" for _, board in loaded(root) for panel in board["panels"])


def check(root, tool, known):
    wrong, expressions = said(root, known)
    return stale(root) + wrong + (parsed(tool, expressions) or made_up.check(root, tool, rules.recorded(root, known), expressions))


def stale(root):
    made = subprocess.run([sys.executable, root / HERE / "source", "--check"], stderr=subprocess.PIPE, text=True)
    return made.stderr.splitlines() if made.returncode else []


def said(root, known):
    """What is wrong with dashboards as they stand, and the expressions in them with their places."""
    wrong, expressions, uids = [], [], set()
    known = rules.recorded(root, known)
    for name, board in loaded(root):
        if board.get("uid") in uids or not board.get("uid") or "id" in board:
            wrong.append(f"{name} needs a uid of its own, and no id")
        uids.add(board.get("uid"))
        wrong += shape(root, name, board) + queries(name, board, known, expressions)
    return wrong, expressions


def variables(board):
    return {variable["name"] for variable in board["templating"]["list"]}


def shape(root, name, board):
    """Panels by number and place; what they say; where they lead."""
    wrong, ids, taken = [], set(), {}
    for panel in board["panels"]:
        where = f"{name}: {panel.get('title')}"
        if panel["id"] in ids:
            wrong.append(f"{where} has the id of another panel, {panel['id']}")
        ids.add(panel["id"])
        place = panel["gridPos"]
        if place["x"] < 0 or place["x"] + place["w"] > 24 or min(place["w"], place["h"]) < 1:
            wrong.append(f"{where} does not fit into the 24 columns")
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        for other in sorted({taken[cell] for cell in cells & taken.keys()}):
            wrong.append(f"{where} covers {other}")
        taken.update(dict.fromkeys(cells, panel.get("title")))
        if panel["type"] in ("row", "text"):
            continue
        if not panel.get("description") or not panel["fieldConfig"]["defaults"].get("unit"):
            wrong.append(f"{where} needs a description and a unit")
        for link in panel.get("links", ()):
            book = re.fullmatch(r"\$\{runbooks\}/([a-z-]+\.md)", link["url"])
            if not book or not (root / "docs" / "runbooks" / book[1]).exists():
                wrong.append(f"{where} links to {link['url']}, which does not exist")
    return wrong


def queries(name, board, known, expressions):
    """What panels, variables and annotations ask for. Adds to (where, expression) what promtool is to parse."""
    wrong = []
    for part in [*board["annotations"]["list"], *board["templating"]["list"], *board["panels"]]:
        where = f"{name}: {part.get('title') or part.get('name')}"
        sources = [part.get("datasource"), *(target.get("datasource") for target in part.get("targets", ()))]
        for source in filter(None, sources):
            if source.get("uid") not in ("${datasource}", "${tempo}"):
                wrong.append(f"{where} has a data source that is no variable: {source}")
    for note in board["annotations"]["list"]:
        wrong += metrics.complaints(note["expr"], known, f"{name}: {note['name']}")
        expressions.append((f"{name}: {note['name']}", note["expr"]))
    for panel in board["panels"]:
        where = f"{name}: {panel.get('title')}"
        for target in panel.get("targets", ()):
            asked = target.get("expr") or target.get("query") or ""
            wrong += [f"{where} uses ${unknown}, which is no variable" for unknown in unknowns(asked, board)]
            if "expr" in target:
                plain = replaced(asked)
                legend = target.get("legendFormat", "")
                wrong += metrics.complaints(plain, known, where, re.findall(r"\{\{(\w+)\}\}", legend))
                expressions.append((where, plain))
                if not legend and panel["type"] in ("timeseries", "state-timeline"):
                    wrong.append(f"{where} has a line without a legend")
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            where = f"{name}: the variable {variable['name']}"
            wrong += metrics.complaints(asked[1], known, where, [asked[2]]) if asked else [f"{where} is no label_values()"]
    return wrong


def unknowns(text, board):
    return sorted(set(VARIABLE.findall(text)) - variables(board) - BUILT_IN.keys())


def replaced(text):
    return VARIABLE.sub(lambda variable: BUILT_IN.get(variable[1], ".*"), text)


def parsed(tool, expressions):
    """promtool parses rules, so each expression becomes one."""
    listed = [{"record": f"dashboard:{i}", "expr": text} for i, (_, text) in enumerate(expressions)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "dashboards", "rules": listed}]}, file)  # JSON is YAML
        file.flush()
        wrong = rules.runs(tool, "check", "rules", file.name)
    # It names a rule by its number alone.
    return [re.sub(r"dashboard:(\d+)", lambda m: expressions[int(m[1])][0], line) for line in wrong]


def drawn(root):
    """Each dashboard as it is laid out, a letter for each panel: to look at without Grafana."""
    out = []
    for name, board in loaded(root):
        grid, names, letters = {}, {}, iter(LETTERS)
        for panel in board["panels"]:
            place = panel["gridPos"]
            sign = "-" if panel["type"] == "row" else next(letters)
            names.setdefault(place["y"], []).append(f"{sign} {panel['title']}")
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    grid[x, y] = "#" if (x, y) in grid else sign
        out.append(f"{name}: {board['title']}")
        for y in range(max(y for _, y in grid) + 1):
            line = "".join(grid.get((x, y), " ") for x in range(24))
            out.append(f"  |{line}| {'; '.join(names.get(y, ()))}".rstrip())
    return "\n".join(out)
