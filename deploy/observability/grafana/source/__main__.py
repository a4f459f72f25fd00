"""Writes the dashboards that Grafana loads, ../dashboards/*.json.

usage: python3 deploy/observability/grafana/source           writes them
       python3 deploy/observability/grafana/source --check   says which of them are out of date
"""

import sys

sys.dont_write_bytecode = True

import api
import dependencies
import nodes
import overview
import traces
from panels import HERE, written

FOLDER = HERE.parent / "dashboards"
ALL = (overview, nodes, api, dependencies, traces)


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    wanted = {f"{part.__name__}.json": written(part.made) for part in ALL}
    there = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    if arguments:
        stale = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        for name in stale:
            print(f"grafana/dashboards/{name} is not what grafana/source makes", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
