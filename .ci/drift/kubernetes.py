"""Rendered manifests: whether Kubernetes takes them, and whether their parts fit each other."""

import pathlib
import re
import subprocess

import yaml

from . import hardening
from .container import Container, port_of, target_of
from .reach import Reach, matches

# Kinds of others, whose schemas no package has.
FOREIGN = {"ServiceMonitor", "HTTPRoute"}
WITHOUT_NAMESPACE = {"Namespace", "PriorityClass"}
# What of the system an object belongs to.
PART = "app.kubernetes.io/component"
# Made by whoever ends TLS.
MADE_ELSEWHERE = {"streamit-tls"}
# A PostgreSQL as it comes takes 100 connections and keeps three for its administrator.
DATABASE_TAKES = 97


def render(kubectl, path):
    """The objects that `kubectl apply -k` would send."""
    told = subprocess.run([kubectl, "kustomize", str(path)], capture_output=True, text=True)
    if told.returncode != 0:
        raise ValueError(f"{path}: kustomize: {told.stderr.strip()}")
    if told.stderr.strip():
        raise ValueError(f"{path}: kustomize warns: {told.stderr.strip()}")
    return [document for document in yaml.safe_load_all(told.stdout) if document]


def schema(where, objects):
    """What the schemas of the API say, fields that do not exist included."""
    import kubernetes_validate

    for document in objects:
        if document["kind"] in FOREIGN:
            continue
        try:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(map(str, error.path))
            yield f"{where}: {document['kind']} {document['metadata']['name']}: {path}: {error.message}"


def secrets(path):
    """Name -> {key: value} of the Secrets that somebody else has to make."""
    return {d["metadata"]["name"]: d["stringData"] for d in yaml.safe_load_all(pathlib.Path(path).read_text())}


class Pod:
    """A template of pods and what it belongs to."""

    def __init__(self, owner):
        self.owner = owner
        self.kind, self.name = owner["kind"], owner["metadata"]["name"]
        template = owner["spec"]["template"]
        self.labels, self.spec = template["metadata"].get("labels", {}), template["spec"]
        self.annotations = template["metadata"].get("annotations", {})
        self.containers = [*self.spec.get("initContainers", []), *self.spec["containers"]]
        self.ports = {p["name"]: p["containerPort"] for c in self.containers for p in c.get("ports", [])}

    def __str__(self):
        return f"{self.kind} {self.name}"


class Manifests:
    """One rendered overlay. `secrets` are those that it may expect, `release` its objects that are applied before."""

    def __init__(self, where, objects, secrets):
        self.where, self.objects, self.secrets = where, objects, secrets
        self.pods = [Pod(o) for o in objects if o["kind"] in ("Deployment", "StatefulSet", "Job")]
        self.reach = Reach(self.kind("NetworkPolicy"))

    def kind(self, kind):
        return [o for o in self.objects if o["kind"] == kind]

    def named(self, kind, name):
        return next((o for o in self.kind(kind) if o["metadata"]["name"] == name), None)

    def behind(self, service):
        """The pods that a Service stands for."""
        selector = {"matchLabels": service["spec"]["selector"]}
        return [pod for pod in self.pods if pod.kind != "Job" and matches(selector, pod.labels)]

    def check(self):
        """What does not fit, in words."""
        checks = (
            self.namespaces,
            self.selectors,
            self.services,
            self.policies,
            self.routes,
            self.monitors,
            self.references,
            self.budgets,
            self.autoscalers,
            self.stops,
            self.releases,
            self.apis,
            self.outside,
        )
        found = [line for check in checks for line in check()]
        for pod in self.pods:
            found += hardening.check(pod)
        return [f"{self.where}: {line}" for line in found]

    def namespaces(self):
        spaces = {o["metadata"].get("namespace") for o in self.objects if o["kind"] not in WITHOUT_NAMESPACE}
        if len(spaces) != 1 or None in spaces:
            yield f"objects are in several namespaces, or in none: {spaces}"
        for document in self.kind("Namespace"):
            if {document["metadata"]["name"]} != spaces:
                yield f"the namespace {document['metadata']['name']} is made, but objects are in {spaces}"

    def selectors(self):
        for pod in self.pods:
            selector = pod.owner["spec"].get("selector")
            if selector and not matches(selector, pod.labels):
                yield f"{pod}: its selector does not match its own pods"
            for spread in pod.spec.get("topologySpreadConstraints", []):
                if not matches(spread["labelSelector"], pod.labels):
                    yield f"{pod}: a topologySpreadConstraint does not match its own pods"

    def services(self):
        for service in self.kind("Service"):
            pods = self.behind(service)
            if not pods:
                yield f"Service {service['metadata']['name']} matches no pod"
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                for pod in pods:
                    if target not in pod.ports and target not in pod.ports.values():
                        yield f"Service {service['metadata']['name']}: {pod} has no port {target}"

    def policies(self):
        for policy in self.kind("NetworkPolicy"):
            name, spec = f"NetworkPolicy {policy['metadata']['name']}", policy["spec"]
            concerned = [pod for pod in self.pods if matches(spec["podSelector"], pod.labels)]
            if not concerned:
                yield f"{name} matches no pod"
            for direction, side in (("ingress", "from"), ("egress", "to")):
                for rule in spec.get(direction, []):
                    near = [p for p in rule.get(side, []) if "podSelector" in p and "namespaceSelector" not in p]
                    peers = [pod for peer in near for pod in self.pods if matches(peer["podSelector"], pod.labels)]
                    if near and not peers:
                        yield f"{name}: {side} matches no pod"
                    targets = concerned if direction == "ingress" else peers
                    for port in rule.get("ports", []):
                        if isinstance(port["port"], str) and not all(port["port"] in pod.ports for pod in targets):
                            yield f"{name}: not all pods that it is about have a port called {port['port']}"
        if not any(not p["spec"]["podSelector"] and not p["spec"].get("ingress") for p in self.kind("NetworkPolicy")):
            if self.kind("Deployment"):
                yield "no NetworkPolicy denies what no other allows"

    def routes(self):
        """Ingress and HTTPRoute: is the Service there, and may the one in front talk to its pods?"""
        for where, name, port in self.backends():
            service = self.named("Service", name)
            ports = service["spec"]["ports"] if service else []
            target = next((p["targetPort"] for p in ports if port in (p["name"], p["port"])), None)
            if target is None:
                yield f"{where}: there is no Service {name} with a port {port}"
                continue
            for pod in self.behind(service):
                number = pod.ports.get(target, target)
                if not self.reach.from_outside(pod, number):
                    yield f"{where}: no NetworkPolicy lets anybody outside the namespace talk to {pod} on {target}"

    def backends(self):
        for ingress in self.kind("Ingress"):
            for rule in ingress["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    service = path["backend"]["service"]
                    port = service["port"].get("name", service["port"].get("number"))
                    yield f"Ingress {ingress['metadata']['name']}", service["name"], port
        for route in self.kind("HTTPRoute"):
            for rule in route["spec"]["rules"]:
                for backend in rule["backendRefs"]:
                    yield f"HTTPRoute {route['metadata']['name']}", backend["name"], backend["port"]

    def monitors(self):
        for monitor in self.kind("ServiceMonitor"):
            name, spec = f"ServiceMonitor {monitor['metadata']['name']}", monitor["spec"]
            seen = [s for s in self.kind("Service") if matches(spec["selector"], s["metadata"].get("labels", {}))]
            for endpoint in spec["endpoints"]:
                scraped = [s for s in seen if endpoint["port"] in [p["name"] for p in s["spec"]["ports"]]]
                missing = [p for p in self.pods if "metrics" in p.ports and not any(p in self.behind(s) for s in scraped)]
                if not scraped:
                    yield f"{name} finds no Service with a port called {endpoint['port']}"
                yield from (f"{name} does not find {pod}" for pod in missing)
                if any(spec["jobLabel"] not in s["metadata"]["labels"] for s in scraped):
                    yield f"{name}: a Service lacks the label {spec['jobLabel']}, by which its job is called"

    def references(self):
        """ConfigMaps, Secrets, accounts, priorities and volumes that are named."""
        for pod in self.pods:
            wanted = [(kind, name, key) for kind, name, key in references(pod.spec)]
            for kind, name, key in wanted:
                here = self.named(kind, name)
                if here is not None:
                    if key is not None and key not in here.get("data", {}):
                        yield f"{pod}: {kind} {name} has no {key}"
                    # A release is applied in two steps, by this label.
                    if kind in ("ConfigMap", "ServiceAccount") and here["metadata"].get("labels", {}).get(PART) != pod.labels[PART]:
                        yield f"{pod}: {kind} {name} would not be applied with it, for want of its label {PART}"
                elif kind == "Secret":
                    if name not in self.secrets or key is not None and key not in self.secrets[name]:
                        yield f"{pod}: examples/secrets.yaml has no Secret {name} with {key or 'anything'}"
                else:
                    yield f"{pod}: there is no {kind} {name}"
            volumes = {volume["name"] for volume in pod.spec.get("volumes", [])}
            mounted = {mount["name"] for c in pod.containers for mount in c.get("volumeMounts", [])}
            for name in volumes ^ mounted:
                yield f"{pod}: the volume {name} is not there, or not mounted"
        for ingress in self.kind("Ingress"):
            for tls in ingress["spec"].get("tls", []):
                if tls["secretName"] not in self.secrets.keys() | MADE_ELSEWHERE:
                    yield f"Ingress {ingress['metadata']['name']}: nobody makes the Secret {tls['secretName']}"

    def budgets(self):
        for budget in self.kind("PodDisruptionBudget"):
            if not any(matches(budget["spec"]["selector"], pod.labels) for pod in self.pods):
                yield f"PodDisruptionBudget {budget['metadata']['name']} matches no pod"

    def autoscalers(self):
        for scaler in self.kind("HorizontalPodAutoscaler"):
            name, spec = f"HorizontalPodAutoscaler {scaler['metadata']['name']}", scaler["spec"]
            target = self.named(spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])
            if target is None:
                yield f"{name}: there is no {spec['scaleTargetRef']['kind']} {spec['scaleTargetRef']['name']}"
                continue
            if "replicas" in target["spec"]:
                yield f"{name}: its target says `replicas`, so each apply would undo what it did"
            pod = Pod(target)
            for metric in spec["metrics"]:
                if metric["type"] == "Resource":
                    resource = metric["resource"]["name"]
                    if any(resource not in c.get("resources", {}).get("requests", {}) for c in pod.containers):
                        yield f"{name}: {pod} requests no {resource}, so there is nothing that the use is a share of"
            yield from self.database(name, spec["maxReplicas"], pod)

    def database(self, name, most, pod):
        """Whether the database has connections for all replicas, those of a rollout included."""
        for container in self.ours(pod):
            connections = container.env.get("STREAMIT_DATABASE_CONNECTIONS")
            if container.target != "api" or connections is None:
                continue
            surge = pod.owner["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
            surge = -(-most * int(surge[:-1]) // 100) if isinstance(surge, str) else surge
            needed = (most + surge) * (int(connections) + 1)
            if needed > DATABASE_TAKES:
                yield f"{name}: {most} replicas and {surge} more would need {needed} of {DATABASE_TAKES} connections"

    def stops(self):
        """The time that a pod is given, and the time that the program takes."""
        for pod in self.pods:
            for container in self.ours(pod):
                drain = container.env.get("STREAMIT_DRAIN_SECONDS")
                if pod.kind == "Job":
                    continue
                given = pod.spec.get("terminationGracePeriodSeconds", 30)
                if drain is None:
                    yield f"{pod}: STREAMIT_DRAIN_SECONDS is not set, and the time to end has to fit it"
                elif not int(drain) + 2 < given:
                    yield f"{pod}: it is killed after {given} s, but may take {drain} and 2 to end"

    def releases(self):
        for pod in self.pods:
            for image in (container["image"] for container in pod.containers):
                tag = re.search(r":([\w.-]+)$|@sha256:", image)
                if not tag or tag[1] == "latest":
                    yield f"{pod}: {image} is not one release"
                elif pod.kind == "Job" and target_of(image) and tag[1] and tag[1] != "dev":
                    if not pod.name.endswith("-" + re.sub(r"[^a-z0-9]+", "-", tag[1].lower())):
                        yield f"{pod}: its name does not end with its release, {tag[1]}: it could not be applied again"

    def apis(self):
        """Do realtime nodes find the apis, and may they talk to them?"""
        for pod in self.pods:
            for container in self.ours(pod):
                for url in filter(None, container.env.get("STREAMIT_API_GRPC", "").split(",")):
                    host, port = re.sub(r"^[a-z+]+://", "", url).split(":")[0], port_of(url)
                    service = self.named("Service", host.split(".")[0])
                    ports = {p["port"]: p["targetPort"] for p in service["spec"]["ports"]} if service else {}
                    if port not in ports:
                        yield f"{pod}: STREAMIT_API_GRPC names {url}, but there is no Service {host} with that port"
                        continue
                    if service["spec"].get("clusterIP") != "None":
                        yield f"{pod}: STREAMIT_API_GRPC names {url}, which stands for one address, not for all replicas"
                    for api in self.behind(service):
                        number = api.ports.get(ports[port], ports[port])
                        if number != port:
                            yield f"Service {host} is headless, so its port {port} must be that of {api}, {number}"
                        out, into = self.reach.between(pod, api, number)
                        if not out or not into:
                            side = "to talk to" if not out else "be talked to by"
                            yield f"no NetworkPolicy lets {pod if not out else api} {side} {api if not out else pod} on {url}"

    def outside(self):
        """Databases, names and Prometheus: may they be reached, and reach us?"""
        for pod in self.pods:
            if not list(self.ours(pod)):
                continue
            if not self.reach.to_outside(pod, 53):
                yield f"{pod}: no NetworkPolicy lets it ask for names"
            if "metrics" in pod.ports and self.kind("Ingress") + self.kind("HTTPRoute"):
                if not self.reach.from_outside(pod, pod.ports["metrics"]):
                    yield f"{pod}: no NetworkPolicy lets Prometheus read its metrics"
            for name in sorted({name for kind, name, key in references(pod.spec) if kind == "Secret" and key == "url"}):
                port = port_of(self.secrets.get(name, {}).get("url", "").rpartition("@")[2].split("/")[0])
                near = [p for p in self.pods if port in p.ports.values()]
                reached = all(all(self.reach.between(pod, p, port)) for p in near) if near else None
                if not (reached if near else self.reach.to_outside(pod, port)):
                    yield f"{pod}: it is told of {name}, but no NetworkPolicy lets it talk to anybody on port {port}"

    def ours(self, pod):
        """The containers of a pod that run our programs."""
        for spec in pod.spec["containers"]:
            target = target_of(spec["image"])
            if target:
                yield self.container(pod, spec, target)

    def containers(self):
        """All containers that run our programs."""
        return [container for pod in self.pods for container in self.ours(pod)]

    def container(self, pod, spec, target):
        env = {}
        for source in spec.get("envFrom", []):
            env |= (self.named("ConfigMap", source["configMapRef"]["name"]) or {}).get("data", {})
        helpers = set()
        for entry in spec.get("env", []):
            value = entry.get("value")
            reference = entry.get("valueFrom", {}).get("configMapKeyRef")
            if reference:
                value = (self.named("ConfigMap", reference["name"]) or {}).get("data", {}).get(reference["key"])
            # $(NAME) stands for a variable of before.
            for name in re.findall(r"\$\((\w+)\)", value or ""):
                if name in env:
                    helpers.add(name)
            env[entry["name"]] = value
        helpers = {name for name in helpers if not name.startswith("STREAMIT_")}
        probes = {kind: spec[kind] for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in spec}
        ports = {port["name"]: port["containerPort"] for port in spec.get("ports", [])}
        asked = {}
        for kind, probe in probes.items():
            port = probe.get("httpGet", {}).get("port")
            asked[kind] = ports.get(port, port)
        scraped = pod.annotations.get("prometheus.io/port")
        return Container(
            where=f"{self.where}: {pod}",
            target=target,
            args=spec.get("args", []),
            env=env,
            helpers=helpers,
            ports=ports,
            asked=asked,
            scraped=[int(scraped)] if scraped else [],
            files=lambda path: is_mounted(pod, spec, path),
        )


def references(spec):
    """(kind, name, key or None) of each ConfigMap, Secret, account and priority that a pod names."""
    if "serviceAccountName" in spec:
        yield "ServiceAccount", spec["serviceAccountName"], None
    if "priorityClassName" in spec:
        yield "PriorityClass", spec["priorityClassName"], None
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        for source in container.get("envFrom", []):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in source:
                    yield kind, source[field]["name"], None
        for entry in container.get("env", []):
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if field in entry.get("valueFrom", {}):
                    yield kind, entry["valueFrom"][field]["name"], entry["valueFrom"][field]["key"]
    for volume in spec.get("volumes", []):
        sources = volume.get("projected", {}).get("sources", [volume])
        for source in sources:
            for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
                if field in source:
                    name = source[field].get("name") or source[field].get("secretName")
                    items = source[field].get("items", [{"key": None}])
                    yield from ((kind, name, item["key"]) for item in items)


def is_mounted(pod, container, path):
    """Whether a file or a directory is there, by the volumes' own lists of files."""
    path = pathlib.PurePosixPath(path)
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        top = pathlib.PurePosixPath(mount["mountPath"])
        volume = volumes.get(mount["name"], {})
        sources = volume.get("projected", {}).get("sources", [volume])
        listed = [item["path"] for s in sources for item in (s.get("secret") or s.get("configMap") or {}).get("items", [])]
        if path == top or top in path.parents and (not listed or str(path.relative_to(top)) in listed):
            return True
    return False
