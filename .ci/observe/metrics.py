"""Which metrics there are, and which an expression of PromQL speaks of."""

import re

ROW = re.compile(r"^\| `([a-zA-Z_:][\w:]*)` \| (\w+) \|([^|]*)\|", re.M)
# What Prometheus knows by itself of whatever it scrapes, and of alerts.
OWN = {
    "up": (), "scrape_duration_seconds": (), "scrape_samples_scraped": (),
    "ALERTS": ("alertname", "alertstate", "severity", "slo"),
    "target_info": ("service_name", "service_version", "service_instance_id"),
}  # fmt: skip
# What every series gets from the scrape.
SCRAPED = {"job", "instance"}
PARTS = ("_bucket", "_sum", "_count")

TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<duration>\[[^\]]*\]|\b\d+(?:ms|[smhdwy])\b)"""
    r"""|(?P<number>\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b)|(?P<word>[a-zA-Z_:][\w:.]*)|(?P<sign>[^\s])|(?P<space>\s+)""",
    re.I,
)
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end", "atan2"}


def documented(root):
    """{name as it can be used in an expression: labels} of everything in docs/metrics.md."""
    known = {name: set(labels) | SCRAPED for name, labels in OWN.items()}
    rows = ROW.findall((root / "docs" / "metrics.md").read_text())
    if len(rows) < 10:
        raise SystemExit("observability: docs/metrics.md has no table of metrics")
    for name, kind, labels in rows:
        labels = set(re.findall(r"`(\w+)`", labels)) | SCRAPED
        if kind == "histogram":
            for part in PARTS:
                known.setdefault(name + part, set()).update(labels | ({"le"} if part == "_bucket" else set()))
        else:
            known.setdefault(name, set()).update(labels)
    return known


def spoken_of(expression):
    """([(metric, its labels)], labels that results are grouped or matched by) of an expression."""
    tokens = [m for m in TOKEN.finditer(expression) if m.lastgroup != "space"]
    metrics, grouped, i = [], set(), 0
    while i < len(tokens):
        kind, text = tokens[i].lastgroup, tokens[i].group()
        following = tokens[i + 1].group() if i + 1 < len(tokens) else ""
        i += 1
        if kind != "word" or text.lower() in KEYWORDS:
            continue
        if text.lower() in GROUPING:
            if following == "(":
                end = next(k for k in range(i, len(tokens)) if tokens[k].group() == ")")
                grouped.update(t.group() for t in tokens[i:end] if t.lastgroup == "word")
                i = end + 1
        elif following == "{":
            end = next(k for k in range(i, len(tokens)) if tokens[k].group() == "}")
            metrics.append((text, {t.group() for t in tokens[i:end] if t.lastgroup == "word"}))
            i = end + 1
        elif following != "(" and not (following.lower() in GROUPING):
            metrics.append((text, set()))
    return metrics, grouped


def complaints(expression, known, where, shown=()):
    """What an expression says that nothing tells; `shown` are labels that are to be shown of its result."""
    metrics, grouped = spoken_of(expression)
    wrong = [f"{where} speaks of no metric: {expression}"] if not metrics and "vector(" not in expression else []
    had = set()
    for name, labels in metrics:
        if name not in known:
            wrong.append(f"{where} speaks of {name}, which docs/metrics.md does not have")
            continue
        had |= known[name]
        wrong += [f"{where} asks {name} for the label {label}, which it does not have" for label in sorted(labels - known[name])]
    if not wrong:
        wrong += [f"{where} groups by the label {label}, which nothing in it has" for label in sorted(grouped - had)]
        wrong += [f"{where} shows the label {label}, which nothing in it has" for label in sorted(set(shown) - had)]
    return wrong
