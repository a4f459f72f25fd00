"""What every pod here promises of itself, beyond what the schema asks."""

from .container import target_of


def check(pod):
    """What a pod lacks, in words."""
    spec = pod.spec
    security = spec.get("securityContext", {})
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{pod}: a token of its account is mounted"
    if spec.get("enableServiceLinks") is not False:
        yield f"{pod}: variables of other Services are put into its environment (enableServiceLinks)"
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield f"{pod}: it must run as a numbered user who is not root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{pod}: seccompProfile is not RuntimeDefault"
    for container in pod.containers:
        name, own = f"{pod}, {container['name']}", container.get("securityContext", {})
        resources = container.get("resources", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{name}: it keeps privileges that it does not need"
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            yield f"{name}: it says nothing of its processor time or memory"
        if not target_of(container["image"]):
            continue
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{name}: it could write to its image"
        if "command" in container:
            yield f"{name}: it replaces the image's program; `args` is for commands"
        if pod.kind == "Job":
            continue
        for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            asked = container.get(probe, {}).get("httpGet", {}).get("path")
            if asked != path:
                yield f"{name}: {probe} asks {asked}, not {path}"
