"""The files beside rules and dashboards. Neither a collector nor Tempo nor Grafana can be had for the checks, so it is only
looked whether the files fit themselves and each other."""

import re

import yaml

HERE = "deploy/observability"


def check(root):
    read = lambda name: yaml.safe_load((root / HERE / name).read_text())
    collector, tempo, prometheus = read("collector.yaml"), read("tempo.yaml"), read("prometheus.yml")
    sources = read("grafana/provisioning/datasources/streamit.yaml")["datasources"]
    boards = read("grafana/provisioning/dashboards/streamit.yaml")["providers"]
    wrong = list(pipelines(collector))
    wrong += fit(collector, tempo, prometheus)
    wrong += provisioned(sources, boards, tempo)
    return wrong


def port(address):
    return int(re.search(r":(\d+)$", str(address))[1])


def pipelines(collector):
    """Every part that a pipeline names is there, every part is in a pipeline, and memory is looked at first."""
    service, used = collector["service"], set()
    for name, pipeline in service["pipelines"].items():
        for kind in ("receivers", "processors", "exporters"):
            for part in pipeline.get(kind, ()):
                used.add((kind, part))
                if part not in collector.get(kind, {}):
                    yield f"collector.yaml: the pipeline {name} names {part}, which is not in {kind}"
        if not pipeline.get("receivers") or not pipeline.get("exporters"):
            yield f"collector.yaml: the pipeline {name} has no beginning or no end"
        if list(pipeline.get("processors", ()))[:1] != ["memory_limiter"]:
            yield f"collector.yaml: the pipeline {name} does not begin with memory_limiter"
    for kind in ("receivers", "processors", "exporters"):
        for part in collector.get(kind, {}):
            if (kind, part) not in used:
                yield f"collector.yaml: {part} is in no pipeline"
    if set(service.get("extensions", ())) != set(collector.get("extensions", {})):
        yield "collector.yaml: extensions are not those that the service starts"
    if "metrics" in service["pipelines"]:
        yield "collector.yaml: metrics are scraped; sent as well, each series would be there twice"


def fit(collector, tempo, prometheus):
    protocols = collector["receivers"]["otlp"]["protocols"]
    if (port(protocols["grpc"]["endpoint"]), port(protocols["http"]["endpoint"])) != (4317, 4318):
        yield "collector.yaml: OTLP is not on its own ports, 4317 and 4318"
    to, at = collector["exporters"]["otlp/tempo"]["endpoint"], tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    if port(to) != port(at):
        yield f"collector.yaml: traces go to {to}, but Tempo listens on {at}"
    jobs = {job["job_name"]: [t for c in job["static_configs"] for t in c["targets"]] for job in prometheus["scrape_configs"]}
    if set(jobs) != {"api", "realtime", "collector"}:
        yield f"prometheus.yml: rules know the jobs api, realtime and collector, not {', '.join(sorted(jobs))}"
    own = collector["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]["port"]
    for job, targets in jobs.items():
        wanted = own if job == "collector" else 9464
        for target in targets:
            if port(target) != wanted:
                yield f"prometheus.yml: {target} is scraped, but {job} tells its metrics on port {wanted}"
    if prometheus["global"]["evaluation_interval"] != "30s" or not prometheus["global"]["external_labels"].get("runbooks"):
        yield "prometheus.yml: rules are made for an evaluation_interval of 30s and the external label `runbooks`"


def provisioned(sources, boards, tempo):
    kinds = {source["type"]: source for source in sources}
    if set(kinds) != {"prometheus", "tempo"} or len({source["uid"] for source in sources}) != len(sources):
        yield "grafana: the data sources are not one Prometheus and one Tempo, each with a uid of its own"
        return
    if port(kinds["tempo"]["url"]) != tempo["server"]["http_listen_port"]:
        yield f"grafana: Tempo is asked at {kinds['tempo']['url']}, but listens on {tempo['server']['http_listen_port']}"
    if port(kinds["prometheus"]["url"]) != 9090:
        yield "grafana: Prometheus is not asked on its own port, 9090"
    if [board["options"]["path"] for board in boards] != ["/etc/grafana/dashboards"]:
        yield "grafana: dashboards are not read from /etc/grafana/dashboards, where they are mounted"
