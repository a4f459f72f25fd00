"""All checks, in order: first that they find what they are for, then what is shipped."""

import sys
import tempfile

import yaml

from . import compose, image, kubernetes, selftest
from .programs import Checks

KUBERNETES = "deploy/kubernetes"
# What names services of the compose file and their ports.
NEIGHBOURS = ("deploy/balancer/nginx.conf", "deploy/balancer/haproxy.cfg", "deploy/balancer/envoy.yaml")
# The job that runs before the production overlay is applied.
BEFORE = "production/migrate"
PROMETHEUS = "deploy/observability/prometheus.yml"

# The overlay of somebody who uses a component, as docs/kubernetes.md tells them to.
WITH_COMPONENT = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: streamit
resources: [{base}]
components: [{component}]
"""


def show(kubectl, name):
    objects = kubernetes.render(kubectl, f"{KUBERNETES}/overlays/{name}")
    yaml.safe_dump_all(objects, sys.stdout, sort_keys=False)
    return 0


def check(root, kubectl, directory, overlays, components):
    checks = Checks(directory)
    found, seen = [], []

    stages = image.read(root / "deploy/Dockerfile") if (root / "deploy/Dockerfile").exists() else {}
    secrets = kubernetes.secrets(root / KUBERNETES / "examples/secrets.yaml")
    rendered = dict(render(root, kubectl, overlays, components))
    for name, objects in rendered.items():
        found += kubernetes.schema(name, objects)
        # What is applied before is there, too, and has to fit.
        before = rendered[BEFORE] if name.startswith("production") and name != BEFORE else []
        manifests = kubernetes.Manifests(name, objects + before, secrets)
        found += manifests.check()
        found += users(manifests, stages)
        seen += manifests.containers()
        found += adapted(manifests, yaml.safe_load((root / KUBERNETES / "examples/prometheus-adapter.yaml").read_text()))
    examples = list(yaml.safe_load_all((root / KUBERNETES / "examples/secrets.yaml").read_text()))
    found += kubernetes.schema("examples/secrets.yaml", examples)

    if stages:
        found += image.check("deploy/Dockerfile", stages)
        seen += image.containers("deploy/Dockerfile", stages)
    if (root / "docker-compose.yml").exists():
        document = compose.read(root / "docker-compose.yml")
        found += compose.check("docker-compose.yml", document, stages)
        running = list(compose.containers("docker-compose.yml", document, stages))
        seen += running
        ours = {container.where.rpartition(": ")[2]: container for container in running}
        for name in filter(lambda name: (root / name).exists(), (*NEIGHBOURS, PROMETHEUS)):
            found += compose.neighbours(name, (root / name).read_text(), ours)
        found += compose.versions("docker-compose.yml", document, "dev", rendered["dev"])
        if (root / PROMETHEUS).exists():
            found += compose.jobs(PROMETHEUS, compose.read(root / PROMETHEUS), ours)

    for container in seen:
        found += checks.check(container)
    # Only of what is right can be said that each fault would be found.
    missed = selftest.run(checks, rendered["production"] + rendered[BEFORE], secrets) if not found else []
    for line in [*dict.fromkeys(found), *missed]:
        print(f"manifests: {line}", file=sys.stderr)
    if not found and not missed:
        objects = sum(map(len, rendered.values()))
        print(
            f"manifests: {objects} objects in {len(rendered)} overlays and {len(seen)} containers are what the programs know; "
            f"{len(selftest.FAULTS)} faults made on purpose were found"
        )
    return 1 if found or missed else 0


def render(root, kubectl, overlays, components):
    """(name, objects) of each overlay, and of the production one with each component."""
    home = root / KUBERNETES
    for name in overlays:
        yield name, kubernetes.render(kubectl, home / "overlays" / name)
    # kustomize takes no path from outside its tree but relative ones, so this stands beside the overlays for a moment.
    for component in components:
        with tempfile.TemporaryDirectory(dir=home / "overlays", prefix=".with-") as folder:
            text = WITH_COMPONENT.format(base="../production", component=f"../../components/{component}")
            with open(f"{folder}/kustomization.yaml", "w") as file:
                file.write(text)
            yield f"production with {component}", kubernetes.render(kubectl, folder)


def users(manifests, stages):
    """Whether pods run as the user that owns what is in their image."""
    for pod in manifests.pods:
        for container in manifests.ours(pod):
            stage = stages.get(container.target)
            user = str(pod.spec["securityContext"].get("runAsUser"))
            if stage and user != (stage.user or "").split(":")[0]:
                yield f"{container.where}: it runs as {user}, but the image of {container.target} is made for {stage.user}"


def adapted(manifests, adapter):
    """Whether the metrics on which autoscalers look are those that the adapter's rules make."""
    made = {rule["name"]["as"] for rule in adapter["rules"]["custom"]}
    for scaler in manifests.kind("HorizontalPodAutoscaler"):
        for metric in scaler["spec"]["metrics"]:
            name = metric.get("pods", {}).get("metric", {}).get("name")
            if name and name not in made:
                yield f"{manifests.where}: no rule of prometheus-adapter makes the metric {name}"
