"""Canary specs at random, from the CRD's own schema: mostly what somebody might write, and in places whatever it lets through, or not.

A spec is drawn from its number and a seed alone, so that one that fails can be drawn again: `python -m tests.security --only 4711`.
"""

from __future__ import annotations

import random
from typing import Any

from flaggerpy.api import crds

Obj = dict[str, Any]

SCHEMA: Obj = crds.canary_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
DEEPEST = 8
BASES: tuple[Obj, ...] = (
    {"provider": "kubernetes", "analysis": {"interval": "10s", "threshold": 2, "iterations": 2}},
    {"provider": "istio", "analysis": {"interval": "10s", "threshold": 2, "stepWeight": 30, "maxWeight": 60}},
    {"provider": "gatewayapi:v1", "analysis": {"interval": "1m", "threshold": 1, "stepWeights": [1, 50, 100]}},
    {"provider": "contour", "skipAnalysis": True},
    {"provider": "nginx", "ingressRef": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "app"},
     "analysis": {"interval": "10s", "threshold": 0, "iterations": 3, "match": [{"headers": {"x": {"exact": "y"}}}]}},
    {"provider": "traefik", "canaryAnalysis": {"interval": "10s", "threshold": 2, "stepWeight": 100}},
)  # fmt: skip
TEXTS = (
    "", " ", "x", "app", "app-primary", "a" * 300, "15s", "1m30s", "0s", "1000000h", "-1s", "1e3", "http://gate.test/", "http://u:p@h:99999/",
    "http://[::1", "javascript:alert(1)", "{{ .Name }}", "{{ range $i := . }}", "%s%n", "../../etc", "a\x00b", "\x1b[31m", "\u202egpj",
    "漢字", "🚀", "\ud7ff", "$(id)", "a\r\nX-Evil: 1", "sum(rate(x[1m])) or vector(1)", '"} or up{a="', "null", "true", "NaN", "*",
    "^(a+)+$",
)  # fmt: skip
NUMBERS = (-(2**63), -1, 0, 1, 2, 7, 50, 99, 100, 101, 600, 65535, 65536, 2**31, 2**63 - 1, 0.5, 0.0001, -0.0, 1e308, 99.999)


def spec(number: int, seed: str = "0") -> Obj:
    """The spec of that number."""
    draw = random.Random(f"{seed}/{number}")
    found: Obj = {
        "targetRef": {"apiVersion": "apps/v1", "kind": draw.choice(["Deployment", "Deployment", "DaemonSet"]), "name": "app"},
        "service": {"port": 80, "gatewayRefs": [{"name": "gw"}]},
        **_copied(draw.choice(BASES)),
    }
    for _ in range(draw.choice([1, 1, 2, 3, 5, 9])):
        _change(draw, found, SCHEMA)
    return found


def _change(draw: random.Random, obj: Obj, schema: Obj, depth: int = 0) -> None:
    """Change one thing somewhere in an object."""
    properties = schema.get("properties") or {}
    name = draw.choice(sorted(properties))
    child = properties[name]
    inner = obj.get(name)
    if isinstance(inner, dict) and child.get("properties") and draw.random() < 0.75:
        _change(draw, inner, child, depth + 1)
    elif isinstance(inner, list) and inner and isinstance(inner[0], dict) and child["items"].get("properties") and draw.random() < 0.5:
        _change(draw, inner[0], child["items"], depth + 1)
    elif inner is not None and draw.random() < 0.15:
        del obj[name]
    else:
        obj[name] = value(draw, child, depth + 1)


def value(draw: random.Random, schema: Obj, depth: int = 0) -> Any:
    """Something for a place of the schema: seldom of another type than it says."""
    if draw.random() < 0.01:
        return draw.choice([None, [], {}, "x", 1, True, [[{}]]])
    if "enum" in schema and draw.random() < 0.97:
        return draw.choice(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return draw.choice([0, 80, 9898, 65536, "http", "80", "", "HTTP"])
    kind = schema.get("type", "object")
    if kind == "boolean":
        return draw.random() < 0.5
    if kind in ("integer", "number"):
        low, high = schema.get("minimum", 0), schema.get("maximum", 100)
        usual = draw.randint(int(low), int(max(low, high)))
        return usual if draw.random() < 0.7 else draw.choice([n for n in NUMBERS if kind == "number" or isinstance(n, int)])
    if kind == "string":
        return draw.choice(TEXTS) if draw.random() < 0.6 else f"n{draw.randrange(100)}"
    if kind == "array":
        most = draw.choice([0, 1, 1, 2, 3, 12]) if depth < DEEPEST else 0
        items = [value(draw, schema["items"], depth + 1) for _ in range(most)]
        return sorted(set(items)) if items and all(type(item) is int for item in items) and draw.random() < 0.7 else items
    if "properties" in schema:
        required = schema.get("required", [])
        names = [name for name in sorted(schema["properties"]) if name in required or (depth < DEEPEST and draw.random() < 0.3)]
        return {name: value(draw, schema["properties"][name], depth + 1) for name in names}
    inner = schema.get("additionalProperties") or {"type": "string"}
    return {draw.choice(TEXTS) or "k": value(draw, inner, depth + 1) for _ in range(draw.choice([0, 1, 2]))}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
