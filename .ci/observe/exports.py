"""What programs really told at /metrics, held to docs/metrics.md; and the rules to the buckets that are there."""

import pathlib
import re

from . import dashboards, metrics, rules

KIND = re.compile(r"^# TYPE (\S+) (\w+)$")
SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+(?: \d+)?$")
# What the exporter may add to everything: by which part of the program it was measured.
SCOPE = {"otel_scope_name", "otel_scope_version"}
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def told(texts):
    """({name: kind}, {name of a sample: labels}, {histogram: its bounds}) of some answers."""
    kinds, samples, bounds, wrong = {}, {}, {}, []
    for file, text in texts:
        for number, line in enumerate(text.splitlines(), 1):
            if kind := KIND.match(line):
                kinds[kind[1]] = kind[2]
            elif sample := SAMPLE.match(line):
                labels = dict(LABEL.findall(sample[2] or ""))
                samples.setdefault(sample[1], set()).update(labels)
                if "le" in labels:
                    bounds.setdefault(sample[1], set()).add(labels["le"])
            elif line.strip() and not line.startswith("#"):
                wrong.append(f"{file}:{number} is no line of the text format: {line[:80]}")
    return kinds, samples, bounds, wrong


def check(root, known, files):
    texts = [(file, pathlib.Path(file).read_text()) for file in files]
    kinds, samples, bounds, wrong = told(texts)
    rows = {name: kind for name, kind, _ in metrics.ROW.findall((root / "docs" / "metrics.md").read_text())}
    if not samples:
        wrong.append("nothing was told")
    for name, kind in sorted(kinds.items()):
        if name not in rows and name not in metrics.OWN:
            wrong.append(f"{name} is told, but docs/metrics.md does not have it")
        elif rows.get(name, kind) != kind:
            wrong.append(f"{name} is told as a {kind}, but docs/metrics.md has a {rows[name]}")
    for name, labels in sorted(samples.items()):
        if name in known and name != "target_info":
            unknown = sorted(labels - known[name] - SCOPE)
            wrong += [f"{name} is told with the label {label}, which docs/metrics.md does not have" for label in unknown]
    wrong += missing_bounds(root, bounds)
    silent = sorted(rows.keys() - kinds.keys())
    note = f"{len(kinds)} metrics were told as documented"
    return wrong, note + (f"; not told, for nothing has happened yet or these were other programs: {', '.join(silent)}" if silent else "")


def expressions(root):
    yield from (rule["expr"] for _, rule in rules.loaded(root))
    for _, board in dashboards.loaded(root):
        for panel in board["panels"]:
            yield from (target["expr"] for target in panel.get("targets", ()) if "expr" in target)


def missing_bounds(root, bounds):
    """A rule that counts up to a bound that no bucket has would count nothing, in silence."""
    wrong = set()
    for expression in expressions(root):
        for name, labels in re.findall(r"(\w+_bucket)\{([^}]*)\}", expression):
            for bound in re.findall(r'\ble="([^"]+)"', labels):
                if name in bounds and bound not in bounds[name]:
                    wrong.add(f"a rule or panel counts {name} up to {bound}, which is no bound of it: {sorted(bounds[name])}")
    return sorted(wrong)
