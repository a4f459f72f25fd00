"""A made-up cluster that tells everything, to see that what panels ask for can be answered and is not nothing. That an
expression parses says neither: two sides may not match each other, or a label may never have the value that is asked for."""

import itertools
import json
import re
import tempfile

from . import metrics, rules

INSTANCES = (("api", "api1:9464"), ("api", "api2:9464"), ("realtime", "realtime1:9464"), ("realtime", "realtime2:9464"))
BOUNDS = ("0.01", "0.25", "0.5", "+Inf")
MATCHER = re.compile(r'\b(\w+)=(~?)"([^"]*)"')


def values(expressions):
    """{label: values that are asked for}."""
    found = {}
    for expression in expressions:
        for label, like, wanted in MATCHER.findall(expression):
            for value in wanted.split("|") if like else [wanted]:
                found.setdefault(label, set()).add(value.replace(".+", "x").replace(".*", "x"))
    return found


def series(root, known, expressions):
    """Every documented metric at every instance: (series, its values)."""
    wanted = values(expressions)
    kinds = {name: kind for name, kind, _ in metrics.ROW.findall((root / "docs" / "metrics.md").read_text())}
    for name, labels in known.items():
        if ":" in name:
            continue  # recorded by rules
        kind = kinds.get(name) or kinds.get(re.sub("_(bucket|sum|count)$", "", name)) or "gauge"
        free = sorted(labels - metrics.SCRAPED)
        choices = [BOUNDS if label == "le" else sorted(wanted.get(label, set()) | {"a"}) for label in free]
        for (job, instance), chosen in itertools.product(INSTANCES, itertools.product(*choices)):
            told = [("job", job), ("instance", instance), *zip(free, chosen)]
            step = BOUNDS.index(dict(told)["le"]) + 1 if "le" in free else 4
            text = ",".join(f'{label}="{value}"' for label, value in told)
            yield f"{name}{{{text}}}", "1x20" if kind == "gauge" else f"0+{step}x20"


def check(root, tool, known, expressions):
    """What can't be answered, of (where, expression)."""
    own = [rule["expr"] for _, rule in rules.loaded(root)]
    told = list(series(root, known, [*own, *(text for _, text in expressions)]))
    listed = [{"record": f"dashboard:{i}", "expr": text} for i, (_, text) in enumerate(expressions)]
    asked = [{"expr": f"absent(dashboard:{i})", "eval_time": "18m", "exp_samples": []} for i in range(len(expressions))]
    with tempfile.TemporaryDirectory(prefix="streamit-made-up-") as directory:
        for name, content in (
            ("panels.yml", {"groups": [{"name": "panels", "rules": listed}]}),
            ("test.yml", {
                "rule_files": [str(root / rules.HERE / "rules" / "slo.yml"), "panels.yml"],
                "evaluation_interval": "2m",
                "group_eval_order": ["streamit-slo-events", "streamit-slo-days", "streamit-slo-alerts", "panels"],
                "tests": [{"interval": "1m", "input_series": [{"series": s, "values": v} for s, v in told], "promql_expr_test": asked}],
            }),
        ):  # fmt: skip
            with open(f"{directory}/{name}", "w") as file:
                json.dump(content, file)  # JSON is YAML
        said = "\n".join(rules.runs(tool, "test", "rules", f"{directory}/test.yml"))
    empty = [f"{expressions[int(i)][0]} asks for what nothing tells" for i in re.findall(r'expr: "absent\(dashboard:(\d+)\)"', said)]
    failed = {f"{expressions[int(i)][0]} can't be answered: {why}" for i, why in re.findall(r"rule: dashboard:(\d+), .*?err: (.*)", said)}
    other = [] if empty or failed or not said else [said]
    return sorted(failed) + empty + other
