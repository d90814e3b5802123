"""From what was recorded of a row to its verdict and its seconds."""

from __future__ import annotations

from typing import cast

import pytest

from e2e.catalogue.judging import _ended, allowance
from e2e.catalogue.phantom import LABEL, _differs, evicted_or, placed, running, waiting
from e2e.catalogue.play import Case
from e2e.catalogue.row import Row, Verdict
from e2e.catalogue.watched import Watched
from e2e.core.stage import Stage
from e2e.kube import Kube, Object
from e2e.recorder import Seen
from e2e.sandbox import Sandbox

ROW = Row("some", {}, "app", frozenset(), ("x",), deadline=20)
STAGE = Stage(cast(Kube, None), cast(Sandbox, None), "shop", "some")


class Recorded:
    """Stands in for `Watched`: the pods' states, and when the run's deadline began to count."""

    def __init__(self, pods: list[Seen], began: float = 0.0) -> None:
        self._pods, self._began = pods, began

    def pods(self, stage: Stage, label: str) -> list[Seen]:
        return self._pods

    def of(self, kind: str, stage: Stage) -> list[Seen]:
        return [Seen(self._began, {"metadata": {"name": "some"}, "status": {"run": {"deadline": {"x": 1}}}})]


def ended(cause: str, at: float, pods: list[Seen], phase: str = "Failed", healed: float = 0.0) -> tuple[Verdict, float, float]:
    case = Case(STAGE, released=100.0, primary={}, primary_pods={}, old_pods={"old"}, healed=healed, ended=at)
    return _ended(ROW, case, cast(Watched, Recorded(pods, began=103.0)), phase, cause)


def failing(at: float, name: str = "some-1") -> Seen:
    status = {"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "ErrImagePull"}}}]}
    return Seen(at, {"metadata": {"name": name}, "status": status})


def test_an_end_soon_after_the_first_report_is_one_at_once_and_a_later_one_came_after_the_grace() -> None:
    assert ended("no such image", 110.0, [failing(104), failing(109)]) == (Verdict.NOW, 6.0, ROW.bound)
    assert ended("refused", 135.0, [failing(104)]) == (Verdict.GRACE, 31.0, ROW.bound)


def test_crashes_are_told_by_their_count() -> None:
    assert ended("container app crashes with exit code 1 (crashed 3 times, 1 of 1 pod)", 125.0, [failing(104)])[0] is Verdict.CRASHES


def test_pods_of_before_the_release_report_nothing() -> None:
    with pytest.raises(AssertionError, match="the kubelet reported nothing"):
        ended("no such image", 110.0, [failing(104, "old")])


def test_at_the_deadline_the_seconds_of_being_incomplete_count_and_the_bound_is_on_top() -> None:
    ready = {"metadata": {"name": "some-1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    pods = [Seen(106, ready), failing(110)]
    assert ended("progress deadline of 20s exceeded: x", 128.0, pods) == (Verdict.DEADLINE, 128 - 103 - 4.0, 20 + ROW.bound)


@pytest.mark.parametrize(("load", "seconds"), [(0, 0), (4, 0), (8, 5), (12, 10), (30, 15), (100, 15)])
def test_a_busy_machine_may_be_later_within_a_limit(load: float, seconds: float) -> None:
    assert allowance(load, 2) == seconds
    assert Row("x", {}, "app", frozenset(), ()).bound + 15 < 30, "an end at once is told from one after the grace all the same"


def test_a_promotion_counts_from_the_end_of_the_fault() -> None:
    assert ended("", 150.0, [], phase="Succeeded", healed=120.0)[:2] == (Verdict.PROMOTED, 30.0)


POD: Object = {
    "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"containers": [{"name": "app", "image": "r/app:1"}, {"name": "mesh", "image": "r/mesh:1"}]},
}


def test_a_phantom_writes_a_status_once_and_again_only_when_it_says_something_else() -> None:
    well, ill = running(POD), waiting("ErrImagePull", 'cannot pull "{image}"')(POD)
    assert _differs({}, well)
    assert not _differs(well, running(POD))
    assert _differs(well, ill)
    said = [found["state"]["waiting"]["message"] for found in ill["containerStatuses"]]
    assert said == ['cannot pull "r/app:1"', 'cannot pull "r/mesh:1"']


def test_what_a_phantom_put_out_does_not_run_again() -> None:
    out = {**POD, "status": {"phase": "Failed", "reason": "Evicted"}}
    assert evicted_or(running)(out) == out["status"]
    assert evicted_or(running)(POD)["phase"] == "Running"


def test_a_placed_pod_goes_to_its_phantom_and_nowhere_else() -> None:
    found = placed({"containers": []}, "n", {"key": "other"})
    assert found["nodeSelector"] == {LABEL: "n"}
    assert [each["key"] for each in found["tolerations"]] == [LABEL, "other"]
