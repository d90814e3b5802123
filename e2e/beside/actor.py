"""One application of a scenario, with one of the two controllers: what the script does to it, and what is written down meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx

from e2e.bench.controllers import Controller
from e2e.beside.story import Object, Story, Words, changes, distinct, name_of, routed, shape
from e2e.core.receiver import Received, Receiver
from e2e.kube import Kube, until
from e2e.recorder import Recorder, Seen
from e2e.releases import phase
from e2e.sandbox import Sandbox

SMI = "split.smi-spec.io/v1alpha2"
CONTOUR = "projectcontour.io/v1"
ROUTES = {"HTTPRoute": "", "HTTPProxy": CONTOUR, "TrafficSplit": SMI}
COMPARED = {"Deployment": "", "Service": "", "ConfigMap": "", "Secret": "", "ControllerRevision": "apps/v1", **ROUTES}
SEQUENCED = {"phase", "canaryWeight", "iterations", "failedChecks", "conditions"}
FLAGGERS_STATUS = (
    "lastAppliedSpec", "lastPromotedSpec", "trackedConfigs", "sessionAffinityCookie", "primarySessionAffinityCookie",
    "previousSessionAffinityCookie", "lastTransitionTime",
)  # fmt: skip
PATIENCE = 300.0
"""Seconds that a phase may take: Flagger's moves cost an interval of 10 s each."""


class Records:
    """Everything that happens in the namespace of one controller, from `with` on."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        kinds = {"Canary": "", "Event": "", "Deployment": "", **ROUTES}
        self.of = {kind: Recorder(kube, kind, namespace, api_version=version) for kind, version in kinds.items()}
        self._stack = ExitStack()

    def __enter__(self) -> Records:
        for recorder in self.of.values():
            self._stack.enter_context(recorder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def states(self, kind: str, name: str, since: float = 0.0) -> list[Seen]:
        return [seen for seen in self.of[kind].so_far() if seen.name == name and seen.at >= since]


@dataclass
class Actor:
    """What a script plays with. `name` is that of Deployment and Canary, equal for both controllers."""

    kube: Kube
    sandbox: Sandbox
    side: Controller
    records: Records
    receiver: Receiver
    name: str
    notes: dict[str, Any] = field(default_factory=dict)
    moments: dict[str, dict[str, Object]] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return self.side.namespace

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.example.com"

    @property
    def words(self) -> Words:
        return Words({self.receiver.url: "RECEIVER", self.namespace: "NAMESPACE"})

    # what a user does

    def apply(self, *objects: Object) -> None:
        self.kube.apply(*objects, namespace=self.namespace)

    def release(self, tag: str) -> None:
        """Another image, as a pipeline sets it."""
        self.kube.set_image(self.name, "app", self.image(tag), self.namespace)

    def image(self, tag: str) -> str:
        return f"{self.sandbox.registry}/toggle:{tag}"

    def hook(self, kind: str, **more: Any) -> Object:
        """A webhook of that type, to our receiver."""
        return {"name": kind, "type": kind, "url": self.address(kind), "timeout": "5s", "metadata": {"kind": kind}, **more}

    def address(self, path: str) -> str:
        return f"{self.receiver.url}/{self.name}/{path}"

    def answer(self, path: str, status: int) -> None:
        """From now on the receiver answers that path so."""
        self.receiver.answers[f"/{self.name}/{path}"] = status

    # what a user sees

    def phase(self, *wanted: str, seconds: float = PATIENCE) -> None:
        """Wait until the Canary is in one of these phases."""
        what = f"{self.side.name}: {self.name} {' or '.join(wanted)}"
        until(lambda: self.now_in() in wanted, seconds, what, self.said)

    def now_in(self) -> str:
        states = self.records.states("Canary", self.name)
        return phase(states[-1].obj) if states else ""

    def weight(self, wanted: str) -> None:
        """Wait until the route leads so much to the canary."""
        until(lambda: self.route() == wanted, PATIENCE, f"{self.side.name}: {self.name} at {wanted}", self.said)

    def route(self) -> str:
        states = [seen for kind in ROUTES for seen in self.records.states(kind, self.name)]
        return routed(states[-1].obj) if states else ""

    def event(self, part: str, seconds: float = PATIENCE) -> None:
        """Wait for an event whose text has this part."""
        until(lambda: any(part in text for text in self.said()), seconds, f"{self.side.name}: {self.name}: event {part!r}", self.said)

    def said(self) -> list[str]:
        return [event[-1] for event in self._events()]

    def asked(self, hook: str) -> int:
        """How often a hook was called so far."""
        return len(self.receiver.at(f"/{self.name}/{hook}"))

    def get(self, path: str = "/version", **headers: str) -> httpx.Response:
        """A request through the gateway."""
        sent = {"Host": self.host, **{key.replace("_", "-"): value for key, value in headers.items()}}
        return httpx.get(f"{self.sandbox.gateway_url}{path}", headers=sent, timeout=5, trust_env=False)

    def version(self, **headers: str) -> str:
        """Which version answers a request through the gateway."""
        return str(self.get(**headers).json()["version"])

    def note(self, name: str, value: Any) -> None:
        """Something that a visitor saw, to be compared."""
        self.notes[name] = self.words.of(value)

    def moment(self, name: str) -> None:
        """Write down every object of this application as it is now."""
        found: dict[str, Object] = {}
        for kind, version in COMPARED.items():
            for obj in self.kube.items(kind, self.namespace, api_version=version):
                own = obj["metadata"]["name"]
                if own == self.name or own.startswith(f"{self.name}-"):
                    found[name_of(kind, own, self.words)] = shape({"kind": kind, **obj}, self.words)
        self.moments[name] = found

    def settle(self, check: Callable[[], bool], what: str, seconds: float = 20) -> None:
        until(check, seconds, f"{self.side.name}: {self.name}: {what}", self.said)

    def replicas(self) -> int:
        return int(self.kube.get("Deployment", self.name, self.namespace)["spec"]["replicas"])

    def quiet(self, seconds: float = 2.0) -> None:
        """What a controller still writes after a change of phase comes within this time."""
        time.sleep(seconds)

    # what is compared

    def story(self) -> Story:
        """Everything that was seen from the first to now."""
        canaries = [seen.obj.get("status") or {} for seen in self.records.states("Canary", self.name) if not seen.gone]
        states = [seen for kind in ROUTES for seen in self.records.states(kind, self.name) if not seen.gone]
        told = [self._promoted(status) for status in canaries]
        words = self.words
        last = canaries[-1] if canaries else {}
        return Story(
            phases=changes(str(status["phase"]) for status in canaries if status.get("phase")),
            weights=changes(int(status.get("canaryWeight") or 0) for status in canaries),
            iterations=changes(int(status.get("iterations") or 0) for status in canaries),
            failed_checks=changes(int(status.get("failedChecks") or 0) for status in canaries),
            routed=changes(routed(seen.obj) for seen in states),
            routes={routed(seen.obj): shape({"kind": "", **seen.obj}, words).get("spec", {}) for seen in states},
            promoted=changes([words.text(text) for text in condition] for condition in told if condition),
            conditions=[str(condition["type"]) for condition in last.get("conditions") or ()],
            replicas=changes(int(seen.obj["spec"]["replicas"]) for seen in self.records.states("Deployment", self.name) if not seen.gone),
            events=distinct([words.text(text) for text in event] for event in self._events()),
            hooks=self._hooks(),
            alerts=[words.of(item.body) for item in self.receiver.at(f"/{self.name}/slack")],
            objects=self.moments,
            status={key: self._status_field(key, value) for key, value in last.items() if key not in SEQUENCED},
            notes=self.notes,
        )

    def _status_field(self, key: str, value: Any) -> Any:
        if key in FLAGGERS_STATUS and isinstance(value, str):
            return self.words.text(value) if "ookie" in key else "is there"
        return self.words.of(value) if key in FLAGGERS_STATUS else "is there"

    @staticmethod
    def _promoted(status: Object) -> list[str]:
        found = [c for c in status.get("conditions") or () if c["type"] == "Promoted"]
        return [str(found[0][key]) for key in ("status", "reason", "message")] if found else []

    def _events(self) -> list[list[str]]:
        found = []
        for seen in self.records.of["Event"].so_far():
            about = seen.obj["involvedObject"]
            if about["kind"] == "Canary" and about["name"] == self.name:
                source = (seen.obj.get("source") or {}).get("component") or seen.obj.get("reportingComponent") or ""
                found.append([seen.obj["type"], seen.obj["reason"], source, seen.obj["message"]])
        return distinct(found)

    def _hooks(self) -> dict[str, Object]:
        found: dict[str, Object] = {}
        for item in self.receiver.received:
            _, name, hook = [*item.path.split("/", 2), "", ""][:3]
            if name == self.name and hook != "slack":
                known = found.setdefault(hook, {"count": 0, "bodies": [], "headers": _headers(item)})
                body = self._body(item)
                known["count"] += 1
                if body not in known["bodies"]:
                    known["bodies"].append(body)
        return found

    def _body(self, item: Received) -> Object:
        body = dict(self.words.of(item.body))
        if body.get("checksum"):
            body["checksum"] = "CHECKSUM"
        if "timestamp" in (body.get("metadata") or {}):
            body["metadata"] = {**body["metadata"], "timestamp": "MILLISECONDS"}
        return body


TRANSPORT = ("host", "content-length", "user-agent", "accept", "accept-encoding", "connection")
"""Headers that every client sends of its own."""


def _headers(item: Received) -> list[str]:
    return sorted(name for name in item.headers if name not in TRANSPORT)
