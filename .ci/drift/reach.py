"""Who may talk to whom: NetworkPolicies as Kubernetes reads them, as far as they are used here."""


def matches(selector, labels):
    """Whether a label selector (matchLabels, matchExpressions) takes these labels. An empty one takes all."""
    selector = selector or {}
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for wanted in selector.get("matchExpressions", []):
        key, operator, values = wanted["key"], wanted["operator"], wanted.get("values", [])
        here = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not here[operator]:
            return False
    return True


class Reach:
    """What the policies of one namespace allow."""

    def __init__(self, policies):
        self.policies = policies

    def rules(self, pod, direction):
        """The rules that hold for a pod, or None when nothing restricts it."""
        concerned = [p for p in self.policies if matches(p["spec"]["podSelector"], pod.labels)]
        concerned = [p for p in concerned if direction.capitalize() in types(p)]
        if not concerned:
            return None
        return [rule for p in concerned for rule in p["spec"].get(direction, [])]

    def allows(self, pod, direction, port, is_peer, names):
        """Whether a rule lets the pod talk (egress) or be talked to (ingress) on a port by a peer. `names` are the named
        ports of whoever is talked to."""
        rules = self.rules(pod, direction)
        if rules is None:
            return True
        peers = "from" if direction == "ingress" else "to"
        return any(on_port(rule, port, names) and any(map(is_peer, rule.get(peers, [{}]))) for rule in rules)

    def between(self, one, other, port):
        """Whether both sides let one pod talk to another's port."""
        out = self.allows(one, "egress", port, lambda peer: is_pod(peer, other), other.ports)
        into = self.allows(other, "ingress", port, lambda peer: is_pod(peer, one), other.ports)
        return out, into

    def from_outside(self, pod, port):
        """Whether somebody of another namespace, or another network, may talk to the pod's port."""
        return self.allows(pod, "ingress", port, is_outside, pod.ports)

    def to_outside(self, pod, port):
        """Whether the pod may talk to somebody outside the namespace on a port."""
        return self.allows(pod, "egress", port, is_outside, {})


def types(policy):
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def on_port(rule, port, names):
    if "ports" not in rule:
        return True
    return any(entry.get("port") in (None, port) or names.get(entry["port"]) == port for entry in rule["ports"])


def is_pod(peer, pod):
    """Whether a peer is this pod of the same namespace."""
    if not peer:
        return True
    return "podSelector" in peer and "namespaceSelector" not in peer and matches(peer["podSelector"], pod.labels)


def is_outside(peer):
    return not peer or "namespaceSelector" in peer or "ipBlock" in peer
