"""A Canary as a row of the page's list: a small dict, made from the object as the API has it. Pure.

Made thousands of times when a page opens, so it reads the plain object; nothing here fails on what cannot be read. Only what is named
here leaves the controller: no annotations, no hooks, no queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flaggerpy.api import names
from flaggerpy.api.status import from_timestamp

Obj = dict[str, Any]

IDLE = ("Initialized", "Succeeded", "Failed")
UNDER_WAY = ("Initializing", "Waiting", "Progressing", "WaitingPromotion", "Promoting", "Finalising", "Terminating")
LONGEST_SENTENCE = 240


def row(obj: Mapping[str, Any]) -> Obj:
    """The row: `state` is one of releasing, held (a gate or a person), failed, idle; weights in percent, times in epoch seconds.

    Keys that have nothing to say are left out: with 5,000 rows each byte counts.
    """
    metadata, spec, status = _dict(obj.get("metadata")), _dict(obj.get("spec")), _dict(obj.get("status"))
    run, progress = _dict(status.get("run")), _dict(status.get("progress"))
    phase = str(status.get("phase") or "")
    weight = _number(status.get("canaryWeight"))
    cut = run.get("cut")
    paused = bool(run.get("paused"))
    images = status.get("promotedImages") if phase in ("Initialized", "Succeeded") else run.get("images") or status.get("appliedImages")
    found: Obj = {
        "ns": str(metadata.get("namespace") or ""),
        "name": str(metadata.get("name") or ""),
        "phase": phase,
        "state": state(phase, paused=paused or (bool(spec.get("suspend")) and phase not in IDLE)),
        "weight": _number(cut) if isinstance(cut, int) else weight,
        "wait": shortened(str(progress.get("waitingFor") or "")),
        "since": seconds(progress.get("since")),
        "cause": shortened(_cause(status)) if phase == "Failed" else "",
        "images": [short_image(str(image)) for image in images[:4]] if isinstance(images, list) else [],
        "at": seconds(status.get("lastTransitionTime")),
        "failed": _number(status.get("failedChecks")),
        "paused": paused or _pauses(metadata),
        "suspended": bool(spec.get("suspend")),
        "cut": isinstance(cut, int) and cut < weight,
    }
    return {key: value for key, value in found.items() if value or key in ("ns", "name", "phase", "state")}


def state(phase: str, *, paused: bool = False) -> str:
    """What a person sorts by: releasing, held, failed or idle."""
    if phase == "Failed":
        return "failed"
    if phase in ("Waiting", "WaitingPromotion") or (paused and phase in UNDER_WAY):
        return "held"
    return "releasing" if phase in UNDER_WAY else "idle"


def short_image(image: str) -> str:
    """An image for people: registry and path left out, a digest cut to twelve letters."""
    name, at, digest = image.rsplit("/", 1)[-1].partition("@")
    return f"{name}@{digest.removeprefix('sha256:')[:12]}" if at else name


def shortened(text: str, limit: int = LONGEST_SENTENCE) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def seconds(text: Any) -> float | None:
    """Epoch seconds of a time of the status; None where there is none that can be read."""
    try:
        return from_timestamp(text) if isinstance(text, str) and text else None
    except ValueError:
        return None


def _cause(status: Mapping[str, Any]) -> str:
    """Why the last release ended as it did."""
    history = status.get("history")
    entries = [_dict(entry) for entry in history] if isinstance(history, list) else []
    return str(max(entries, key=lambda entry: str(entry.get("ended") or "")).get("cause") or "") if entries else ""


def _pauses(metadata: Mapping[str, Any]) -> bool:
    return names.COMMAND_PAUSE in _dict(metadata.get("annotations"))


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
