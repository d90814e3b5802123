"""The Canaries that change hands: brought to their phases under Flagger, looked at before and after, and what was lost meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

from e2e import releases
from e2e.bench.load import Load
from e2e.core.receiver import Receiver
from e2e.kube import Kube, Object, told_at, until
from e2e.recorder import Recorder
from e2e.sandbox import Sandbox
from e2e.sandbox.console import say
from e2e.takeover.cases import LOADED, Case, canary, deployment, users_objects

CONTOUR = "projectcontour.io/v1"
PATIENCE = 240.0
"""Seconds that Flagger may take for a way of some looks, 10 s each."""
RATE = 25.0
NEW_ANALYSIS = "New revision detected"


@dataclass(frozen=True)
class State:
    """How one Canary stands. `pods`: uid to restarts, of those that are not ending; `weight` the route's, of the canary."""

    phase: str
    weight: int
    pods: dict[str, int]
    hashes: tuple[str, str]


@dataclass(frozen=True)
class Changed:
    """What became different: pods that were made anew or restarted, Canaries with an analysis that began, and moved weights."""

    restarts: list[str]
    analyses: list[str]
    weights: list[str]
    phases: list[str]


@dataclass(frozen=True)
class Watched:
    """All that was told of the fleet's pods and routes from one moment on: what came and went in between is in it."""

    pods: Recorder
    routes: Recorder
    proxies: Recorder


class Fleet:
    """`with Fleet(kube, sandbox, namespace, cases) as fleet`: load and receiver for as long. `address` is where gates listen."""

    def __init__(self, kube: Kube, sandbox: Sandbox, namespace: str, cases: Sequence[Case], address: str = "127.0.0.1") -> None:
        self.kube, self.sandbox, self.namespace, self.cases = kube, sandbox, namespace, cases
        self.receiver = Receiver(address)
        self.loads: dict[str, Load] = {}
        self._stack = ExitStack()
        for case in cases:
            if case.gate:
                self.close_gate(case.name)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
        self.receiver.close()
        for case in self.cases:
            self.kube.delete("Canary", case.name, self.namespace)

    # what people do

    def host(self, name: str) -> str:
        return f"{name}.{self.namespace}.example.com"

    def image(self, tag: str) -> str:
        return f"{self.sandbox.registry}/toggle:{tag}"

    def close_gate(self, name: str) -> None:
        self.receiver.answers[f"/{name}"] = 403

    def open_gate(self, name: str) -> None:
        self.receiver.answers.pop(f"/{name}", None)

    def release(self, name: str, tag: str) -> None:
        self.kube.set_image(name, "app", self.image(tag), self.namespace)

    def bring(self) -> None:
        """All to their phases, by whatever controller runs; those that cannot be held come last, and are there when it returns."""
        self.bring_held()
        self.bring_late()

    def bring_held(self) -> None:
        """All to their phases; those that cannot be held to the gate before it."""
        for case in self.cases:
            host = self.host(case.name)
            self.kube.apply(*users_objects(case, host), deployment(case, self.image(case.tag)), namespace=self.namespace)
            self.kube.apply(canary(case, host, f"{self.receiver.url}/{case.name}"), namespace=self.namespace)
        for case in self.cases:
            self.phase(case.name, "Initialized")
        say(f"  {len(self.cases)} Canaries are initialised")
        for case in self.cases:
            if case.release:
                self.release(case.name, case.release)
        for case in self.cases:
            if case.weight:
                # the gate before this weight is passed, the next one is not
                self._through_gates(case)
        for case in self.cases:
            self.phase(case.name, case.phase if case.held else "WaitingPromotion")

    def bring_late(self) -> None:
        late = [case for case in self.cases if not case.held]
        for case in late:
            self.open_gate(case.name)
        for case in late:
            self.phase(case.name, case.phase)

    def finish(self) -> None:
        """All gates are opened: what is under way goes on to its end, and only that."""
        for case in self.cases:
            self.open_gate(case.name)
        for case in self.cases:
            self.phase(case.name, "Succeeded" if case.release and case.phase != "Failed" else case.phase, seconds=120)

    def _through_gates(self, case: Case) -> None:
        if case.gate == "confirm-traffic-increase":
            self.open_gate(case.name)
            until(lambda: self.weight(case) >= case.weight, PATIENCE, f"{case.name} at {case.weight}%", lambda: self.canary(case.name))
            self.close_gate(case.name)

    def start_load(self) -> None:
        for case in self.cases:
            if case.name in LOADED:
                self.loads[case.name] = self._stack.enter_context(Load(self.sandbox, self.host(case.name), RATE, patience="15s"))

    def stop_load(self) -> tuple[int, int]:
        """Requests sent and lost since `start_load`. One that never got as far as Envoy says nothing about who was behind it."""
        self._stack.close()
        loads, self.loads = self.loads, {}
        unsent = 0
        for name, load in loads.items():
            unsent += sum(times for text, times in load.errors.items() if "dial tcp" in text)
            when = [time.strftime("%H:%M:%S", time.localtime(one.at)) for one in load.counted if one.lost]
            if when:
                say(f"  {name}: lost {load.errors} at {', '.join(when)}")
        return sum(load.sent for load in loads.values()) - unsent, sum(load.lost for load in loads.values()) - unsent

    # what people see

    def canary(self, name: str) -> Object:
        return self.kube.get("Canary", name, self.namespace)

    def status(self, name: str) -> Object:
        found: Object = self.canary(name).get("status") or {}
        return found

    def phase(self, name: str, *wanted: str, seconds: float = PATIENCE) -> None:
        def there() -> bool:
            return releases.phase(self.canary(name)) in wanted

        until(there, seconds, f"{name} {' or '.join(wanted)}", lambda: self.status(name))

    def weight(self, case: Case) -> int:
        """The canary's share in its route; 0 where Services are all there is."""
        if case.provider == "kubernetes":
            return 0
        kind, version = ("HTTPProxy", CONTOUR) if case.provider == "contour" else ("HTTPRoute", "")
        route = self.kube.find(kind, case.name, self.namespace, version)
        return 0 if route is None else _canary_weight(route)

    def pods(self, name: str) -> dict[str, int]:
        found = [*self.kube.items("Pod", self.namespace, f"app={name}"), *self.kube.items("Pod", self.namespace, f"app={name}-primary")]
        living = [pod for pod in found if not _ends(pod)]
        return {pod["metadata"]["uid"]: _restarts(pod) for pod in living}

    def states(self) -> dict[str, State]:
        return {case.name: self._state(case) for case in self.cases}

    def _state(self, case: Case) -> State:
        status = self.status(case.name)
        hashes = (str(status.get("lastAppliedSpec")), str(status.get("lastPromotedSpec")))
        return State(str(status.get("phase")), self.weight(case), self.pods(case.name), hashes)

    def texts(self, name: str, since: float) -> list[str]:
        """Texts of events about a Canary that were told since then (epoch seconds)."""
        return [event["message"] for event in self.kube.events(self.namespace, name) if told_at(event) >= since]

    @contextmanager
    def watched(self) -> Iterator[Watched]:
        pods, routes = Recorder(self.kube, "Pod", self.namespace), Recorder(self.kube, "HTTPRoute", self.namespace)
        with pods, routes, Recorder(self.kube, "HTTPProxy", self.namespace, api_version=CONTOUR) as proxies:
            yield Watched(pods, routes, proxies)

    def changed(self, before: dict[str, State], since: float, watched: Watched) -> Changed:
        """What became of them since `before`, which was seen at `since` (epoch seconds). What cannot be held may have moved on."""
        after = self.states()
        held = {case.name: case for case in self.cases if case.held}
        known = {uid: restarts for state in before.values() for uid, restarts in state.pods.items()}
        pods = [seen for seen in watched.pods.so_far() if seen.at >= since and not seen.gone and not _ends(seen.obj)]
        restarts = {seen.name for seen in pods if _restarts(seen.obj) > known.get(seen.obj["metadata"]["uid"], _had(seen.obj, since))}
        begun = [f"{name}: {text}" for name in after for text in self.texts(name, since) if text.startswith(NEW_ANALYSIS)]
        weights = {
            f"{seen.name}: {before[seen.name].weight} → {_canary_weight(seen.obj)}"
            for recorder, provider in ((watched.routes, "gatewayapi:v1"), (watched.proxies, "contour"))
            for seen in recorder.so_far()
            if seen.name in held and held[seen.name].provider == provider and seen.at >= since
            if _canary_weight(seen.obj) != before[seen.name].weight
        }
        phases = [f"{name}: {before[name].phase} → {after[name].phase}" for name in held if before[name].phase != after[name].phase]
        return Changed(sorted(restarts), begun, sorted(weights), phases)

    def adopted(self) -> bool:
        """Every status is flaggerpy's."""
        return all("observedGeneration" in self.status(case.name) for case in self.cases)


def _canary_weight(route: Object) -> int:
    """Of an HTTPRoute or an HTTPProxy, the canary's share among everybody's requests: of A/B the last rule is that of everybody."""
    spec = route["spec"]
    backends: list[Any] = spec["routes"][0]["services"] if "routes" in spec else spec["rules"][-1]["backendRefs"]
    return max((int(each.get("weight") or 0) for each in backends if each["name"].endswith("-canary")), default=0)


def _ends(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _restarts(pod: Object) -> int:
    return sum(int(each.get("restartCount") or 0) for each in (pod.get("status") or {}).get("containerStatuses") or ())


def _had(pod: Object, since: float) -> int:
    """Restarts of a pod that was not among those before: -1 for one that was made since, 0 for one that was on its way out by then."""
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"].replace("Z", "+00:00")).timestamp()
    return -1 if created >= since else 0


def now() -> float:
    """Epoch seconds, cut to the second as the API server's notes are."""
    return float(int(time.time()))
