"""Specs as large as the API server takes them: refused in short, or borne; and no view has an entry for each of a million rounds."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from rich.text import Text

from flaggerpy.api.canary import parse_canary
from flaggerpy.api.problems import spec_problems
from flaggerpy.api.status import CanaryStatus, parse_status
from flaggerpy.cli import frames, planning
from flaggerpy.cli.course import Course, World, count, course, planned
from flaggerpy.cli.glyphs import BLOCKS, Glyphs
from flaggerpy.cli.scenes import scene
from flaggerpy.rollout.decide import decide
from flaggerpy.rollout.facts import Facts
from flaggerpy.rollout.forecast import LISTED, Circumstances, forecast, steps
from flaggerpy.routers.registry import known_providers
from tests.security.driving import drive

Obj = dict[str, Any]
MILLIONS = 2**31 - 1
"""The most that the field of the CRD takes."""
TOLD_BYTES = 10_000


def canary(**analysis: Any) -> Obj:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "app", "namespace": "shop", "generation": 1, "uid": "u"},
        "spec": {
            "provider": "gatewayapi:v1",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "service": {"port": 80, "gatewayRefs": [{"name": "public", "namespace": "gateways"}], "hosts": ["app.example.com"]},
            "analysis": {"interval": "10s", "threshold": 5, **analysis},
        },
    }


def many(count: int, entry: Obj) -> list[Obj]:
    return [{**entry, "name": f"n{number}"} for number in range(count)]


METRIC = {"templateRef": {"name": "errors"}, "interval": "1m", "thresholdRange": {"max": 1}}
HOOK = {"type": "rollout", "url": "http://hooks.shop/"}


@pytest.mark.parametrize(
    ("analysis", "problem"),
    [
        ({"stepWeights": [1] * 500_000}, "stepWeights: must have at most 100 items"),
        ({"stepWeights": list(range(1_000, 201_000))}, "stepWeights[0]: must lie within 1 and 100"),
        ({"stepWeight": 50, "metrics": many(10_000, METRIC)}, "metrics: must have at most 100 items"),
        ({"stepWeight": 50, "webhooks": many(10_000, HOOK)}, "webhooks: must have at most 100 items"),
        ({"iterations": 5, "match": [{"headers": {f"x{n}": {"exact": "1"}}} for n in range(10_000)]}, "match: must have at most 32 items"),
    ],
)
def test_what_is_too_much_is_refused_and_the_status_says_so_in_short(analysis: Obj, problem: str) -> None:
    obj = canary(**analysis)
    found = spec_problems(obj, "kubernetes", providers=known_providers(), same_namespace=True)
    assert any(problem in each for each in found)
    # a CRD of Flagger's lets it pass: then the core is what refuses it, at every look
    told = decide(parse_canary(canary(iterations=1)), CanaryStatus(), Facts(problems=tuple(found)), 1_000_000.0)
    status = json.dumps(told.status.to_obj())
    assert found[0] in status
    assert len(status) < TOLD_BYTES


def test_a_release_of_millions_of_iterations_is_borne() -> None:
    drive(canary(iterations=MILLIONS))


def test_no_view_has_an_entry_for_each_of_millions_of_iterations() -> None:
    typed = parse_canary(canary(iterations=MILLIONS))
    tracemalloc.start()
    try:
        rounds = steps(typed, Circumstances())
        told = forecast(typed, Circumstances())
        stages = planned(typed, World())
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert sum(each.times for each in rounds) == MILLIONS + 1
    assert (rounds[-2].name, len(rounds)) == (f"iterations {LISTED} to {MILLIONS}", LISTED + 1)
    assert told.best > MILLIONS * 10.0
    assert len(stages) < LISTED + 10


def under_way(iteration: int, total: int, now: float) -> Obj:
    run = {"id": "1", "revision": "r2", "startedAt": now - 60, "settled": True, "analysedAt": now}
    return {**canary(iterations=total), "status": {"phase": "Progressing", "iterations": iteration, "run": run}}


@pytest.mark.parametrize("iteration", [1, LISTED - 1, LISTED, LISTED + 1, 1_500_000, 1_999_999, 2_000_000])
def test_the_course_of_a_release_of_two_million_iterations_tells_where_it_stands_and_how_long_the_rest_takes(iteration: int) -> None:
    total, now = 2_000_000, 1_000_000.0
    obj = under_way(iteration, total, now)
    found = course(parse_canary(obj), parse_status(obj), now, seen={}, world=World())
    assert found is not None
    assert found.current is not None
    assert (found.current.name, found.step_number, count(found.steps)) == (f"#{iteration}", iteration, total + 1)
    assert found.left == pytest.approx(10.0 * (total - iteration + 2), rel=0.001, abs=40)


def test_views_and_pages_of_millions_of_iterations_are_drawn_and_count_them(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    gathered = frames._gathered

    def counted(course: Course, near: int, glyphs: Glyphs) -> Iterator[Text]:
        drawn.append(near)
        return gathered(course, near, glyphs)

    monkeypatch.setattr(frames, "_gathered", counted)
    shown = scene(under_way(1_500_000, MILLIONS, 1_000_000.0), 1_000_000.0)
    text = "\n".join(line.plain for line in frames.frame(shown, 80, 24, BLOCKS))
    assert "▶ #1500000" in text
    assert f"#{LISTED}..#1499999" in text
    assert f"#1500001..#{MILLIONS}" in text
    # as often as numbers have digits, and not as often as there are stages
    assert len(drawn) < 20
    canary_, provider, told = planning.planned(canary(iterations=MILLIONS), None)
    assert f"{MILLIONS + 1} steps" in planning.page(canary_, provider, told, None).plain
    assert sum(part["times"] for part in planning.as_data(canary_, provider, told)["parts"] if part["kind"] == "step") == MILLIONS + 1
