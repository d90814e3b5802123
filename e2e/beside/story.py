"""What others could see of one scripted release, as data that two controllers can be compared by. Pure.

What must differ between two namespaces or two runs (names of namespaces, uids, times, random values) is written as one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

Object = dict[str, Any]

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
COOKIE = re.compile(r"((?:flagger|primary)-cookie[=.*]+)[A-Za-z0-9]{10}")
VERSIONED = re.compile(r"^(.*-primary)-[0-9a-z]{6,16}$")
COMBINED = "(combined from similar events): "
"""What Kubernetes' client for Go puts before the eleventh event of an object within ten minutes."""
NOT_OURS_TO_COMPARE = {"deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"}
SET_BY_THE_SERVER = {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy", "sessionAffinity"}
"""Fields of a Service's spec that the API server fills in; a headless one's clusterIP is `None` and stays."""


@dataclass
class Story:
    """One scenario of one controller. Sequences hold changes only; texts are in the order in which they first came."""

    phases: list[str] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    """status.canaryWeight."""
    iterations: list[int] = field(default_factory=list)
    failed_checks: list[int] = field(default_factory=list)
    routed: list[str] = field(default_factory=list)
    """What the route led to the canary: a weight in percent, `match` for those who match only."""
    routes: dict[str, Object] = field(default_factory=dict)
    """The route's spec at each of them."""
    promoted: list[list[str]] = field(default_factory=list)
    """The condition Promoted: [status, reason, message]."""
    conditions: list[str] = field(default_factory=list)
    """Types of the conditions at the end."""
    replicas: list[int] = field(default_factory=list)
    """The target's."""
    events: list[list[str]] = field(default_factory=list)
    """[type, reason, component, text]."""
    hooks: dict[str, Object] = field(default_factory=dict)
    """Name of the hook to {count, bodies (distinct), headers (names)}."""
    alerts: list[Object] = field(default_factory=list)
    objects: dict[str, dict[str, Object]] = field(default_factory=dict)
    """Moment to `Kind name` to shape."""
    status: Object = field(default_factory=dict)
    """The fields of the status at the end that have no sequence of their own."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What a visitor saw."""

    def to_obj(self) -> Object:
        return asdict(self)


def changes(values: Iterable[Any]) -> list[Any]:
    """The values without repetitions that follow each other."""
    return [value for value, _ in groupby(values)]


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in the order of its first time. The values need not be hashable."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


@dataclass(frozen=True)
class Words:
    """How the texts of one side are made comparable: `known` maps what is its own (namespace, address of the receiver) to a word. Ports of
    the node can be held by one of the two only."""

    known: Mapping[str, str]

    def text(self, said: str) -> str:
        said = said.removeprefix(COMBINED)
        for own, word in self.known.items():
            said = said.replace(own, word)
        return COOKIE.sub(r"\1VALUE", UUID.sub("UUID", said))

    def of(self, value: Any) -> Any:
        """The same in every text of a structure, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): "PORT" if key == "hostPort" else self.of(inner) for key, inner in value.items()}
        if isinstance(value, Sequence):
            return [self.of(inner) for inner in value]
        return value


def shape(obj: Object, words: Words) -> Object:
    """What is compared of an object: labels, annotations, owners, finalizers and everything that is its maker's to say."""
    meta = obj["metadata"]
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in NOT_OURS_TO_COMPARE}
    found: Object = {
        "labels": meta.get("labels") or {},
        "annotations": annotations,
        "owners": [{key: value for key, value in owner.items() if key != "uid"} for owner in meta.get("ownerReferences") or ()],
        "finalizers": meta.get("finalizers") or [],
    }
    for key, value in obj.items():
        if key not in ("metadata", "status", "apiVersion", "kind"):
            found[key] = _service(value) if obj["kind"] == "Service" and key == "spec" else value
    return dict(words.of(found))


def _service(spec: Object) -> Object:
    kept = {key: value for key, value in spec.items() if key not in SET_BY_THE_SERVER}
    if spec.get("clusterIP") == "None":
        kept["clusterIP"] = "None"
    kept["ports"] = sorted(
        ({key: value for key, value in port.items() if key != "nodePort"} for port in spec.get("ports") or ()), key=lambda p: p["port"]
    )
    return kept


def name_of(kind: str, name: str, words: Words) -> str:
    """`Kind name`; the version in the name of a config's copy is left out."""
    if kind in ("ConfigMap", "Secret"):
        found = VERSIONED.match(name)
        name = found.group(1) if found else name
    return f"{kind} {words.text(name)}"


def routed(route: Object) -> str:
    """Where a HTTPRoute, HTTPProxy or TrafficSplit leads people to the canary: `20`, `100`, `match`, `mirror`; "" when it names none."""
    spec = route.get("spec") or {}
    if "backends" in spec:
        return str(next((_percent(backend["weight"]) for backend in spec["backends"] if backend["service"].endswith("-canary")), ""))
    rules = [
        {backend["name"]: int(backend.get("weight") or 0) for backend in rule.get("backendRefs") or rule.get("services") or ()}
        for rule in spec.get("rules") or spec.get("routes") or ()
    ]
    shares = [next((weight for name, weight in rule.items() if name.endswith("-canary")), 0) for rule in rules]
    if not shares:
        return ""
    sticky = _sticky(spec)
    if sticky and len(shares) > 1:
        return str(shares[-1])
    if len(shares) > 1 and shares[0] == 100 and not any(shares[1:]):
        return "match"
    return str(max(shares))


def _percent(weight: Any) -> int:
    text = str(weight)
    return int(text.removesuffix("m")) // 1000 if text.endswith("m") else int(text)


def _sticky(spec: Object) -> bool:
    headers = [header for rule in spec.get("rules") or () for match in rule.get("matches") or () for header in match.get("headers") or ()]
    return any(header.get("name") == "Cookie" and header.get("type") == "RegularExpression" for header in headers)
