"""Releases as kubectl tells them: what `kubectl describe canary` and `kubectl get events` show, held to `stories.txt` line by line.

UPDATE_STORIES=1 writes the file anew; what changed is then looked at in its diff.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from e2e.core.receiver import Receiver
from e2e.core.stage import Stage
from e2e.kube import until

GOLDEN = Path(__file__).with_name("stories.txt")
LINE = re.compile(r"^  (?P<type>Normal|Warning)\s+(?P<reason>\w+)\s+(?P<age>\S+(?: \(x\d+ over \S+\))?)\s+flagger\s+(?P<text>.*)$")
told: dict[str, list[str]] = {}


def kubectl(*arguments: str) -> str:
    return subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=True).stdout


def described(stage: Stage) -> list[str]:
    """The events of `kubectl describe`: type and text, with what differs from run to run replaced."""
    text = kubectl("-n", stage.namespace, "describe", "canary", stage.name)
    events = text.split("\nEvents:")[1].splitlines()
    found = [match for match in map(LINE.match, events) if match]
    assert len(found) == len([line for line in events if line.strip()]) - 2, text
    return [f"{match['type']:<8}{plain(stage, match['text'])}{' [again]' if '(x' in match['age'] else ''}" for match in found]


def plain(stage: Stage, text: str) -> str:
    text = text.replace(stage.namespace, "NAMESPACE").replace(stage.sandbox.registry, "REGISTRY")
    text = re.sub(r"\bapp(-primary)?-[0-9a-f]{8,10}(-[0-9a-z]{5})?\b", r"app\1-POD", text)
    text = re.sub(r"\b\d\d:\d\d:\d\dZ", "TIME", text)
    return re.sub(r"\b[0-9a-f]{9,10}\b", "REVISION", text)


@pytest.fixture(scope="module", autouse=True)
def golden() -> Iterator[None]:
    yield
    if os.environ.get("UPDATE_STORIES"):
        GOLDEN.write_text("".join(f"=== {name}\n" + "".join(f"{line}\n" for line in lines) + "\n" for name, lines in told.items()))


def holds(stage: Stage, name: str, begins: int) -> list[str]:
    """The story from its line `begins` on is as it was; the events are there in the order in which they came to be."""
    last = -1

    def settled() -> list[str] | None:
        nonlocal last
        lines = described(stage)
        before, last = last, len(lines)
        return lines if len(lines) == before else None

    time.sleep(1)
    lines = until(settled, 30, "no more events")
    told[name] = lines[begins:]
    if not os.environ.get("UPDATE_STORIES"):
        stories = dict(part.split("\n", 1) for part in GOLDEN.read_text().split("=== ")[1:])
        assert told[name] == stories[name].strip().splitlines()
    about = [event for event in stage.kube.items("Event", stage.namespace) if event["involvedObject"]["kind"] == "Canary"]
    events = [event for event in about if event["involvedObject"]["name"] == stage.name]
    by_time = sorted(events, key=lambda event: str(event["eventTime"]))
    assert [event["metadata"]["name"] for event in by_time] == sorted(event["metadata"]["name"] for event in events)
    assert not [pair for pair in pairwise(lines) if pair[0] == pair[1]]
    return lines


def gated(stage: Stage, receiver: Receiver) -> Stage:
    """A Canary with steps 30 and 60 and a gate before its promotion, which is open."""
    analysis = {
        "interval": "2s", "threshold": 2, "stepWeight": 30, "maxWeight": 60,
        "webhooks": [{"name": "ask us", "type": "confirm-promotion", "url": f"{receiver.url}/gate"}],
    }  # fmt: skip
    return stage.initialise(stage.canary(analysis=analysis), seconds=60)


# a Canary has 25 events at once and then one each 10 s: what is told of more releases in a row has gaps

def test_a_birth_a_good_release_and_one_whose_image_is_not_there(stage: Stage, receiver: Receiver) -> None:
    """Each story begins where the one before ended."""
    gated(stage, receiver)
    lines = holds(stage, "it is initialised", 0)
    stage.release("1.0.1")
    stage.phase("Succeeded", seconds=90)
    lines = holds(stage, "a good release", len(lines))
    stage.release("no-such-tag")
    stage.phase("Failed", seconds=90)
    holds(stage, "an image that is not there", len(lines))


def test_a_gate_that_is_closed_for_a_while(stage: Stage, receiver: Receiver) -> None:
    begins = len(described(gated(stage, receiver)))
    receiver.answers["/gate"] = 403
    stage.release("1.0.1")
    stage.phase("WaitingPromotion", seconds=90)
    asked = len(receiver.at("/gate"))
    until(lambda: len(receiver.at("/gate")) >= asked + 2, 30, "the gate to be asked again")
    receiver.answers["/gate"] = 200
    stage.phase("Succeeded", seconds=90)
    holds(stage, "a gate that is closed for a while", begins)


def test_a_person_aborts(stage: Stage, receiver: Receiver) -> None:
    begins = len(described(gated(stage, receiver)))
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 30, 60, "weight 30")
    kubectl("-n", stage.namespace, "annotate", "canary", stage.name, "flagger.app/abort=*")
    stage.phase("Failed", seconds=90)
    holds(stage, "a person aborts", begins)


def test_another_revision_in_the_middle(stage: Stage, receiver: Receiver) -> None:
    begins = len(described(gated(stage, receiver)))
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 30, 60, "weight 30")
    stage.release("1.0.2")
    stage.phase("Succeeded", seconds=120)
    holds(stage, "another revision in the middle", begins)


def test_containers_that_crash(stage: Stage) -> None:
    stage.initialise(stage.canary(), seconds=60)
    begins = len(described(stage))
    stage.change(containers=[{"name": "app", "image": f"{stage.sandbox.registry}/crasher:1.0.0"}])
    stage.phase("Failed", seconds=120)
    holds(stage, "containers that crash", begins)


def test_a_metric_that_is_too_low(stage: Stage) -> None:
    template = {
        "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "orders", "namespace": stage.namespace},
        "spec": {"provider": {"type": "prometheus", "address": stage.sandbox.prometheus_url}, "query": "vector(40)"},
    }  # fmt: skip
    stage.kube.apply(template)
    metrics = [{"name": "orders", "templateRef": {"name": "orders"}, "thresholdRange": {"min": 99}, "interval": "10s"}]
    analysis = {"interval": "2s", "threshold": 3, "stepWeight": 30, "maxWeight": 60, "metrics": metrics}
    stage.initialise(stage.canary(analysis=analysis), seconds=60)
    begins = len(described(stage))
    stage.release("1.0.1")
    stage.phase("Failed", seconds=120)
    holds(stage, "a metric that is too low", begins)
