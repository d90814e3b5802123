"""The judgement of Argo CD and Flux on objects, by their own code: two programs of Go that the sandbox's table builds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from e2e.sandbox.build import program

Obj = dict[str, Any]
SETTINGS = Path(__file__).parents[3] / "deploy" / "argocd" / "argocd-cm.yaml"


@dataclass(frozen=True)
class Verdict:
    """What a tool says of an object: its word (Healthy, Degraded, ...; Current, InProgress, Failed, ...), and its sentence."""

    status: str
    message: str = ""


@dataclass(frozen=True)
class Difference:
    """How Argo CD compares Git and cluster: `changed` has the fields in which `wanted`, what a sync would make, differs from `live`."""

    modified: bool
    changed: tuple[str, ...]
    wanted: Obj = field(default_factory=dict)


def settings() -> dict[str, str]:
    """The data of our argocd-cm."""
    data: dict[str, str] = yaml.safe_load(SETTINGS.read_text())["data"]
    return data


def _ask(name: str, questions: object) -> Any:
    done = subprocess.run([str(program(name, name))], input=json.dumps(questions), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kstatus(objects: Iterable[Obj]) -> list[Verdict]:
    """What Flux waits by."""
    return [Verdict(each["status"], each["message"]) for each in _ask("kstatus", list(objects))]


def _argo(cm: Mapping[str, str], **questions: object) -> Any:
    return _ask("argo-judge", {"settings": cm, **questions})


def health(objects: Iterable[Obj], cm: Mapping[str, str]) -> list[Verdict]:
    """Argo CD's health by the settings `cm`, {} for what it knows by itself. AssertionError when the script fails."""
    found = _argo(cm, health=list(objects))["health"]
    assert not (failed := [each["error"] for each in found if each.get("error")]), failed
    return [Verdict(each.get("status", ""), each.get("message", "")) for each in found]


def actions(objects: Iterable[Obj], cm: Mapping[str, str]) -> list[dict[str, bool]]:
    """The buttons of each object, and whether they may be pressed."""
    found = _argo(cm, actions=list(objects))["actions"]
    assert not (failed := [each["error"] for each in found if each.get("error")]), failed
    return [each["actions"] for each in found]


def act(action: str, objects: Iterable[Obj], cm: Mapping[str, str]) -> list[Obj]:
    """Each object after a button was pressed."""
    found = _argo(cm, act=[{"action": action, "object": obj} for obj in objects])["act"] or []
    assert not (failed := [each["error"] for each in found if each.get("error")]), failed
    return [each["object"] for each in found]


def differences(pairs: Sequence[tuple[Obj, Obj]], ignore: Sequence[Obj] = (), cm: Mapping[str, str] | None = None) -> list[Difference]:
    """Of (what Git has, what the cluster has): how Argo CD compares them, with spec.ignoreDifferences of an Application."""
    asked = [{"target": target, "live": live} for target, live in pairs]
    answers = _argo(cm or {}, diff=asked, ignore=list(ignore))["diff"]
    assert not (failed := [each["error"] for each in answers if each.get("error")]), failed
    return [Difference(each.get("modified", False), tuple(_changed(each["live"], each["wanted"])), each["wanted"]) for each in answers]


def _changed(live: Any, wanted: Any, path: str = "") -> Iterable[str]:
    if live == wanted:
        return
    if not isinstance(live, dict) or not isinstance(wanted, dict):
        yield path
        return
    for name in sorted({*live, *wanted}):
        yield from _changed(live.get(name), wanted.get(name), f"{path}.{name}" if path else name)
