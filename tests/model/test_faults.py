"""Every fault is known by its name, and the real diagnosis knows it by its words."""

from __future__ import annotations

import pytest

from flaggerpy.model.faults import KINDS, Kind, UnknownFault, parse_fault
from flaggerpy.rollout.diagnosis import diagnose
from flaggerpy.rollout.facts import ContainerFacts, PodFacts


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.cause], ids=lambda kind: kind.name)
@pytest.mark.parametrize("age", [2.5, 5.0, 60.0])
def test_a_fault_of_a_container_has_the_cause_that_it_is_named_after(kind: Kind, age: float) -> None:
    assert kind.fate is not None
    container = kind.fate()(ContainerFacts(name="app", image="reg.test/team/app:1"), age)
    told = diagnose(PodFacts(name="p", containers=(container,), pull_secrets=("registry",)), container)
    if container.state == "running" or container.reason == "ImagePullBackOff":
        return
    assert told is not None
    assert told.cause == kind.cause


def test_a_fault_has_a_length_a_point_or_a_container() -> None:
    assert (parse_fault("registry-down=20").value, parse_fault("registry-down=20s").value) == (20.0, 20.0)
    assert parse_fault("errors-at=40%").value == 40.0
    assert parse_fault("crash-loop:sidecar").container == "sidecar"
    assert parse_fault("crash-loop:sidecar=5").text == "crash-loop:sidecar=5"
    assert parse_fault("image-missing").value is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image-mising", "there is no fault 'image-mising'; there are: image-missing"),
        ("errors-at", "needs the weight at which it begins, such as errors-at=40"),
        ("errors-at=much", "must be a number of percent"),
        ("errors-at=140", "within 0 and 100"),
        ("crash-loop=-1", "at least 0"),
        ("quota:app", "no fault of a container"),
    ],
)
def test_what_is_no_fault_is_told_why(text: str, words: str) -> None:
    with pytest.raises(UnknownFault, match=words):
        parse_fault(text)
