"""What the controller may do, as data: ServiceAccount, ClusterRole and binding with the least that the enabled providers need.

`python -m flaggerpy.controller.rbac` prints it as YAML; `deploy/rbac.yaml` is that output for all providers. With the word `chart` it
prints `charts/flaggerpy/rbac.yaml`, the parts that the chart's templates put together. Tests hold files and code together. Secrets and
ConfigMaps are watched as metadata, but Kubernetes has no verb for that: reading them by name needs `get`, and copies of them are written
beside them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from flaggerpy.cluster.lease import NAME as LEASE
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.shards import Shard

Obj = dict[str, Any]
Right = tuple[str, str, str, str, str]
"""Verb, API group, plural, subresource and name; "" where there is no subresource, and for any name."""

NAME = "flaggerpy"
API = "rbac.authorization.k8s.io"
SEE = ("list", "watch")
READ = ("get", *SEE)
# what has the Canary as its owner goes with it: the garbage collector deletes it, not we
APPLY = (*READ, "create", "patch")
OWN = (*APPLY, "delete")

NAMED_SHARDS = 16
"""Shards whose Leases are named whatever their number is: the right to give its Lease back must outlast a change of the number."""

# API group and plural of what each provider writes
ROUTES: dict[str, tuple[tuple[str, str], ...]] = {
    "kubernetes": (),
    "gatewayapi:v1": (("gateway.networking.k8s.io", "httproutes"),),
    "gatewayapi:v1beta1": (("gateway.networking.k8s.io", "httproutes"),),
    "contour": (("projectcontour.io", "httpproxies"),),
    "istio": (("networking.istio.io", "destinationrules"), ("networking.istio.io", "virtualservices")),
    "nginx": (("networking.k8s.io", "ingresses"),),
    "linkerd": (("split.smi-spec.io", "trafficsplits"),),
    "smi:v1alpha1": (("split.smi-spec.io", "trafficsplits"),),
    "smi:v1alpha2": (("split.smi-spec.io", "trafficsplits"),),
    "smi:v1alpha3": (("split.smi-spec.io", "trafficsplits"),),
    "traefik": (("traefik.io", "traefikservices"),),
}


def rules(providers: Iterable[str]) -> list[Obj]:
    """What releases cannot do without, all of it namespaced. Raises KeyError for a provider that is not known here."""
    groups: dict[str, set[str]] = {}
    for provider in providers:
        for group, plural in ROUTES[provider]:
            groups.setdefault(group, set()).add(plural)
    return common_rules() + [_rule(group, sorted(plurals), APPLY) for group, plurals in sorted(groups.items())]


def common_rules() -> list[Obj]:
    """What is needed whatever the provider."""
    return [
        _rule("flagger.app", ("canaries",), (*READ, "patch")),
        _rule("flagger.app", ("canaries/status",), ("patch",)),
        # owner references with blockOwnerDeletion need this where that admission plugin is on
        _rule("flagger.app", ("canaries/finalizers",), ("update",)),
        _rule("flagger.app", ("metrictemplates", "alertproviders"), SEE),
        _rule("apps", ("deployments", "daemonsets"), APPLY),
        _rule("apps", ("replicasets",), SEE),
        # the user's autoscalers are read, and paused (KEDA); the primary's are made beside them
        _rule("autoscaling", ("horizontalpodautoscalers",), APPLY),
        _rule("keda.sh", ("scaledobjects",), APPLY),
        # kept templates; they never change, and the history of a DaemonSet is read only
        _rule("apps", ("controllerrevisions",), (*READ, "create", "delete")),
        _rule("", ("services",), APPLY),
        _rule("", ("configmaps", "secrets"), OWN),
        _rule("policy", ("poddisruptionbudgets",), OWN),
        _rule("", ("pods",), SEE),
        _rule("", ("events",), ("list", "create", "patch")),
    ]


def optional_rules() -> list[Obj]:
    """What makes the image check better and is done without where it is not granted: the pull secrets that a service account names."""
    return [_rule("", ("serviceaccounts",), ("get",))]


def cluster_rules() -> list[Obj]:
    """What has no namespace, and is done without where it is not granted: the served schema of our own kind (the OpenAPI document tells it
    too), the nodes' platforms and images, and the question whether we have our rights (every account may ask it by default)."""
    return [
        {**_rule("apiextensions.k8s.io", ("customresourcedefinitions",), ("get",)), "resourceNames": ["canaries.flagger.app"]},
        _rule("", ("nodes",), ("list",)),
        _rule("authorization.k8s.io", ("selfsubjectaccessreviews",), ("create",)),
    ]


def crd_rules() -> list[Obj]:
    """What `flaggerpy crds apply` needs; `create` cannot be bound to names."""
    names = [f"{plural}.flagger.app" for plural in ("alertproviders", "canaries", "metrictemplates")]
    return [
        {**_rule("apiextensions.k8s.io", ("customresourcedefinitions",), ("get", "patch")), "resourceNames": names},
        _rule("apiextensions.k8s.io", ("customresourcedefinitions",), ("create",)),
    ]


def lease_names() -> list[str]:
    """The Leases that controllers hold: of the one that is not sharded, and of the first shards."""
    return [LEASE, *(shard.lease for shard in Shard(NAMED_SHARDS).others)]


def lease_rules(names: Sequence[str] = ()) -> list[Obj]:
    """What election by these Leases needs (without `names`: by all that are known beforehand), in the lease's namespace only.

    Others' Leases, as those of kube-scheduler in kube-system, are not to be written. `create` cannot be bound to names. The list is of all:
    who counts the shards otherwise holds Leases whose names nobody knows, and what he claims is read before anybody acts (`claims.py`).
    """
    held = list(names) or lease_names()
    return [
        {**_rule("coordination.k8s.io", ("leases",), ("get", "watch", "update")), "resourceNames": held},
        _rule("coordination.k8s.io", ("leases",), ("list", "create")),
    ]


def manifests(
    namespace: str = "flagger-system",
    *,
    providers: Sequence[str] = tuple(ROUTES),
    lease_namespace: str = Settings.leader_election_namespace,
    name: str = NAME,
    namespaces: Sequence[str] = (),
) -> list[Obj]:
    """ServiceAccount, what it may do, and a Role for the Lease in `lease_namespace`.

    Without `namespaces` a ClusterRole; with them a Role in each and nothing else: then `lease_namespace` should be the first of them.
    """
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace, "labels": _labels(name)}}
    granted = [*rules(providers), *optional_rules()]
    roles = [_role(name, name, namespace, where, granted) for where in namespaces] or [
        _role(name, name, namespace, "", [*granted, *cluster_rules()])
    ]
    roles.append(_role(f"{name}-election", name, namespace, lease_namespace, lease_rules()))
    return [account, *(obj for role in roles for obj in role)]


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name}


def _role(name: str, account: str, account_namespace: str, where: str, granted: list[Obj]) -> list[Obj]:
    """A Role and its binding, or (`where` is "") a ClusterRole and its."""
    scope = "" if where else "Cluster"
    at = {"namespace": where} if where else {}
    return [
        {
            "apiVersion": f"{API}/v1",
            "kind": f"{scope}Role",
            "metadata": {"name": name, **at, "labels": _labels(account)},
            "rules": granted,
        },
        {
            "apiVersion": f"{API}/v1",
            "kind": f"{scope}RoleBinding",
            "metadata": {"name": name, **at, "labels": _labels(account)},
            "roleRef": {"apiGroup": API, "kind": f"{scope}Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
        },
    ]


def reviews(granted: Iterable[Obj]) -> list[Right]:
    """Every right of these rules, to be asked for at the start. One that is bound to names is asked for by name: else the answer is no."""
    found = []
    for rule in granted:
        names = rule.get("resourceNames") or [""]
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                plural, _, subresource = resource.partition("/")
                found += [(verb, group, plural, subresource, name) for name in names for verb in rule["verbs"]]
    return found


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Obj:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def to_yaml(objects: Iterable[Obj]) -> str:
    """A YAML stream, as deploy/ holds it."""
    return "---\n".join(yaml.safe_dump(obj, sort_keys=False) for obj in objects)


def printed() -> str:
    """The text of deploy/rbac.yaml."""
    return "# Generated by `python -m flaggerpy.controller.rbac`; do not edit.\n" + to_yaml(manifests())


def for_chart() -> str:
    """The text of charts/flaggerpy/rbac.yaml: rules by the reason for which they are granted."""
    known = len(common_rules())
    parts: Obj = {
        "common": common_rules(),
        "optional": optional_rules(),
        "cluster": cluster_rules(),
        "lease": lease_rules(),
        "crds": crd_rules(),
        "providers": {provider: rules([provider])[known:] for provider in ROUTES},
    }
    return "# Generated by `python -m flaggerpy.controller.rbac chart`; do not edit.\n" + yaml.safe_dump(parts, sort_keys=False)


if __name__ == "__main__":
    sys.stdout.write(for_chart() if sys.argv[1:] == ["chart"] else printed())
