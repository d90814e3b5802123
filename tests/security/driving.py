"""A spec that is admitted, taken through what a release does with it: the core in the model world, routers, measurements, hooks.

Whatever is wrong with a spec is a sentence; an exception is a defect.
"""

from __future__ import annotations

import json
from typing import Any

from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.api.problems import spec_problems, warnings
from flaggerpy.hooks import calling, payloads
from flaggerpy.metrics import evaluate
from flaggerpy.model.scenario import Cast, Stage
from flaggerpy.rollout.facts import Measurement
from flaggerpy.routers.base import RouteSplit, Settings
from flaggerpy.routers.registry import known_providers, router_for

Obj = dict[str, Any]
LOOKS = 25
LONGEST_LEAP = 120.0
STATUS_BYTES = 200_000


def admitted(obj: Obj) -> bool:
    """Whether our rules let it be released. Never raises, and what it says can be written into a status."""
    found = spec_problems(obj, "kubernetes", providers=known_providers(), same_namespace=True)
    json.dumps(found)
    return not found


def drive(obj: Obj) -> None:
    """Everything that would be done with an admitted Canary. Raises what should never be raised."""
    canary = parse_canary(obj)
    warnings(canary)
    if not route(canary):
        return
    asked(canary)
    release(obj)


def route(canary: Canary) -> bool:
    """Its routes, as they are written for some splits; False where the provider refuses it by a sentence."""
    router = router_for(canary.spec.provider or "kubernetes")
    if router.problems(canary):
        return False
    router.warnings(canary)
    router.objects(canary)
    for weight in (0, 30, 100):
        for current in ([], router.desired(canary, RouteSplit(weight), [], Settings())):
            json.dumps(router.desired(canary, RouteSplit(weight), current, Settings()))
            router.observed(canary, current, Settings())
            router.restore(canary, current)
    return True


def asked(canary: Canary) -> None:
    """What is asked of metric servers and hooks."""
    for metric in canary.spec.plan.metrics:
        for check in evaluate.checks(metric):
            evaluate.plan(canary, metric, check, None, None, evaluate.Settings(mesh_provider="kubernetes"))
            evaluate.verdict(canary, metric, check, 1.5)
    for hook in canary.spec.plan.webhooks:
        made = calling.request(hook, payloads.payload(canary.name, canary.namespace, "Progressing", "0", hook.metadata), f"run/{hook.name}")
        _ = (made.place, made.secrets, repr(made))
        "".join(made.headers.values()).encode("ascii")


def release(obj: Obj) -> None:
    """Bootstrap and release, a bounded number of looks each."""

    def measured(metric: Any, trouble: Any, draw: float) -> Measurement:
        kind = ("value", "value", "no-data", "unreachable", "error")[int(draw * 5) % 5]
        return Measurement(kind, value=draw, text="" if kind == "value" else "x")  # type: ignore[arg-type]

    stage = Stage(obj, Cast(), measure=measured)
    for releasing in (False, True):
        if releasing and stage.target is not None:
            stage.target.template, stage.releasing, stage.released_at = stage.new, True, stage.now
        for _ in range(LOOKS):
            wake = stage.look().wake
            written = stage.typed.model_dump_json(by_alias=True)
            assert len(written) < STATUS_BYTES, f"a status of {len(written)} bytes"
            stage.now = min(wake, stage.now + LONGEST_LEAP) if wake is not None and wake > stage.now else stage.now + 5.0
