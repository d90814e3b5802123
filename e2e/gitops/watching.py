"""What a release and its traffic looked like from without while a tool applied its manifests: every state of Canary, route and Service."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from e2e.core.stage import Stage
from e2e.kube import until
from e2e.recorder import Recorder


def runs_of(states: Iterable[Any]) -> list[Any]:
    """Each value once as long as it lasts."""
    found: list[Any] = []
    for each in states:
        if not found or found[-1] != each:
            found.append(each)
    return found


class Watching:
    """Recorded from entering to leaving."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._stack = ExitStack()
        self.canaries = Recorder(stage.kube, "Canary", stage.namespace)
        self.routes = Recorder(stage.kube, "HTTPRoute", stage.namespace)
        self.services = Recorder(stage.kube, "Service", stage.namespace)
        self.workloads = Recorder(stage.kube, stage.kind, stage.namespace)

    def __enter__(self) -> Self:
        for each in (self.canaries, self.routes, self.services, self.workloads):
            self._stack.enter_context(each)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def runs(self) -> list[str]:
        """The ids of the runs, in order."""
        found = (seen.obj.get("status", {}).get("run", {}).get("id") for seen in self.canaries.so_far())
        return runs_of(each for each in found if each)

    @property
    def weights(self) -> list[int]:
        """The canary's weight as the route had it."""
        found = []
        for seen in self.routes.so_far():
            backends = {each["name"]: each.get("weight", 1) for each in seen.obj["spec"]["rules"][0].get("backendRefs", ())}
            found.append(backends.get(f"{self.stage.name}-canary", 0))
        return runs_of(found)

    @property
    def selectors(self) -> list[dict[str, str]]:
        """Where the Service led to."""
        return runs_of(seen.obj["spec"].get("selector") for seen in self.services.so_far() if seen.name == self.stage.name)

    @property
    def strays(self) -> list[float]:
        """For how many seconds each time the Service led elsewhere than to the primary."""
        found, since = [], 0.0
        for seen in self.services.so_far():
            if seen.name == self.stage.name:
                home = seen.obj["spec"].get("selector") == {"app": f"{self.stage.name}-primary"}
                if home and since:
                    found.append(seen.at - since)
                since = 0.0 if home else since or seen.at
        return found

    @property
    def templates(self) -> list[str]:
        """The primary's images."""
        found = (seen.obj for seen in self.workloads.so_far() if seen.name == f"{self.stage.name}-primary")
        return runs_of(each["spec"]["template"]["spec"]["containers"][0]["image"] for each in found)

    def one_run_without_a_jump(self, *weights: int) -> None:
        """There was one run, whose weights went up step by step and back to nothing."""
        story = "\n".join(self.stage.texts())
        assert len(set(self.runs)) == 1, f"{self.runs}\n{story}"
        assert self.weights == list(weights or (0, 20, 40, 60, 0)), f"{self.weights}\n{story}"

    def fight(self, manager: str, rule: str, seconds: float = 30) -> None:
        """The condition Conflict comes, and names who and what to do."""

        def named() -> bool:
            told = self.stage.condition("Conflict")
            return told.get("status") == "True" and manager in told["message"] and rule in told["message"]

        until(named, seconds, f"the condition Conflict with {manager} and {rule!r}", self.stage.story)

    def writes(self, seconds: float) -> int:
        """So many changes of any of the four kinds are seen in that time. A workload's status is left out: it tells of pods."""
        before = self._changes()
        time.sleep(seconds)
        return self._changes() - before

    def _changes(self) -> int:
        written = {(seen.name, seen.obj["metadata"]["generation"]) for seen in self.workloads.so_far()}
        return len(written) + sum(len(each.so_far()) for each in (self.canaries, self.routes, self.services))
