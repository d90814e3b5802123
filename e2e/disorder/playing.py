"""Releases in the middle of disorder, recorded while they are played and judged afterwards: the promises that hold whatever happens.

No wrong promotion: the primary only ever gets what passed its checks. No lost request. No weight raised twice in one interval, none that
the plan does not have. No run that stands still without saying what it waits for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any

from e2e import releases
from e2e.core.receiver import Receiver
from e2e.core.stage import Load, Stage
from e2e.kube import Object, until
from e2e.recorder import Recorder, Seen

INTERVAL = 2.0
SLACK = 0.6
"""Seconds by which a watch may tell one raise late and the next in time."""
STEPS = [20, 40, 60, 0]
IDLE = ("", *releases.IDLE)


@dataclass(frozen=True)
class Wait:
    """The longest time that a run stood as it was, and what its status said of it."""

    seconds: float
    text: str


class Play:
    """An application with its Canary; `check` is the hook that decides about each step: set `receiver.answers["/check"]`."""

    def __init__(self, stage: Stage, receiver: Receiver) -> None:
        self.stage, self.receiver = stage, receiver
        self.lasted: dict[str, float] = {}
        self.allowed = [stage.image("1.0.0")]
        """The images that the primary may have, in order."""
        kube, namespace = stage.kube, stage.namespace
        self.routes = Recorder(kube, "HTTPRoute", namespace)
        self.canaries = Recorder(kube, "Canary", namespace)
        self.deployments = Recorder(kube, "Deployment", namespace)
        self._load: Load | None = None
        self._sent: dict[str, Any] = {}

    def __enter__(self) -> Play:
        for recorder in (self.routes, self.canaries, self.deployments):
            recorder.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._load is not None:
            self._load.__exit__(None, None, None)
        for recorder in (self.routes, self.canaries, self.deployments):
            recorder.__exit__(None, None, None)

    def begin(self, analysis: Object | None = None, **spec: Any) -> None:
        """Initialise, and send load from now on."""
        check = [{"name": "check", "type": "rollout", "url": f"{self.receiver.url}/check", "timeout": "5s"}]
        plain = {"interval": f"{INTERVAL:g}s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "webhooks": check}
        self.stage.initialise(self.stage.canary(analysis=analysis or plain, **spec))
        self._load = self.stage.load(rate=50).__enter__()

    def start(self, tag: str, *, passes: bool = True) -> None:
        """Ask for a release; `passes` is what its checks will say."""
        self.receiver.answers["/check"] = 200 if passes else 500
        if passes:
            self.allowed.append(self.stage.image(tag))
        self.lasted[tag] = -time.time()
        self.stage.release(tag)

    def over(self, tag: str) -> Object | None:
        """The status when the release has ended, by the newest entry of the history."""
        status = self.stage.status()
        newest = (status.get("history") or [{}])[0]
        return status if self.stage.image(tag) in newest.get("images", ()) and status.get("phase") in ("Succeeded", "Failed") else None

    def end(self, tag: str, outcome: str = "Succeeded", seconds: float = 150) -> Object:
        """Wait for the end of a release and return its status."""
        status = until(lambda: self.over(tag), seconds, f"the end of {tag}", self.stage.story)
        self.lasted[tag] += time.time()
        assert status["phase"] == outcome, self.stage.story()
        assert self.stage.weights() == {"app-primary": 100, "app-canary": 0}
        assert self.stage.replicas() == 0
        return status

    def release(self, tag: str, *, passes: bool = True, seconds: float = 150) -> None:
        """A release from the change of the image to its end, through the steps of its plan."""
        began = time.time()
        self.start(tag, passes=passes)
        self.end(tag, "Succeeded" if passes else "Failed", seconds)
        until(lambda: self.path(began) == (STEPS if passes else [20, 0]), 10, "the steps of the plan", lambda: self.path(began))

    def path(self, since: float) -> list[int]:
        """The weights that the canary was given since then, in order."""
        return [weight for at, weight in releases.weights(self.routes.so_far()) if at >= since]

    def end_load(self) -> None:
        """Requests from here on are not what the test is about."""
        assert self._load is not None
        self._load.__exit__(None, None, None)
        self._sent, self._load = self._load.result, None

    # --- the judgement -----------------------------------------------------------------------------------------------------------------

    def judge(self) -> dict[str, str | int | float]:
        """Assert the promises over all that was recorded; the figures."""
        if self._load is not None:
            self.end_load()
        load = self._sent
        images = promoted(self.deployments.so_far(), f"{self.stage.name}-primary")
        assert images == self.allowed, f"the primary had {images}, but only {self.allowed} passed"
        gaps = releases.raises(releases.weights(self.routes.so_far()))
        assert all(gap >= INTERVAL - SLACK for gap in gaps), gaps
        assert unnamed(self.canaries.so_far()) == [], "a run stands without saying what it waits for"
        assert load["lost"] == 0, load
        longest = standstill(self.canaries.so_far())
        return {
            "requests": int(load["sent"]),
            "lost": int(load["lost"]),
            "good release s": round(max((self.lasted[tag] for tag in self.lasted if self.stage.image(tag) in self.allowed), default=0), 1),
            "longest wait s": round(longest.seconds, 1),
            "told as": longest.text[:70],
        }


def promoted(deployments: Sequence[Seen], primary: str) -> list[str]:
    """The images that the primary had, in order."""
    found: list[str] = []
    for seen in deployments:
        if seen.name == primary and not seen.gone:
            image = str(seen.obj["spec"]["template"]["spec"]["containers"][0]["image"])
            if not found or found[-1] != image:
                found.append(image)
    return found


def _waits(seen: Seen) -> str:
    status = seen.obj.get("status") or {}
    stalled = [told["message"] for told in status.get("conditions") or () if told["type"] == "Stalled" and told["status"] == "True"]
    return str((status.get("progress") or {}).get("waitingFor") or "; ".join(stalled))


def unnamed(canaries: Sequence[Seen]) -> list[str]:
    """The phases in which a run was seen that did not say what it waits for."""
    return [releases.phase(seen.obj) for seen in canaries if releases.phase(seen.obj) not in IDLE and not _waits(seen)]


def standstill(canaries: Sequence[Seen]) -> Wait:
    """The longest time between two changes of the status of a run under way."""
    longest = Wait(0.0, "")
    for seen, following in pairwise(canaries):
        if releases.phase(seen.obj) not in IDLE and following.at - seen.at > longest.seconds:
            longest = Wait(following.at - seen.at, _waits(seen))
    return longest
