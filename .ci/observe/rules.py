"""Rules, and the tests that they have."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import yaml

from . import metrics

HERE = "deploy/observability"
LINK = re.compile(r"^\{\{ \$externalLabels\.runbooks \}\}/([a-z-]+\.md)$")


def loaded(root):
    """(file, rule) for each rule."""
    for path in sorted((root / HERE / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield path.name, rule


def count(root):
    return sum("alert" in rule for _, rule in loaded(root))


def recorded(root, known):
    """What is known once the rules have recorded something."""
    known = dict(known)
    for _, rule in loaded(root):
        if "record" in rule:
            of, _ = metrics.spoken_of(rule["expr"])
            labels = set(rule.get("labels", ())).union(*(known.get(name, ()) for name, _ in of))
            known[rule["record"]] = known.get(rule["record"], set()) | labels
    return known


def runs(tool, *arguments):
    """What promtool has against something."""
    done = subprocess.run([tool, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [] if done.returncode == 0 else [f"promtool {' '.join(arguments[:2])}:\n{done.stdout.strip()}"]


def check(root, tool, known):
    # From the back: the long ones are there.
    tests = sorted((root / HERE / "tests").glob("*.yml"), reverse=True)
    wrong = runs(tool, "check", "config", str(root / HERE / "prometheus.yml")) + said(root, known, tests)
    with ThreadPoolExecutor(2) as pool:
        for failed in pool.map(lambda path: runs(tool, "test", "rules", str(path)), tests):
            wrong += failed
    return wrong


def said(root, known, tests):
    """What rules and tests say, without anything run."""
    wrong, alerts, known = [], {}, recorded(root, known)
    for file, rule in loaded(root):
        name = rule.get("alert") or rule["record"]
        wrong += metrics.complaints(rule["expr"], known, f"{file}: {name}")
        if "alert" in rule:
            if name in alerts:
                wrong.append(f"{file}: {name} is there twice")
            alerts[name] = rule
            wrong += words(root, f"{file}: {name}", rule)
    return [*wrong, *in_index(root, alerts), *seen(tests, alerts)]


def words(root, where, rule):
    """Whoever is called must learn what is wrong, how much, and what to do."""
    labels, annotations = rule.get("labels", {}), rule.get("annotations", {})
    if labels.get("severity") not in ("page", "ticket"):
        yield f"{where} has no severity `page` or `ticket`"
    if not annotations.get("summary"):
        yield f"{where} has no summary"
    if "$value" not in annotations.get("description", ""):
        yield f"{where} has no description with its value"
    link = LINK.match(annotations.get("runbook_url", ""))
    if not link:
        yield f"{where} has no runbook_url below {{{{ $externalLabels.runbooks }}}}"
        return
    book = root / "docs" / "runbooks" / link[1]
    if not book.exists():
        yield f"{where} names docs/runbooks/{link[1]}, which does not exist"
    elif f"`{rule['alert']}`" not in book.read_text():
        yield f"{where} names docs/runbooks/{link[1]}, which does not tell of it"


def in_index(root, alerts):
    """docs/runbooks/README.md lists every alert with its severity and its runbook, and no other."""
    index = (root / "docs" / "runbooks" / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(Streamit\w+)` \| ((?:page|ticket) \| \[[^]]+\]\([a-z-]+\.md\)) \|", index, re.M))
    for name, rule in alerts.items():
        severity, book = rule["labels"].get("severity"), rule["annotations"].get("runbook_url", "").rpartition("/")[2]
        if rows.pop(name, "") != f"{severity} | [{book}]({book})":
            yield f"docs/runbooks/README.md has no row `{name}` | {severity} | [{book}]({book})"
    for name in rows:
        yield f"docs/runbooks/README.md lists {name}, which is no alert"


def seconds(duration):
    units = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([dhms])", str(duration)))


def seen(tests, alerts):
    """Each alert must be seen to fire, and later, in the same story, to be silent."""
    ended = set()
    for path in tests:
        for story in yaml.safe_load(path.read_text())["tests"]:
            moments = story.get("alert_rule_test", ())
            for moment in moments:
                name = moment["alertname"]
                if name not in alerts:
                    yield f"tests/{path.name} speaks of {name}, which is no alert"
                later = (m for m in moments if m["alertname"] == name and seconds(m["eval_time"]) > seconds(moment["eval_time"]))
                if moment.get("exp_alerts") and any(not m.get("exp_alerts") for m in later):
                    ended.add(name)
    for name in sorted(alerts.keys() - ended):
        yield f"no test sees {name} fire and then end"
