"""The Dockerfile: what each target starts, as whom, with which settings and which healthcheck."""

import json
import pathlib
import re

from .container import PROGRAMS, Container, port_of


class Stage:
    """One stage, with what it has from the one before."""

    def __init__(self, name, parent=None):
        self.name = name
        self.env = dict(parent.env) if parent else {}
        self.ports = list(parent.ports) if parent else []
        self.user = parent.user if parent else None
        self.entrypoint = parent.entrypoint if parent else None
        self.args = parent.args if parent else []
        self.healthcheck = parent.healthcheck if parent else None


def read(path):
    """Name -> stage."""
    text = re.sub(r"^\s*#.*\n", "", pathlib.Path(path).read_text(), flags=re.M)
    text = re.sub(r"\\\n", " ", text)
    stages, stage = {}, None
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word == "FROM":
            source, _, name = re.sub(r"--platform=\S+\s+", "", rest).partition(" AS ")
            stage = Stage(name.strip(), stages.get(source.strip()))
            stages[stage.name] = stage
        elif word == "ENV":
            stage.env |= {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|\S+)', rest)}
        elif word == "EXPOSE":
            stage.ports += [int(port.split("/")[0]) for port in rest.split()]
        elif word == "USER":
            stage.user = rest
        elif word == "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        elif word == "CMD":
            stage.args = json.loads(rest)
        elif word == "HEALTHCHECK":
            stage.healthcheck = json.loads(rest.partition("CMD ")[2])
    return stages


def check(where, stages):
    """What does not fit in the images themselves, in words."""
    for target, program in PROGRAMS.items():
        stage = stages.get(target)
        if stage is None:
            yield f"{where}: there is no target {target}"
            continue
        if stage.entrypoint != [f"/{program}"]:
            yield f"{where}: {target} starts {stage.entrypoint}, not /{program}"
        if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", stage.user or ""):
            yield f"{where}: {target} runs as {stage.user}, which is not the number of somebody else than root"
        for name, address in stage.env.items():
            if name.endswith("LISTEN") and port_of(address) not in stage.ports:
                yield f"{where}: {target} has {name}={address}, which it does not expose"


def containers(where, stages):
    """The images as containers without any settings; a program that needs some can't be started so."""
    for target in PROGRAMS.keys() & stages.keys():
        stage = stages[target]
        yield Container(
            where=f"{where}: {target}",
            target=target,
            args=stage.args,
            env=stage.env,
            asked={"the healthcheck": listens(stage.healthcheck, stage.env)} if stage.healthcheck else {},
            healthcheck=stage.healthcheck,
            starts=False,
        )


def listens(healthcheck, env):
    """The port that a healthcheck's command line asks on: by its --listen, else by the variable."""
    told = " ".join(healthcheck)
    named = re.search(r"--listen[ =](\S+)", told)
    return port_of(named[1] if named else env.get("STREAMIT_LISTEN", ""))
