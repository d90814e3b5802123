"""What the contract of routers (test_contract.py) needs to know of a provider beside what its router says: one entry each in PROFILES.

A provider without an entry has the default: nothing but a port, and no route of somebody else that could be taken over.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import FIELD_MANAGER
from flaggerpy.cluster.kinds import kind_of
from flaggerpy.routers.base import Obj, Router, RouteSplit, Settings
from flaggerpy.routers.registry import router_for
from tests.cluster.fake_apiserver import Request, apply, managed, paths_of
from tests.routers.builders import AB, GATEWAY, WEIGHTED, a_canary

SETTINGS = Settings()
MOMENT = "2026-01-01T00:00:00Z"

words = st.text("abcxyz.-", min_size=1, max_size=6)
percents = st.integers(0, 100)
tests = st.one_of(words.map(lambda text: {"exact": text}), words.map(lambda text: {"regex": f"{text.replace('.', '')}x.*"}))
headers = st.dictionaries(st.sampled_from(["a", "b", "X-Canary", "x-user"]), tests, min_size=1, max_size=3)
uris = st.sampled_from([{"prefix": "/"}, {"prefix": "/api"}, {"exact": "/login"}, {"regex": "/v[0-9]+"}])
service_matches = st.lists(st.fixed_dictionaries({}, optional={"uri": uris, "headers": headers}), max_size=3)
analysis_matches: SearchStrategy[list[Obj]] = st.lists(headers.map(lambda value: {"headers": value}), min_size=1, max_size=3)
cookies = st.text("abcABC012", min_size=5, max_size=8)
timeouts = st.sampled_from(["15s", "1.5s"])


def weights_of(value: Any) -> list[int]:
    """The sums of all lists of weighted backends in a manifest, mirrors apart."""
    if isinstance(value, dict):
        return [total for item in value.values() for total in weights_of(item)]
    if not isinstance(value, list):
        return []
    weighted = [item for item in value if isinstance(item, dict) and "weight" in item and not item.get("mirror")]
    below = [total for item in value for total in weights_of(item)]
    return [sum(int(item["weight"]) for item in weighted), *below] if weighted else below


def to_canary(value: Any) -> list[int]:
    """The weights of all backends that lead to the canary, mirrors apart."""
    if isinstance(value, dict):
        name = value.get("name") or value.get("service") or (value.get("destination") or {}).get("host")
        own = [int(value["weight"])] if name == "podinfo-canary" and "weight" in value and not value.get("mirror") else []
        return own + [weight for item in value.values() for weight in to_canary(item)]
    return [weight for item in value for weight in to_canary(item)] if isinstance(value, list) else []


@dataclass(frozen=True)
class Profile:
    """What a Canary of this provider must have, may have, and meets in the cluster."""

    service: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `spec.service` that it cannot do without."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `spec`."""
    around: Sequence[Obj] = ()
    """Objects of the user that must stand; they are never written."""
    theirs: Obj | None = None
    """A route of the user's under our name that leads to backends of its own: it is taken over, and given back."""
    optional: Mapping[str, SearchStrategy[Any]] = field(default_factory=dict)
    """Fields of `spec.service` that it honours."""
    matches: SearchStrategy[list[Obj]] = analysis_matches
    """`analysis.match`, where the router supports it at all."""
    restricted: bool = True
    """Whether weights can hold for the requests of `analysis.match` alone."""
    leaves_out: bool = False
    """Whether a side with weight 0 is left out, as its proxy refuses a route with a backend that has no pods."""
    totals: Callable[[Any], list[int]] = weights_of
    """Reads the sums of weights out of manifests; each must be 100."""
    canary_weights: Callable[[Any], list[int]] = to_canary
    """Reads the canary's weights out of manifests."""


def ingress_totals(value: Any) -> list[int]:
    """The primary has what the canary's weight leaves of 100."""
    weights = [int(obj["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"]) for obj in value]
    return [weight + max(100 - weight, 0) for weight in weights]


def ingress_weights(value: Any) -> list[int]:
    """The weight, and 100 where a header or a cookie leads to the canary."""
    found = []
    for obj in value:
        annotations = obj["metadata"]["annotations"]
        found += [int(text) for key, text in annotations.items() if key.endswith("/canary-weight")]
        found += [100 for key in annotations if "/canary-by-" in key]
    return found


HONOURED = {"match": service_matches, "timeout": timeouts}
GATEWAY_API = Profile(
    service=GATEWAY,
    optional=HONOURED,
    theirs={
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "podinfo", "namespace": "test", "labels": {"team": "a"}},
        "spec": {
            "parentRefs": [{"name": "their-gateway"}],
            "hostnames": ["app.example.com"],
            "rules": [
                {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"name": "podinfo", "port": 80}]},
                {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]},
            ],
        },
    },
)

ISTIO = Profile(
    optional={
        **HONOURED,
        "gateways": st.sampled_from([["public"], ["mesh", "public"]]),
        "hosts": st.sampled_from([["app.example.com"], ["podinfo"]]),
        "portDiscovery": st.just(True),
        "rewrite": st.just({"uri": "/new"}),
        "headers": st.just({"response": {"add": {"x": "1"}, "remove": ["server"]}}),
        "trafficPolicy": st.sampled_from([{"tls": {"mode": "DISABLE"}}, {"loadBalancer": {"simple": "RANDOM"}}]),
    },
    theirs={
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": {"name": "podinfo", "namespace": "test", "labels": {"team": "a"}},
        "spec": {
            "hosts": ["app.example.com"],
            "gateways": ["istio-system/public"],
            "http": [
                {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new"}},
                {"route": [{"destination": {"host": "podinfo", "port": {"number": 80}}}]},
            ],
            "tcp": [{"route": [{"destination": {"host": "podinfo"}, "weight": 90}, {"destination": {"host": "other"}, "weight": 10}]}],
        },
    },
)
INGRESS: Obj = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {
        "name": "web",
        "namespace": "test",
        "labels": {"team": "a"},
        "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "8m", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
    },
    "spec": {
        "ingressClassName": "nginx",
        "tls": [{"hosts": ["app.example.com"], "secretName": "cert"}],
        "rules": [
            {
                "host": "app.example.com",
                "http": {
                    "paths": [
                        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "podinfo", "port": {"number": 80}}}},
                        {"path": "/static", "pathType": "Prefix", "backend": {"service": {"name": "static", "port": {"number": 80}}}},
                    ]
                },
            },
            {"host": "bare.example.com"},
        ],
    },
}
ONE_HEADER = st.tuples(st.sampled_from(["a", "X-Canary"]), tests).map(lambda pair: {"headers": dict([pair])})
ONE_COOKIE = st.sampled_from(["canary", "beta.1"]).map(lambda name: {"headers": {"cookie": {"exact": name}}})
HEADER_OR_COOKIE = st.one_of(st.tuples(ONE_HEADER), st.tuples(ONE_COOKIE), st.tuples(ONE_HEADER, ONE_COOKIE)).map(list)

PROFILES: dict[str, Profile] = {
    "nginx": Profile(
        spec={"ingressRef": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"}},
        around=(INGRESS,),
        matches=HEADER_OR_COOKIE,
        restricted=False,
        totals=ingress_totals,
        canary_weights=ingress_weights,
    ),
    "gatewayapi:v1": GATEWAY_API,
    "gatewayapi:v1beta1": GATEWAY_API,
    "istio": ISTIO,
    "contour": Profile(
        optional=HONOURED,
        theirs={
            "apiVersion": "projectcontour.io/v1",
            "kind": "HTTPProxy",
            "metadata": {"name": "podinfo", "namespace": "test", "annotations": {"note": "theirs"}},
            "spec": {
                "virtualhost": {"fqdn": "app.example.com", "tls": {"secretName": "cert"}},
                "routes": [{"services": [{"name": "podinfo", "port": 80}, {"name": "other", "port": 80, "weight": 3}]}],
            },
        },
    ),
    "traefik": Profile(
        leaves_out=True,
        theirs={
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "TraefikService",
            "metadata": {"name": "podinfo", "namespace": "test", "annotations": {"note": "theirs"}},
            "spec": {
                "weighted": {
                    "services": [{"name": "podinfo", "port": 80, "scheme": "h2c"}, {"name": "other", "port": 80, "weight": 3}],
                    "sticky": {"cookie": {"name": "theirs"}},
                }
            },
        },
    ),
}


def profile_of(provider: str) -> Profile:
    return PROFILES.get(provider, Profile())


def canary_of(provider: str, service: Obj | None = None, analysis: Obj | None = None) -> Canary:
    """A Canary that this provider takes, with these fields of `spec.service`."""
    profile = profile_of(provider)
    return a_canary({**profile.service, **(service or {})}, analysis, **profile.spec)


@st.composite
def cases(draw: st.DrawFn, provider: str) -> tuple[Canary, RouteSplit]:
    """A Canary of any kind that this provider supports, and a split that it may come to."""
    supports, profile = router_for(provider).supports, profile_of(provider)
    service = draw(st.fixed_dictionaries({}, optional=dict(profile.optional)))
    kinds = ["weighted", "blue-green"]
    kinds += ["ab"] * supports.match + ["restricted"] * (supports.match and profile.restricted)
    kinds += ["mirror"] * supports.mirror + ["affinity"] * supports.affinity
    kind = draw(st.sampled_from(kinds))
    analysis: dict[str, Any] = dict(WEIGHTED)
    split = RouteSplit(draw(percents))
    if kind == "blue-green":
        analysis = {"interval": "10s", "threshold": 1, "iterations": 3}
        split = RouteSplit(draw(st.sampled_from([0, 100])))
    elif kind in ("ab", "restricted"):
        analysis = {**(AB if kind == "ab" else WEIGHTED), "match": draw(profile.matches)}
        split = RouteSplit(split.canary, match=kind == "ab" and draw(st.booleans()))
    elif kind == "mirror":
        analysis |= {"mirror": True, **draw(st.fixed_dictionaries({}, optional={"mirrorWeight": percents}))}
        split = RouteSplit(split.canary, mirror=draw(st.booleans()))
    elif kind == "affinity":
        analysis["sessionAffinity"] = {"cookieName": "fl-cookie", "primaryCookieName": "main", "path": "/", "secure": True}
        if split.canary:
            split = RouteSplit(split.canary, cookie=draw(cookies), primary_cookie=draw(st.one_of(st.just(""), cookies)))
        else:
            split = RouteSplit(0, previous_cookie=draw(st.one_of(st.just(""), cookies)))
    return canary_of(provider, service, analysis), split


class Cluster:
    """The objects of one namespace under server-side apply, and the controller's way to set a split there."""

    def __init__(self, provider: str, *objects: Obj) -> None:
        self.router: Router = router_for(provider)
        self.objects: dict[tuple[str, str], Obj] = {}
        self.writes: list[str] = []
        for obj in (*profile_of(provider).around, *objects):
            self.objects[obj["kind"], obj["metadata"]["name"]] = copy.deepcopy(obj)

    def current(self, canary: Canary) -> list[Obj]:
        """The objects that the router asks for, as far as they are there."""
        wanted = [(ref.kind, ref.name) for ref in self.router.objects(canary)]
        return [self.objects[key] for key in wanted if key in self.objects]

    def apply(self, manifest: Obj, manager: str = FIELD_MANAGER) -> None:
        """One forced apply; one that changes nothing is no write."""
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        query = {"fieldManager": manager, "force": "true"}
        request = Request("PATCH", "", query, {}, manifest, "patch", kind.plural, kind, manifest["metadata"]["namespace"], name)
        manifest, old = copy.deepcopy(manifest), self.objects.get((kind.kind, name))
        if old is None:
            new = manifest
            entries = [managed(request, "Apply", paths_of(manifest), MOMENT)]
        else:
            new, entries = apply(old, manifest, request, MOMENT)
        new["metadata"]["managedFields"] = entries
        if new != old:
            self.objects[kind.kind, name] = new
            self.writes.append(name)

    def reconcile(self, canary: Canary, split: RouteSplit, settings: Settings = SETTINGS, *, dies_after: int | None = None) -> int:
        """What the controller does: look, and write where it is not as it should be. Answers how many requests it took, those that changed
        nothing among them: a difference that no write can take away would be written for ever.

        `dies_after`: it is killed after that many objects.
        """
        asked = 0
        observed = self.router.observed(canary, self.current(canary), settings)
        if not (observed.in_shape and observed.split == split):
            for manifest in self.router.desired(canary, split, self.current(canary), settings)[:dies_after]:
                self.apply(manifest)
                asked += 1
        return asked

    def settle(self, canary: Canary, split: RouteSplit, settings: Settings = SETTINGS) -> None:
        """Reconciles until nothing is left to write. Raises AssertionError when that takes more than three times."""
        for _ in range(4):
            if self.reconcile(canary, split, settings) == 0:
                return
        raise AssertionError(f"still writing {self.writes}")
