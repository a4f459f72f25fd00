"""docker-compose.yml, and the balancers and the Prometheus that it starts."""

import pathlib
import re

import yaml

from . import image
from .container import Container, port_of, target_of

# Settings that whoever starts it may give; a check takes what stands after the dash.
VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::?-([^}]*))?\})")


def read(path):
    return yaml.safe_load(pathlib.Path(path).read_text())


def filled(value):
    """A value with its ${NAME:-default} put in."""
    put = lambda found: "$" if found[0] == "$$" else found[2] or ""
    return VARIABLE.sub(put, value) if isinstance(value, str) else value


def target(service):
    """Which of our programs a service runs, by the image's name, else by the target that it is built of."""
    build = service.get("build")
    named = build.get("target") if isinstance(build, dict) else None
    by_image = target_of(filled(service.get("image", "")))
    return by_image, named


def containers(where, document, stages):
    """Every service that runs one of our programs, with what its image brings along."""
    for name, service in document["services"].items():
        by_image, built = target(service)
        here = by_image or (built if built in stages else None)
        if here is None:
            continue
        stage = stages.get(here)
        args = service.get("command", stage.args if stage else [])
        args = args if isinstance(args, list) else args.split()
        # What the image sets is for serving, and checked with the image.
        env = dict(stage.env) if stage and (not args or args[0] == "serve") else {}
        own = service.get("environment", {})
        own = dict(entry.split("=", 1) for entry in own) if isinstance(own, list) else own
        env |= {key: str(filled(value)) for key, value in own.items() if value is not None}
        test = service.get("healthcheck", {}).get("test", ["CMD", *stage.healthcheck] if stage and stage.healthcheck else None)
        if service.get("healthcheck", {}).get("disable") or test and test[0] == "NONE":
            test = None
        mounts = [mounted(volume) for volume in [*service.get("volumes", []), *service.get("tmpfs", [])]]
        yield Container(
            where=f"{where}: {name}",
            target=here,
            args=args,
            env=env,
            asked={"the healthcheck": image.listens(test[1:], env)} if test else {},
            healthcheck=test[1:] if test else None,
            files=lambda path, mounts=mounts: any(path == top or path.startswith(f"{top}/") for top in mounts),
        )


def mounted(volume):
    """Where a volume is in the container."""
    return volume["target"] if isinstance(volume, dict) else volume.split(":")[min(1, volume.count(":"))]


def check(where, document, stages):
    """What does not fit in the file itself, in words."""
    services = document["services"]
    ours = {c.where.rpartition(": ")[2]: c for c in containers(where, document, stages)}
    for name, service in services.items():
        by_image, built = target(service)
        if by_image and built and by_image != built:
            yield f"{where}: {name} is called by the image of {by_image} and built of {built}"
        if built and built not in stages:
            yield f"{where}: {name} is built of {built}, which is no target of the Dockerfile"
        if re.match(r"streamit\b", filled(service.get("image", ""))) and by_image is None:
            yield f"{where}: {name} runs {service['image']}, which is no program of ours"
        for other in depended(service):
            if other not in services:
                yield f"{where}: {name} waits for {other}, which is not there"
    for name, container in ours.items():
        if container.command != "serve":
            continue
        for url in filter(None, container.env.get("STREAMIT_API_GRPC", "").split(",")):
            host, port = re.sub(r"^[a-z+]+://", "", url).split(":")[0], port_of(url)
            if listening(ours.get(host), "STREAMIT_GRPC_LISTEN") != port:
                yield f"{where}: {name} asks {url}, where no api is"
        drain, given = container.env.get("STREAMIT_DRAIN_SECONDS"), seconds(services[name].get("stop_grace_period", "10s"))
        drain = int(drain) if drain else {"api": 10, "realtime": 20, "standalone": 2}[container.target]
        if not drain + 2 < given:
            yield f"{where}: {name} is killed after {given} s, but may take {drain} and 2 to end"


def depended(service):
    wanted = service.get("depends_on", [])
    return list(wanted)


def listening(container, variable):
    return port_of(container.env.get(variable, "")) if container else None


def seconds(text):
    parts = re.findall(r"(\d+)(h|m|s)", str(text))
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)


def neighbours(name, text, ours):
    """Files that name services and their ports (balancers, Prometheus): do they listen there? `ours` is name -> container."""
    text = re.sub(r"(^|\s)#.*", "", text)
    # Envoy writes the two apart.
    text = re.sub(r"address:\s*([\w.-]+),\s*port_value:\s*(\d+)", r" \1:\2 ", text)
    asked = set()
    for host, port in re.findall(r"(?<![\w.:-])([a-z][\w-]*):(\d+)\b", text):
        container = ours.get(host)
        if container is None:
            # `api3` where there are two is a mistake, `collector` is none of ours.
            if re.fullmatch(r"(api|realtime)-?\d+", host):
                yield f"{name}: {host} is no service"
            continue
        asked.add(host)
        ports = [listening(container, v) for v in ("STREAMIT_LISTEN", "STREAMIT_METRICS_LISTEN", "STREAMIT_GRPC_LISTEN")]
        if int(port) not in ports:
            yield f"{name}: {host} does not listen on {port}"
    missing = {host for host, c in ours.items() if c.command == "serve" and c.target != "standalone"} - asked
    for host in sorted(missing):
        yield f"{name}: it does not know {host}"


def jobs(name, prometheus, ours):
    """Whether each program is scraped under the job that rules and dashboards know it by."""
    for config in prometheus["scrape_configs"]:
        for target in (t for s in config.get("static_configs", []) for t in s["targets"]):
            container = ours.get(target.partition(":")[0])
            if container and container.target != config["job_name"]:
                yield f"{name}: {target} runs {container.target}, but its job is called {config['job_name']}"
            if container and port_of(target) != listening(container, "STREAMIT_METRICS_LISTEN"):
                yield f"{name}: {target} is not where STREAMIT_METRICS_LISTEN has the metrics"


def versions(where, document, overlay, objects):
    """Whether the servers of others are the same releases in both."""
    here = dict(filled(service["image"]).split(":", 1) for service in document["services"].values() if "image" in service)
    pods = [o["spec"]["template"]["spec"] for o in objects if "template" in o.get("spec", {})]
    for image_name in (container["image"] for pod in pods for container in pod["containers"]):
        name, _, tag = image_name.partition(":")
        if target_of(image_name) is None and here.get(name, tag) != tag:
            yield f"{overlay}: {image_name} is of another release than in {where}, {here[name]}"
