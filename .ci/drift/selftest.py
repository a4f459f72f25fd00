"""Breaks what is right in one place after the other, and sees that the checks say so."""

import copy

from . import compose, image, kubernetes

DOCKERFILE = image.read(__file__.rsplit("/", 1)[0] + "/fixture/Dockerfile")
COMPOSE = compose.read(__file__.rsplit("/", 1)[0] + "/fixture/compose.yml")
BALANCER = "server api1:8000; # api7:1\nserver realtime1:8001;\naddress: realtime1, port_value: 8001"
SERVER = {"spec": {"template": {"spec": {"containers": [{"image": "redis:7.4"}]}}}}
PROMETHEUS = {
    "scrape_configs": [
        {"job_name": "api", "static_configs": [{"targets": ["api1:9464"]}]},
        {"job_name": "realtime", "static_configs": [{"targets": ["realtime1:9464"]}]},
    ]
}


class World:
    """All that is checked, to be broken."""

    def __init__(self, objects):
        self.before, self.objects = objects, copy.deepcopy(objects)
        self.stages, self.compose = copy.deepcopy(DOCKERFILE), copy.deepcopy(COMPOSE)
        self.balancer, self.prometheus = BALANCER, copy.deepcopy(PROMETHEUS)

    def get(self, kind, name):
        """An object, by what its name begins with."""
        return next(
            o for o in self.objects if o["kind"] == kind and (o["metadata"]["name"] + "-").startswith(name + "-")
        )

    def drop(self, kind, name):
        self.objects.remove(self.get(kind, name))

    def settings(self, name):
        return self.get("ConfigMap", name)["data"]

    def template(self, name):
        return self.get("Deployment", name)["spec"]["template"]

    def pod(self, name):
        return self.template(name)["spec"]

    def container(self, name):
        return self.pod(name)["containers"][0]

    def service(self, name):
        return self.compose["services"][name]

    def found(self, checks, secrets):
        """All that is said of it."""
        found = list(kubernetes.schema("production", [o for o in self.objects if o not in self.before]))
        if found:
            return found
        manifests = kubernetes.Manifests("production", self.objects, secrets)
        found += manifests.check()
        found += image.check("Dockerfile", self.stages)
        found += compose.check("compose", self.compose, self.stages)
        running = list(compose.containers("compose", self.compose, self.stages))
        ours = {container.where.rpartition(": ")[2]: container for container in running}
        found += compose.neighbours("balancer", self.balancer, ours)
        found += compose.versions("compose", self.compose, "dev", [SERVER])
        found += compose.jobs("prometheus", self.prometheus, ours)
        if not found:
            for container in [*manifests.containers(), *running, *image.containers("Dockerfile", self.stages)]:
                found += checks.check(container)
        return found


def change(target, **values):
    target.update(values)


def swap(world, old, new):
    assert old in world.balancer
    world.balancer = world.balancer.replace(old, new)


# What is done to it, and what must be said then.
FAULTS = [
    # Variables, commands, values.
    (lambda w: change(w.settings("api"), STREAMIT_LISTNE="x"), "does not know the variable STREAMIT_LISTNE"),
    (lambda w: change(w.settings("realtime"), DATABASE_URL="x"), "does not know the variable DATABASE_URL"),
    (lambda w: change(w.settings("api"), OTEL_EXPORTER_OTLP_ENDPIONT="x"), "does not know the variable OTEL_EXPORTER_OTLP_END"),
    (lambda w: change(w.service("migrate")["environment"], REDIS_URL="x"), "`streamit-api migrate` does not know"),
    (lambda w: change(w.settings("api"), STREAMIT_DRAIN_SECONDS="-1"), "would not start"),
    (lambda w: change(w.settings("realtime"), STREAMIT_TRUSTED_PROXIES="10.0.0.0/99"), "would not start"),
    (lambda w: w.settings("realtime").pop("STREAMIT_GRPC_TOKEN_FILE"), "would not start"),
    (lambda w: change(w.service("realtime1")["environment"], STREAMIT_LIMITS="maybe"), "would not start"),
    (lambda w: change(w.container("api"), args=["server"]), "`server` is no command of streamit-api"),
    (lambda w: change(w.container("api"), args=["serve", "--lisen", "x"]), "does not take the arguments"),
    (lambda w: change(w.service("migrate"), command=["migrat"]), "`migrat` is no command"),
    # Ports.
    (lambda w: change(w.settings("api"), STREAMIT_LISTEN="0.0.0.0:8002"), "but the port called http is 8000"),
    (lambda w: change(w.settings("api"), STREAMIT_METRICS_LISTEN="0.0.0.0:9465"), "metrics"),
    (lambda w: change(w.settings("realtime"), STREAMIT_LISTEN="127.0.0.1:8001"), "where nobody outside"),
    (lambda w: w.container("realtime")["readinessProbe"]["httpGet"].update(port=8000), "readinessProbe asks on port 8000"),
    (lambda w: w.container("api")["readinessProbe"]["httpGet"].update(path="/ready"), "readinessProbe asks /ready"),
    (lambda w: w.get("Service", "api")["spec"]["ports"][0].update(targetPort="web"), "has no port web"),
    (lambda w: w.template("api")["metadata"]["annotations"].update({"prometheus.io/port": "9090"}), "looked for on port 9090"),
    (lambda w: change(w.service("api1")["environment"], STREAMIT_LISTEN="0.0.0.0:8009"), "api1 does not listen on 8000"),
    (
        lambda w: change(w.service("realtime1")["healthcheck"], test=["CMD", "/streamit-realtime", "--listen", "127.0.0.1:1", "healthcheck"]),
        "the healthcheck asks on port 1",
    ),
    (lambda w: change(w.service("api1")["healthcheck"], test=["CMD", "/streamit", "healthcheck"]), "not in the image"),
    (lambda w: change(w.service("api1")["healthcheck"], test=["CMD", "/streamit-api", "healthcheck", "--lisen", "x"]), "does not take the healthcheck"),
    (lambda w: change(w.service("realtime1")["environment"], STREAMIT_API_GRPC="http://api1:50052"), "where no api is"),
    (lambda w: swap(w, "api1:8000", "api1:8001"), "api1 does not listen on 8001"),
    (lambda w: swap(w, "address: realtime1, port_value: 8001", "address: realtime1, port_value: 8002"), "realtime1 does not listen on 8002"),
    (lambda w: swap(w, "api1:8000", "api2:8000"), "api2 is no service"),
    (lambda w: w.prometheus["scrape_configs"][0].update(job_name="web"), "its job is called web"),
    (lambda w: w.prometheus["scrape_configs"][0].update(static_configs=[{"targets": ["api1:8000"]}]), "not where STREAMIT_METRICS_LISTEN"),
    (lambda w: w.stages["realtime"].ports.clear(), "which it does not expose"),
    # Images.
    (lambda w: change(w.container("api"), image="registry.example.org/streamit-api:latest"), "is not one release"),
    (lambda w: change(w.service("api1"), image="streamit-web:local"), "which is no program of ours"),
    (lambda w: w.service("realtime1")["build"].update(target="nodes"), "no target of the Dockerfile"),
    (lambda w: w.service("realtime1")["build"].update(target="api"), "built of api"),
    (lambda w: change(w.container("api"), image="registry.example.org/streamit-realtime:0.1.0"), "does not know the variable"),
    (lambda w: w.stages.pop("standalone"), "there is no target standalone"),
    (lambda w: setattr(w.stages["api"], "entrypoint", ["/bin/api"]), "starts ['/bin/api']"),
    (lambda w: setattr(w.stages["api"], "user", "root"), "runs as root"),
    (lambda w: w.get("Job", "migrate")["metadata"].update(name="migrate"), "does not end with its release"),
    (lambda w: change(w.service("redis"), image="redis:6.0"), "of another release"),
    # Parts that belong together.
    (lambda w: w.get("Service", "realtime")["spec"]["selector"].update({"app.kubernetes.io/name": "x"}), "matches no pod"),
    (lambda w: w.template("api")["metadata"]["labels"].pop("app.kubernetes.io/name"), "does not match its own pods"),
    (lambda w: w.get("PodDisruptionBudget", "api")["spec"]["selector"]["matchLabels"].update(a="b"), "PodDisruptionBudget api matches no pod"),
    (lambda w: w.get("HorizontalPodAutoscaler", "api")["spec"]["scaleTargetRef"].update(name="apis"), "there is no Deployment apis"),
    (lambda w: w.get("HorizontalPodAutoscaler", "api")["spec"].update(maxReplicas=9), "of 97 connections"),
    (lambda w: w.get("Deployment", "api")["spec"].update(replicas=2), "says `replicas`"),
    (lambda w: w.drop("ConfigMap", "realtime"), "there is no ConfigMap realtime-"),
    (lambda w: w.pod("api")["volumes"][1]["secret"].update(secretName="streamit-key"), "has no Secret streamit-key"),
    (lambda w: w.pod("api")["volumes"][0]["projected"]["sources"][0]["secret"]["items"][0].update(key="uri"), "streamit-database with uri"),
    (lambda w: w.pod("api")["volumes"][0]["projected"]["sources"][0]["secret"]["items"][0].update(path="url"), "nothing is mounted there"),
    (lambda w: w.container("api")["volumeMounts"].pop(), "the volume keys"),
    (lambda w: w.drop("PriorityClass", "streamit"), "there is no PriorityClass streamit"),
    (lambda w: w.drop("ServiceAccount", "api"), "there is no ServiceAccount api"),
    (lambda w: w.get("ConfigMap", "api")["metadata"]["labels"].pop("app.kubernetes.io/component"), "would not be applied with it"),
    (lambda w: w.pod("realtime").update(terminationGracePeriodSeconds=30), "killed after 30 s"),
    (lambda w: change(w.service("realtime1"), stop_grace_period="10s"), "killed after 10 s"),
    (lambda w: w.get("Ingress", "streamit")["metadata"].update(namespace="other"), "several namespaces"),
    (
        lambda w: w.get("Ingress", "streamit")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(name="web"),
        "there is no Service web",
    ),
    # Who may talk to whom.
    (lambda w: w.drop("NetworkPolicy", "grpc-in"), "be talked to by Deployment realtime"),
    (lambda w: w.drop("NetworkPolicy", "grpc-out"), "lets Deployment realtime to talk to"),
    (lambda w: w.drop("NetworkPolicy", "names"), "ask for names"),
    (lambda w: w.drop("NetworkPolicy", "front"), "lets anybody outside"),
    (lambda w: w.drop("NetworkPolicy", "scrape"), "lets Prometheus"),
    (lambda w: w.drop("NetworkPolicy", "redis"), "told of streamit-redis"),
    (lambda w: w.drop("NetworkPolicy", "database"), "told of streamit-database"),
    (
        lambda w: w.get("NetworkPolicy", "database")["spec"]["podSelector"]["matchExpressions"][0].update(values=["api"]),
        "told of streamit-database-owner",
    ),
    (lambda w: w.drop("NetworkPolicy", "deny"), "denies what no other allows"),
    (lambda w: w.get("NetworkPolicy", "grpc-in")["spec"]["ingress"][0]["ports"][0].update(port="rpc"), "a port called rpc"),
    (lambda w: w.get("NetworkPolicy", "front")["spec"]["podSelector"]["matchExpressions"][0].update(values=["x"]), "NetworkPolicy front matches no pod"),
    (lambda w: change(w.settings("realtime"), STREAMIT_API_GRPC="http://api:50051"), "no Service api with that port"),
    (lambda w: w.get("Service", "api-grpc")["spec"].pop("clusterIP"), "stands for one address"),
    # What a pod promises of itself, and what Kubernetes takes.
    (lambda w: w.container("api")["securityContext"].pop("readOnlyRootFilesystem"), "could write to its image"),
    (lambda w: w.container("api")["securityContext"].pop("capabilities"), "keeps privileges"),
    (lambda w: w.pod("api")["securityContext"].pop("runAsUser"), "numbered user"),
    (lambda w: w.pod("api")["securityContext"].pop("seccompProfile"), "seccompProfile"),
    (lambda w: w.pod("api").pop("automountServiceAccountToken"), "token of its account"),
    (lambda w: w.pod("api").pop("enableServiceLinks"), "enableServiceLinks"),
    (lambda w: w.container("api")["resources"].pop("limits"), "processor time or memory"),
    (lambda w: change(w.container("api"), command=["/streamit-api"]), "replaces the image's program"),
    (lambda w: change(w.pod("api"), terminationGraceSeconds=3), "terminationGraceSeconds"),
]


def run(checks, objects, secrets):
    """The faults that were not found, in words."""
    calm = World(objects).found(checks, secrets)
    if calm:
        return [f"selftest: something is said of what is right: {line}" for line in calm]
    missed = []
    for number, (break_it, words) in enumerate(FAULTS):
        world = World(objects)
        break_it(world)
        found = world.found(checks, secrets)
        if not any(words in line for line in found):
            missed.append(f"selftest: fault {number} is not found: `{words}`; said was {found}")
    return missed
