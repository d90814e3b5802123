"""What an account did, by the API server's audit log, beside what it was granted. Pure but for the lines of the log.

A right is (verb, group, resource), a subresource as `resource/subresource`. Server-side apply that creates an object needs `create` too,
which the log tells by the answer 201 only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from e2e.audit import entries
from flaggerpy.controller import rbac

Right = tuple[str, str, str]
DECOY = "unreferenced"
"""A Secret in every namespace that nothing names, and that the controller has no business with."""

_PROVIDERS = "e2e/providers"


def _whole(group: str, plural: str, verbs: Iterable[str] = rbac.APPLY) -> dict[Right, str]:
    return {(verb, group, plural): _PROVIDERS for verb in verbs}


ELSEWHERE: dict[Right, str] = {
    **_whole("autoscaling", "horizontalpodautoscalers", ("list", "watch", "create", "patch")),
    **_whole("keda.sh", "scaledobjects"),
    **_whole("networking.istio.io", "destinationrules"),
    **_whole("networking.istio.io", "virtualservices"),
    **_whole("networking.k8s.io", "ingresses"),
    **_whole("traefik.io", "traefikservices"),
}
"""What is granted and not used in e2e/core, and the suite that uses it. A right that is used here has no place in it."""

RARE: dict[Right, str] = {
    ("update", "flagger.app", "canaries/finalizers"): "asked by an admission plugin (OwnerReferencesPermissionEnforcement), never by us",
    ("get", "autoscaling", "horizontalpodautoscalers"): "an autoscaler is read again after a conflict",
    ("get", "policy", "poddisruptionbudgets"): "a budget is read again after a conflict",
    ("patch", "", "configmaps"): "a copy gets another owner: slow tests of e2e/core/test_coming_and_going.py",
    ("patch", "", "secrets"): "a copy gets another owner: slow tests of e2e/core/test_coming_and_going.py",
}
"""What is granted and used in e2e/core by chance or not at all, and what for."""


@dataclass
class Log:
    """What one account asked for. `secrets` are reads of one, by (namespace, name), `listed` the kinds that lists of Secrets came as."""

    used: Counter[Right] = field(default_factory=Counter)
    denied: Counter[Right] = field(default_factory=Counter)
    secrets: Counter[tuple[str, str]] = field(default_factory=Counter)
    listed: Counter[str] = field(default_factory=Counter)


def read(lines: Iterable[str], user: str) -> Log:
    """What the log says of a user (`system:serviceaccount:NAMESPACE:NAME`)."""
    found = Log()
    for entry in entries(lines, user):
        about = entry.get("objectRef") or {}
        if not about.get("resource"):
            continue
        resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        right = (entry["verb"], about.get("apiGroup", ""), resource)
        if (entry.get("annotations") or {}).get("authorization.k8s.io/decision") == "forbid":
            found.denied[right] += 1
            continue
        found.used[right] += 1
        if entry["verb"] == "patch" and (entry.get("responseStatus") or {}).get("code") == 201:
            found.used["create", right[1], resource] += 1
        if resource == "secrets" and entry["verb"] == "get":
            found.secrets[about.get("namespace", ""), about.get("name", "")] += 1
        elif resource == "secrets" and entry["verb"] == "list":
            found.listed[str((entry.get("responseObject") or {}).get("kind"))] += 1
    return found


def granted() -> set[Right]:
    """All that the manifests of every provider grant; of what is bound to names, whichever they are."""
    rules = [rule for obj in rbac.manifests() if obj["kind"] in ("ClusterRole", "Role") for rule in obj["rules"]]
    return {(verb, group, "/".join(filter(None, (plural, sub)))) for verb, group, plural, sub, _ in rbac.reviews(rules)}


def unused(log: Log) -> set[Right]:
    """What was granted in vain: neither used nor excepted."""
    return granted() - set(log.used) - set(ELSEWHERE) - set(RARE)


def excepted_in_vain(log: Log) -> set[Right]:
    """Exceptions that are not needed: the right was used, or is not granted any more.

    Reading is looked at where a Canary names such a kind, if only until it is refused: whether one lived long enough is chance.
    """
    written = {right for right in ELSEWHERE if right[0] not in rbac.READ}
    return (written & set(log.used)) | ({*ELSEWHERE, *RARE} - granted())
