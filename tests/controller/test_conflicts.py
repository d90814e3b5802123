"""Fights over fields: when one is named, how long we rest, when it is over, and the rule that ends it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from flaggerpy.api.status import CanaryStatus
from flaggerpy.controller.conflicts import URGENT_REST, WINDOW, Conflicts, Thing, rule
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.worker import with_conflicts

KEY = Key("shop", "podinfo")
TEMPLATE = Thing("Deployment", "podinfo-primary", "spec.template")
SELECTOR = Thing("Service", "podinfo", "spec.selector")
SIZE = Thing("Deployment", "podinfo", "spec.replicas")
PAGE = (Path(__file__).parent.parent.parent / "docs" / "gitops.md").read_text()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def conflicts(clock: Clock) -> Conflicts:
    return Conflicts(clock)


def test_once_is_no_fight(conflicts: Conflicts) -> None:
    conflicts.undone(KEY, TEMPLATE, "kubectl-edit")
    assert conflicts.sentences(KEY) == ()
    assert conflicts.rest(KEY, TEMPLATE) == 0


def test_a_fight_is_named_and_fought_ever_less_often(conflicts: Conflicts, clock: Clock) -> None:
    rests = []
    for _ in range(9):
        clock.now += conflicts.rest(KEY, TEMPLATE)
        conflicts.undone(KEY, TEMPLATE, "reloader")
        rests.append(conflicts.rest(KEY, TEMPLATE))
    assert rests == [0, 5, 10, 20, 40, 80, 160, 300, 300]
    [sentence] = conflicts.sentences(KEY)
    assert sentence.startswith("reloader keeps setting spec.template of Deployment podinfo-primary")
    assert conflicts.next(KEY) == 300
    clock.now += WINDOW
    assert conflicts.sentences(KEY) == ()
    assert conflicts.rest(KEY, TEMPLATE) == 0
    assert conflicts.next(KEY) is None


def test_what_requests_hang_on_is_put_right_within_a_second(conflicts: Conflicts) -> None:
    for _ in range(20):
        conflicts.undone(KEY, SELECTOR, "argocd-controller", urgent=True)
    assert conflicts.rest(KEY, SELECTOR) == URGENT_REST
    assert conflicts.next(KEY) == URGENT_REST


def test_what_stands_is_named_until_it_is_over(conflicts: Conflicts, clock: Clock) -> None:
    conflicts.stands(KEY, SIZE, "argocd-controller")
    clock.now += 10 * WINDOW
    assert "at 0 between releases" in conflicts.sentences(KEY)[0]
    assert conflicts.next(KEY) is None
    conflicts.over(KEY, SIZE)
    assert conflicts.sentences(KEY) == ()


def test_canaries_and_fields_are_told_apart(conflicts: Conflicts) -> None:
    for _ in range(2):
        conflicts.undone(KEY, TEMPLATE, "one")
        conflicts.undone(KEY, SELECTOR, "two")
    assert len(conflicts.sentences(KEY)) == 2
    assert conflicts.sentences(Key("shop", "other")) == ()
    conflicts.forget(KEY)
    assert conflicts.sentences(KEY) == ()


@pytest.mark.parametrize(
    ("thing", "manager", "expected"),
    [
        (SIZE, "argocd-controller", "jsonPointers: [/spec/replicas]"),
        (SIZE, "argocd-controller", "RespectIgnoreDifferences=true"),
        (SELECTOR, "argocd-application-controller", "{kind: Service, name: podinfo, jsonPointers: [/spec/selector]}"),
        (SIZE, "kustomize-controller", "leave spec.replicas out of Git"),
        (SELECTOR, "kubectl-client-side-apply", "leave spec.selector out of what it applies"),
        (SELECTOR, "kustomize-controller", "kustomize.toolkit.fluxcd.io/reconcile: disabled"),
        (SIZE, "helm", "leave it out of the chart's template"),
        (SIZE, "helm-controller", "driftDetection.ignore [{paths: [/spec/replicas], target: {kind: Deployment, name: podinfo}}]"),
        (SIZE, "kubectl-client-side-apply", "leave spec.replicas out of what it applies"),
        (TEMPLATE, "kubectl-edit", "change the target and not podinfo-primary"),
        (Thing("HTTPRoute", "podinfo", "spec.rules"), "curl", "leave HTTPRoute podinfo to flaggerpy"),
    ],
)
def test_the_rule_is_the_tool_s_own(thing: Thing, manager: str, expected: str) -> None:
    assert expected in rule(thing, manager)


def test_the_page_shows_the_rules_that_the_condition_names() -> None:
    blocks = (yaml.safe_load_all(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    (application,) = (each for block in blocks for each in block if each["kind"] == "Application")
    for ignored in application["spec"]["ignoreDifferences"]:
        thing = Thing(ignored["kind"], ignored["name"], ignored["jsonPointers"][0].strip("/").replace("/", "."))
        told = yaml.safe_load(rule(thing, "argocd-controller").partition("ignoreDifferences ")[2].partition(" and ")[0])
        assert told == [ignored]
    assert f"`spec.driftDetection.ignore: {rule(SIZE, 'helm-controller').partition('ignore ')[2]}`" in PAGE


def test_the_condition_comes_with_the_first_fight_and_stays_false_after_the_last() -> None:
    status = with_conflicts(CanaryStatus(), (), 10.0)
    assert status.conditions == []
    fought = with_conflicts(status, ("a", "b"), 20.0)
    [condition] = fought.conditions
    assert (condition.type, condition.status, condition.reason, condition.message) == ("Conflict", "True", "FieldsDisputed", "a; b")
    assert with_conflicts(fought, ("a", "b"), 30.0) is fought, "nothing is written while nothing changes"
    [calm] = with_conflicts(fought, (), 40.0).conditions
    assert calm.status == "False"
    assert calm.last_transition_time != condition.last_transition_time
