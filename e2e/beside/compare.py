"""Two stories side by side: every difference as one value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from e2e.beside.story import Object

ABSENT = "-"
NOTHING: tuple[object, ...] = (None, "", [], {})
"""An empty value and an absent one are the same to who reads an object."""
WHOLE = 2
"""Slashes in the path of a whole object: objects/MOMENT/NAME."""
SEQUENCES = ("phases", "weights", "iterations", "failed_checks", "routed", "promoted", "conditions", "replicas")


@dataclass(frozen=True)
class Difference:
    """`where` is a path (`objects/initialized/Service app/labels/app`); `theirs` and `ours` as short texts, `-` for what is not there."""

    scenario: str
    where: str
    theirs: str
    ours: str


@dataclass
class Compared:
    """The differences of a scenario, and how many single values of each aspect were the same."""

    scenario: str
    differences: list[Difference]
    equal: dict[str, int]


def compare(scenario: str, theirs: Object, ours: Object) -> Compared:
    """Everything in which two stories (as JSON) differ."""
    found = Compared(scenario, [], {})
    for aspect in SEQUENCES:
        _value(found, aspect, theirs[aspect], ours[aspect])
    _events(found, theirs["events"], ours["events"])
    _tree(found, "routes", theirs["routes"], ours["routes"])
    _hooks(found, theirs["hooks"], ours["hooks"])
    _alerts(found, theirs["alerts"], ours["alerts"])
    _tree(found, "objects", theirs["objects"], ours["objects"])
    _tree(found, "status", theirs["status"], ours["status"])
    _tree(found, "notes", theirs["notes"], ours["notes"])
    return found


def _value(found: Compared, where: str, theirs: Any, ours: Any) -> None:
    if theirs == ours or (theirs in NOTHING and ours in NOTHING):
        aspect = where.partition("/")[0]
        found.equal[aspect] = found.equal.get(aspect, 0) + 1
    else:
        found.differences.append(Difference(found.scenario, where, told(theirs), told(ours)))


def told(value: Any) -> str:
    """A value in few words."""
    if value is None or value == "":
        return ABSENT
    if isinstance(value, list) and all(not isinstance(item, (dict, list)) for item in value):
        return ", ".join(str(item) for item in value) or ABSENT
    return str(value)


def _events(found: Compared, theirs: list[list[str]], ours: list[list[str]]) -> None:
    """Events that only one side told; and the order of those that both did."""
    for event in theirs:
        if event not in ours:
            _value(found, f"events/{event[0]}", " ".join(event[1:]), None)
        else:
            _value(found, "events", event, event)
    for event in ours:
        if event not in theirs:
            _value(found, f"events/{event[0]}", None, " ".join(event[1:]))
    both = [event[-1] for event in theirs if event in ours]
    same = [event[-1] for event in ours if event in theirs]
    _value(found, "events/order", " → ".join(both), " → ".join(same))


def _hooks(found: Compared, theirs: Object, ours: Object) -> None:
    """Calls of each webhook: how many, with which headers, and every body that only one side sent."""
    for name in dict.fromkeys([*theirs, *ours]):
        one, other = (side.get(name) or {"count": 0, "bodies": [], "headers": []} for side in (theirs, ours))
        _value(found, f"hooks/{name}/count", one["count"], other["count"])
        if one["count"] and other["count"]:
            _value(found, f"hooks/{name}/headers", one["headers"], other["headers"])
        mine = list(other["bodies"])
        for body in one["bodies"]:
            twin = next((twin for twin in mine if _title(twin) == _title(body)), None)
            if twin is None:
                _value(found, f"hooks/{name}/body", _title(body), None)
            else:
                mine.remove(twin)
                _tree(found, f"hooks/{name}/body {_title(body)}", body, twin)
        for body in mine:
            _value(found, f"hooks/{name}/body", None, _title(body))


def _title(body: Object) -> str:
    """What tells the bodies of one hook apart: an event by its text, the others by the phase."""
    return str((body.get("metadata") or {}).get("eventMessage") or body["phase"])


def _alerts(found: Compared, theirs: list[Object], ours: list[Object]) -> None:
    for alert in theirs:
        twin = _twin(alert, ours)
        if twin is None:
            _value(found, "alerts", _said(alert), None)
        else:
            _tree(found, f"alerts/{_said(alert)}", alert, twin)
    for alert in ours:
        if _twin(alert, theirs) is None:
            _value(found, "alerts", None, _said(alert))


def _said(alert: Object) -> str:
    return str(alert["attachments"][0]["text"])


def _twin(alert: Object, others: list[Object]) -> Object | None:
    return next((other for other in others if _said(other) == _said(alert)), None)


def _tree(found: Compared, where: str, theirs: Any, ours: Any) -> None:
    """Differences leaf by leaf. Lists of named things are compared by name, an absent branch is one difference."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            _tree(found, f"{where}/{key}", theirs.get(key), ours.get(key))
        return
    if isinstance(theirs, list) and isinstance(ours, list):
        one, other = _by_name(theirs), _by_name(ours)
        if one is not None and other is not None and (one or other):
            _tree(found, where, one, other)
            return
        if len(theirs) == len(ours) and all(isinstance(item, (dict, list)) for item in [*theirs, *ours]):
            for index, (left, right) in enumerate(zip(theirs, ours, strict=True)):
                _tree(found, f"{where}/{index}", left, right)
            return
    if where.count("/") == WHOLE and where.startswith("objects/"):
        theirs, ours = (None if obj is None else "is there" for obj in (theirs, ours))
    _value(found, where, theirs, ours)


def _by_name(items: list[Any]) -> Object | None:
    names = [item.get("name") for item in items if isinstance(item, Mapping)]
    if len(names) != len(items) or not all(names) or len(set(names)) != len(names):
        return None
    return {str(item["name"]): item for item in items}
