"""Every difference of two stories is found, named by its path, and explained by a rule or not at all."""

from __future__ import annotations

from typing import Any

from e2e.beside.compare import Difference, compare
from e2e.beside.page import page, report
from e2e.beside.rules import RULES, Rule, rule_for
from e2e.beside.scenarios import SCENARIOS
from e2e.beside.story import Story

EVENT = ["Normal", "Synced", "flagger", "Promotion completed!"]


def found(theirs: dict[str, Any], ours: dict[str, Any]) -> list[tuple[str, str, str]]:
    compared = compare("x", {**Story().to_obj(), **theirs}, {**Story().to_obj(), **ours})
    return [(one.where, one.theirs, one.ours) for one in compared.differences]


def test_equal_stories_have_no_difference() -> None:
    full = {"phases": ["Initialized"], "events": [EVENT], "objects": {"end": {"Service a": {"labels": {"a": "b"}}}}}
    assert found(full, full) == []


def test_empty_and_absent_are_the_same() -> None:
    assert found({"objects": {"end": {"Service a": {"labels": {}}}}}, {"objects": {"end": {"Service a": {"finalizers": []}}}}) == []


def test_sequences_differ_as_a_whole() -> None:
    assert found({"phases": ["A", "B"]}, {"phases": ["A"]}) == [("phases", "A, B", "A")]


def test_objects_differ_by_leaf_and_named_things_by_name() -> None:
    one = {"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}}
    other = {"spec": {"containers": [{"name": "b", "image": "3"}, {"name": "a", "image": "1"}]}}
    objects = {"end": {"Deployment a": one, "Service gone": {"labels": {"a": "b"}}}}, {"end": {"Deployment a": other}}
    assert found({"objects": objects[0]}, {"objects": objects[1]}) == [
        ("objects/end/Deployment a/spec/containers/b/image", "2", "3"),
        ("objects/end/Service gone", "is there", "-"),
    ]


def test_events_differ_by_text_and_by_order() -> None:
    other = ["Warning", "Synced", "flagger", "Halt"]
    more = ["Normal", "Synced", "flagger", "more"]
    assert found({"events": [EVENT, other]}, {"events": [other, EVENT, more]}) == [
        ("events/Normal", "-", "Synced flagger more"),
        ("events/order", "Promotion completed! → Halt", "Halt → Promotion completed!"),
    ]


def test_alerts_are_compared_with_those_of_the_same_text() -> None:
    def alert(text: str, colour: str) -> dict[str, Any]:
        return {"attachments": [{"text": text, "color": colour}]}

    assert found({"alerts": [alert("a", "good"), alert("b", "x")]}, {"alerts": [alert("a", "bad")]}) == [
        ("alerts/a/attachments/0/color", "good", "bad"),
        ("alerts", "b", "-"),
    ]


def test_bodies_of_hooks_are_compared_with_those_of_the_same_event_one_by_one() -> None:
    def hooks(*phases: str) -> dict[str, Any]:
        bodies = [{"phase": phase, "metadata": {"eventMessage": "passed"}} for phase in phases]
        return {"hooks": {"event": {"count": len(bodies), "headers": [], "bodies": bodies}}}

    assert found(hooks("Succeeded", "Failed"), hooks("Succeeded", "Failed")) == []
    differs = found(hooks("Succeeded", "Progressing"), hooks("Succeeded", "Failed"))
    assert differs == [("hooks/event/body passed/phase", "Progressing", "Failed")]
    assert found(hooks("Succeeded", "Failed"), hooks("Succeeded")) == [("hooks/event/count", "2", "1"), ("hooks/event/body", "passed", "-")]


def test_a_rule_must_fit_the_whole_difference() -> None:
    rules = (Rule("Q-1", "why", r"events/Normal", "-", r".*more"), Rule("Q-2", "why", "phases", scenarios="y"))
    assert rule_for(Difference("x", "events/Normal", "-", "Synced flagger more"), rules) is rules[0]
    assert rule_for(Difference("x", "events/Normal", "-", "more or less"), rules) is None
    assert rule_for(Difference("x", "phases", "A", "B"), rules) is None
    assert rule_for(Difference("y", "phases", "A", "B"), rules) is rules[1]


def test_every_rule_is_a_regular_expression_with_a_reason() -> None:
    for rule in RULES:
        rule.explains(Difference("x", "y", "z", "w"))
        assert rule.why
        assert rule.number


def test_a_newer_image_is_told_as_what_it_is_and_not_as_lost_pods() -> None:
    told = "Synced flagger Cut restart.NAMESPACE canary weight to 0: "
    assert rule_for(Difference("restart", "events/Warning", "-", f"{told}the target has moved on to another revision")) is not None
    assert rule_for(Difference("restart", "events/Warning", "-", f"{told}no pod of restart is ready")) is None


def test_what_has_no_rule_is_in_the_report_and_a_page_can_be_written() -> None:
    name = next(iter(SCENARIOS))
    compared = [compare(name, {**Story().to_obj(), "phases": ["a very odd phase"]}, Story().to_obj())]
    assert "a very odd phase" in report(compared)
    assert name in page(compared)
