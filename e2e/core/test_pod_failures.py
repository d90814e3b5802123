"""Pods that fail, on a real kubelet: every cause ends its release in its time and says why, and no request reaches what cannot answer.

The rows of `ROWS` are played beside each other, while the first tests run; a row is asserted when its turn comes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from e2e.core.controllers import Controller
from e2e.core.receiver import Receiver
from e2e.core.stage import PORT, Stage
from e2e.kube import Kube, Object, until
from e2e.recorder import Recorder, Seen
from e2e.sandbox import Sandbox
from e2e.sandbox.layout import REGISTRY

KINDS = {
    "Canary": "flagger.app/v1beta1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "TrafficSplit": "split.smi-spec.io/v1alpha2",
    "Pod": "v1",
}
CRASHED = {"CrashLoopBackOff", "Error"}
UNPULLED = {"ErrImagePull", "ImagePullBackOff"}
AT_ONCE = 5
BUSY = 120.0
"""Seconds for what is not measured, while rows are played."""
SLACK = 8.0
"""Seconds that a deadline may be late: pods flap between what two watches tell, and the way back is part of it."""
CUT = 3.0
"""Seconds from the kubelet's report to a route without the lost share: 0.15 on a quiet machine (docs/benchmarks.md), 1.2 on a busy one."""
NOWHERE = "127.0.0.1:9"
"""No registry listens there."""

# The analysis of the Canary that Flagger left in Progressing on ImagePullBackOff.
API: Object = {"interval": "3s", "threshold": 5, "stepWeight": 10, "metrics": [{"name": "request-success-rate", "threshold": 99}]}


def app(image: str = f"{REGISTRY}/toggle:1.0.1", **fields: Any) -> Object:
    """The main container of a release."""
    return {"name": "app", "image": image, **fields}


def crasher(name: str, after: str, **fields: Any) -> Object:
    """A container beside it that lives for a while and exits with 3."""
    env = [{"name": "AFTER", "value": after}, {"name": "CODE", "value": "3"}]
    return {"name": name, "image": f"{REGISTRY}/crasher:1.0.0", "env": env, **fields}


def quiet(name: str) -> Object:
    return crasher(name, "1h")


def key_of(kind: str, name: str, key: str) -> Object:
    return {"name": "SETTING", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}


@dataclass(frozen=True)
class Row:
    """A release that must fail.

    `pod` is the change of the pod template; `cause` are the words that history, conditions, event and alert must hold. `seconds` is the
    longest time from the kubelet's first word of a failure to Failed. With a `deadline` the release ends by that instead, and the words
    come with it. `spec` overrides fields of the Canary (None takes them out).
    """

    id: str
    pod: Object
    container: str
    reasons: set[str]
    cause: tuple[str, ...]
    seconds: float = 10
    deadline: int = 0
    replicas: int = 1
    canary: str = ""
    provider: str = "gatewayapi:v1"
    spec: Object = field(default_factory=dict)
    flaps: bool = False
    """The pod must have been Ready now and then, or the row proves nothing."""

    @property
    def name(self) -> str:
        """Of the Canary."""
        return self.canary or self.id

    @property
    def diagnosis(self) -> str:
        """What status.podFailures must say of the container: the cause itself, not that a deadline ran out."""
        return next(words for words in self.cause if "deadline" not in words)


ROWS = [
    # rule: a certain cause (diagnosis.TABLE) ends the run after certainGrace, from the first report
    Row(
        "image-missing",
        {"containers": [app(f"{REGISTRY}/toggle:9.9.9")]},
        "app", UNPULLED, (f"image {REGISTRY}/toggle:9.9.9 of container app does not exist",), replicas=2,
    ),
    Row(
        "configmap-key-missing",
        {"containers": [app(env=[key_of("configMap", "settings", "colour")])]},
        "app", {"CreateContainerConfigError"}, ("ConfigMap settings has no key colour, which container app needs",),
    ),
    Row(
        "secret-missing",
        {"containers": [app(env=[key_of("secret", "token", "value")])]},
        "app", {"CreateContainerConfigError"}, ("Secret token, which container app needs, does not exist",),
    ),
    Row(
        "wrong-command",
        {"containers": [app(command=["/nowhere"])]},
        "app", {"RunContainerError", "StartError"}, ("the command /nowhere of container app does not exist", "toggle:1.0.1"),
    ),
    # rule: a doubtful cause ends it after doubtfulGrace
    Row(
        "registry-out-of-reach",
        {"containers": [app(f"{NOWHERE}/toggle:1.0.1")]},
        "app", UNPULLED, (f"the registry {NOWHERE} refused the connection for image {NOWHERE}/toggle:1.0.1 of container app",), 40,
    ),
    # rule: crashes are counted per container, init containers and sidecars included (podhealth)
    Row(
        "main-crashes",
        {"containers": [app(env=[{"name": "CRASH_AFTER", "value": "1s"}])]},
        "app", CRASHED, ("container app crashes with exit code 1", "crashed 3 times"), 40,
    ),
    # rule: no traffic before all pods were ready without a restart for podHealth.settle, either
    Row(
        "sidecar-flaps",
        {"containers": [app(), crasher("mesh", "3s")]},
        "mesh", CRASHED, ("container mesh crashes with exit code 3", "crashed 3 times", "of 2 pods"), 40,
        replicas=2, flaps=True,
    ),
    Row(
        "init-crashes",
        {"initContainers": [crasher("setup", "0s")], "containers": [app()]},
        "setup", CRASHED, ("init container setup crashes with exit code 3", "crashed 3 times"), 40,
    ),
    Row(
        "native-sidecar-crashes",
        {"initContainers": [crasher("proxy", "1s", restartPolicy="Always")], "containers": [app()]},
        "proxy", CRASHED, ("sidecar container proxy crashes with exit code 3", "crashed 3 times"), 40,
    ),
    # rule: what only waits is named, and ends with progressDeadlineSeconds
    Row(
        "never-ready",
        {"containers": [app(env=[{"name": "UNREADY", "value": "1"}])]},
        "app", {"Unhealthy"}, ("progress deadline of 20s exceeded", "container app runs but does not pass its readiness probe"),
        deadline=20,
    ),
    Row(
        "unschedulable",
        {"containers": [app()], "nodeSelector": {"disk": "golden"}},
        "app", {"Unschedulable"}, ("progress deadline of 10s exceeded", "no node takes pod unschedulable-", "1 node(s) didn't match"),
        deadline=10,
    ),
    # Flagger's published cases: stuck in Progressing though the image cannot be pulled, or though one container of four crash-loops
    Row(
        "api-analysis",
        {"containers": [app(f"{REGISTRY}/api:2.0.0")]},
        "app", UNPULLED, (f"image {REGISTRY}/api:2.0.0 of container app does not exist",),
        canary="api", provider="linkerd", spec={"analysis": API, "progressDeadlineSeconds": None},
    ),
    Row(
        "api-canaryanalysis",
        {"containers": [app(f"{REGISTRY}/api:2.0.0")]},
        "app", UNPULLED, (f"image {REGISTRY}/api:2.0.0 of container app does not exist",),
        canary="api", provider="linkerd", spec={"analysis": None, "canaryAnalysis": API, "progressDeadlineSeconds": None},
    ),
    Row(
        "fourth-of-four",
        {"containers": [app(), quiet("two"), quiet("three"), crasher("four", "2s")]},
        "four", CRASHED, ("container four crashes with exit code 3", "of 2 pods"), 40,
        replicas=2, flaps=True, spec={"progressDeadlineSeconds": 180},
    ),
    # rule: short ready spells pause the deadline and never reset it
    Row(
        "fourth-to-the-deadline",
        {"containers": [app(), quiet("two"), quiet("three"), crasher("four", "3s")]},
        "four", CRASHED, ("progress deadline of 15s exceeded", "container four crashes with exit code 3"),
        deadline=15, replicas=2, flaps=True, spec={"podHealth": {"enabled": False}},
    ),
]  # fmt: skip


class Watched:
    """All that happened to the objects of some kinds in the whole cluster."""

    def __init__(self, kube: Kube) -> None:
        self._recorders = {kind: Recorder(kube, kind, "", api_version=version) for kind, version in KINDS.items()}

    def __enter__(self) -> Watched:
        for recorder in self._recorders.values():
            recorder.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for recorder in self._recorders.values():
            recorder.__exit__(None, None, None)

    def of(self, kind: str, stage: Stage) -> list[Seen]:
        """Every version of the object that has the stage's name."""
        return [item for item in self._recorders[kind].so_far() if _is(stage, item)]

    def pods(self, stage: Stage, label: str) -> list[Seen]:
        """Every version of the pods that have the label `app`."""
        return [
            item for item in self._recorders["Pod"].so_far()
            if item.obj["metadata"]["namespace"] == stage.namespace and item.obj["metadata"].get("labels", {}).get("app") == label
        ]  # fmt: skip

    def weights(self, stage: Stage) -> list[tuple[float, int]]:
        """Every weight that the canary ever had in its route, with the moment it was told."""
        return [(item.at, canary_weight(item.obj, stage.name)) for kind in ("HTTPRoute", "TrafficSplit") for item in self.of(kind, stage)]

    def until(self, kind: str, stage: Stage, check: Callable[[Object], bool], what: str, seconds: float, since: float = 0.0) -> float:
        """When an object of the stage's was first seen to fulfil a check after `since` (epoch seconds); waits for it."""
        found = self._recorders[kind].wait(lambda item: _is(stage, item) and item.at > since and check(item.obj), seconds)
        if found is None:
            raise AssertionError(f"not within {seconds:g} s: {what}\n{self.weights(stage)} since {since}\n{stage.story()}")
        return found.at

    def until_pod(self, stage: Stage, name: str, check: Callable[[Object], bool], what: str, since: float) -> float:
        """The same for a pod."""
        here = Stage(stage.kube, stage.sandbox, stage.namespace, name)
        return self.until("Pod", here, check, what, 15, since)

    def until_phase(self, stage: Stage, phase: str, seconds: float, since: float = 0.0) -> float:
        return self.until("Canary", stage, lambda obj: obj.get("status", {}).get("phase") == phase, f"phase {phase}", seconds, since)


def _is(stage: Stage, item: Seen) -> bool:
    return (item.obj["metadata"]["namespace"], item.name) == (stage.namespace, stage.name)


@dataclass
class Case:
    """A row that was played: what there was before, and when it was released and failed (epoch seconds)."""

    stage: Stage
    released: float
    primary: Object
    primary_pods: dict[str, str]
    old_pods: set[str]
    failed: float = 0.0

    def pods(self, watched: Watched) -> list[Seen]:
        """All versions of the run's pods."""
        return [item for item in watched.pods(self.stage, self.stage.name) if item.name not in self.old_pods]


class Plays:
    """Plays rows in threads. A row that is asked for a second time (a rerun) is played anew."""

    def __init__(self, kube: Kube, sandbox: Sandbox, watched: Watched) -> None:
        self.kube, self.sandbox, self.watched = kube, sandbox, watched
        self.receiver = Receiver()
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE)
        self._started: dict[str, Future[Case]] = {}
        self._namespaces: dict[str, set[str]] = {}

    def start(self, row: Row) -> None:
        self._started[row.id] = self._pool.submit(self._play, row, self._place(row.name))

    def case(self, row: Row) -> Case:
        if row.id not in self._started:
            self.start(row)
        return self._started.pop(row.id).result(timeout=300)

    def alerts(self, stage: Stage) -> list[str]:
        """What was said of a Canary."""
        told = [item.body["attachments"][0] for item in self.receiver.at("/chat")]
        return [item["text"] for item in told if item["author_name"] == f"{stage.name}.{stage.namespace}"]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self.receiver.close()
        for namespace in self._namespaces:
            self.kube.delete("Namespace", namespace)

    def _place(self, name: str) -> str:
        """A namespace that has no Canary of this name: few, as each costs its deletion."""
        for namespace, taken in self._namespaces.items():
            if name not in taken:
                taken.add(name)
                return namespace
        namespace = f"pods-{os.getpid()}-{len(self._namespaces)}"
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        until(lambda: self.kube.find("ServiceAccount", "default", namespace), 15, f"the default service account of {namespace}")
        stage = Stage(self.kube, self.sandbox, namespace)
        self.kube.apply(chat(stage, self.receiver), settings(stage))
        self._namespaces[namespace] = {name}
        return namespace

    def _play(self, row: Row, namespace: str) -> Case:
        kube, watched = self.kube, self.watched
        stage = Stage(kube, self.sandbox, namespace, row.name)
        stage.host = f"{row.name}.{stage.host}"
        canary = stage.canary(provider=row.provider, podHealth=None)
        canary["spec"] = {name: value for name, value in (canary["spec"] | row.spec).items() if value is not None}
        for plan in {"analysis", "canaryAnalysis"} & set(canary["spec"]):
            canary["spec"][plan] = canary["spec"][plan] | {"alerts": [{"name": "chat", "providerRef": {"name": "chat"}}]}
        kube.apply(stage.deployment(replicas=row.replicas), canary)
        watched.until_phase(stage, "Initialized", BUSY)
        primary = kube.get("Deployment", f"{stage.name}-primary", namespace)
        primary_pods = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods_of(stage, f"{stage.name}-primary")}
        if row.deadline:  # not before: the beginning of all rows at once may take longer
            kube.patch("Canary", row.name, {"spec": {"progressDeadlineSeconds": row.deadline}}, namespace)
        case = Case(stage, time.time(), primary, primary_pods, {item.name for item in watched.pods(stage, stage.name)})
        stage.change(**row.pod)
        case.failed = watched.until_phase(stage, "Failed", 90, case.released)
        return case


def chat(stage: Stage, receiver: Receiver) -> Object:
    return {
        "apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "chat", "namespace": stage.namespace},
        "spec": {"type": "slack", "channel": "c", "username": "u", "address": f"{receiver.url}/chat"},
    }  # fmt: skip


def settings(stage: Stage, **data: str) -> Object:
    """A ConfigMap that is not tracked: its change is no new release."""
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"size": "2", **data},
        "metadata": {"name": "settings", "namespace": stage.namespace, "annotations": {"flagger.app/config-tracking": "disabled"}},
    }  # fmt: skip


def pods_of(stage: Stage, label: str) -> list[Object]:
    return [pod for pod in stage.kube.items("Pod", stage.namespace, f"app={label}") if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod: Object) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod.get("status", {}).get("conditions", []))


def reports_failure(pod: Object) -> bool:
    """Whether the kubelet says in this pod's status that a container fails."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        state, last = container.get("state", {}), container.get("lastState", {})
        if state.get("waiting", {}).get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return True
        if any(end.get("terminated", {}).get("exitCode") for end in (state, last)):
            return True
    return False


def canary_weight(obj: Object, name: str) -> int:
    """The canary's share as an HTTPRoute or a TrafficSplit has it."""
    spec = obj["spec"]
    if obj["kind"] == "TrafficSplit":
        return sum(int(backend["weight"]) for backend in spec["backends"] if backend["service"] == f"{name}-canary")
    backends = [backend for rule in spec["rules"] for backend in rule.get("backendRefs", [])]
    return max((int(backend["weight"]) for backend in backends if backend["name"] == f"{name}-canary"), default=0)


@pytest.fixture(scope="module")
def watched(kube: Kube, controller: Controller) -> Iterator[Watched]:
    with Watched(kube) as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def plays(request: pytest.FixtureRequest, kube: Kube, sandbox: Sandbox, watched: Watched) -> Iterator[Plays]:
    """The rows that are to be tested, under way from now on."""
    opened = Plays(kube, sandbox, watched)
    wanted = [item.callspec.params["row"] for item in request.session.items if "row" in getattr(item, "fixturenames", ())]  # type: ignore[attr-defined]
    for row in wanted:
        opened.start(row)
    yield opened
    opened.close()


def test_a_fault_that_heals_within_its_grace_is_forgiven(stage: Stage) -> None:
    stage.kube.apply(settings(stage))
    stage.initialise(stage.canary(podHealth={"certainGrace": "60s", "settle": "2s"}), stage.deployment(replicas=1), BUSY)
    stage.change(containers=[app(env=[key_of("configMap", "settings", "colour")])])
    status = stage.until_status(lambda status: bool(status.get("podFailures")), BUSY, "the failure to be named")
    assert status["phase"] == "Progressing"
    assert "no key colour" in status["podFailures"][0]["diagnosis"]
    time.sleep(6)  # the default grace would be over
    assert stage.status()["phase"] == "Progressing"
    stage.kube.apply(settings(stage, colour="blue"))
    status = stage.phase("Succeeded", seconds=60)
    assert [entry["outcome"] for entry in status["history"]] == ["Succeeded", "Initialized"]
    assert not status.get("podFailures")


def test_a_promotion_that_fails_on_the_primary_gives_it_its_template_back(stage: Stage, watched: Watched) -> None:
    analysis = {"interval": "2s", "threshold": 2, "stepWeight": 40, "maxWeight": 40}
    stage.initialise(stage.canary(analysis=analysis), stage.deployment(replicas=1), BUSY)
    [before] = pods_of(stage, "app-primary")
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 40, BUSY, "weight 40")
    stage.kube.patch("Canary", "app", {"spec": {"progressDeadlineSeconds": 12}}, stage.namespace)
    # no room for the pod that a rolling update of the primary brings up first
    stage.kube.ask("POST", f"/api/v1/namespaces/{stage.namespace}/resourcequotas", {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}},
    })  # fmt: skip
    stage.phase("Promoting", seconds=20)
    status = stage.phase("Failed", seconds=60)
    cause = status["history"][0]["cause"]
    assert cause.startswith("promotion failed: ")
    for words in ("progress deadline of 12s exceeded", "no pod can be made: quota full is used up"):
        assert words in cause, cause
        says(words, "an event", stage.texts)
    assert stage.primary_image().endswith(":1.0.0")
    [after] = pods_of(stage, "app-primary")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert stage.weights() == {"app-primary": 100, "app-canary": 0}
    assert stage.replicas() == 0
    assert max(weight for _, weight in watched.weights(stage)) == 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_release_whose_pods_fail_ends_and_says_why(row: Row, plays: Plays, watched: Watched) -> None:
    case = plays.case(row)
    stage, pods = case.stage, case.pods(watched)
    in_time(row, case, pods, watched)
    assert not row.flaps or any(is_ready(item.obj) for item in pods), "no pod was ever Ready"
    nothing_moved(case, watched)
    status = stage.status()
    assert stage.condition("Ready")["status"] == "False"
    assert stage.condition("Stalled")["status"] == "True"
    assert stage.condition("Promoted")["status"] == "False"
    for words in row.cause:
        says(words, "the history", lambda: [entry["cause"] for entry in status["history"] if entry["outcome"] == "Failed"])
        says(words, "Ready", lambda: [stage.condition("Ready")["message"]])
        says(words, "Stalled", lambda: [stage.condition("Stalled")["message"]])
        says(words, "an event", stage.texts)
        says(words, "an alert", lambda: plays.alerts(stage))
    failures = [failure for failure in status["podFailures"] if failure["container"] == row.container]
    assert failures
    assert {failure["pod"] for failure in failures} <= {item.name for item in pods}
    for failure in failures:
        assert failure["reason"] in row.reasons
        assert row.diagnosis in failure["diagnosis"]
        assert "Try: kubectl" in failure["diagnosis"]


def says(words: str, who: str, told: Callable[[], list[str]]) -> None:
    """Events and alerts leave after the status, so they are waited for."""
    until(lambda: any(words in text for text in told()), 10, f"{who} that says {words!r}", told)


def in_time(row: Row, case: Case, pods: list[Seen], watched: Watched) -> None:
    if not row.deadline:
        took = case.failed - next(item.at for item in pods if reports_failure(item.obj))
        print(f"{row.id}: Failed {took:.1f} s after the kubelet's report, {case.failed - case.released:.1f} s after the release")
        assert took <= row.seconds, f"{took:.1f} s after the kubelet's report"
        return
    runs = [(item.at, item.obj.get("status", {}).get("run", {})) for item in watched.of("Canary", case.stage) if item.at > case.released]
    began = next(at for at, run in runs if run.get("deadline"))
    complete = stretches(pods)  # then the deadline stands still
    took = case.failed - began - complete
    print(f"{row.id}: Failed after {took:.1f} s of being incomplete, deadline {row.deadline} s")
    assert took <= row.deadline + SLACK, f"{took:.1f} s of being incomplete, {complete:.1f} s complete"
    assert case.failed - case.released - complete >= row.deadline, "before its deadline"


def stretches(pods: list[Seen]) -> float:
    """Seconds in which all pods of the run were Ready at once."""
    wanted = len({item.name for item in pods})
    ready: set[str] = set()
    since, total = None, 0.0
    for item in pods:
        ready = ready | {item.name} if is_ready(item.obj) and not item.gone else ready - {item.name}
        if len(ready) == wanted and since is None:
            since = item.at
        elif len(ready) < wanted and since is not None:
            total, since = total + item.at - since, None
    return total


def nothing_moved(case: Case, watched: Watched) -> None:
    """No weight for the canary at any time, the primary as it was, the target at zero."""
    stage = case.stage
    route = watched.weights(stage)
    assert route, "no version of the route was seen"
    assert {weight for _, weight in route} == {0}
    assert {item.obj.get("status", {}).get("canaryWeight", 0) for item in watched.of("Canary", stage)} == {0}
    primary = stage.kube.get("Deployment", f"{stage.name}-primary", stage.namespace)
    assert primary["metadata"]["generation"] == case.primary["metadata"]["generation"]
    assert primary["spec"] == case.primary["spec"]
    assert {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods_of(stage, f"{stage.name}-primary")} == case.primary_pods
    assert stage.replicas() == 0


class Lost:
    """Two canary pods at 40 %, told to fail; how fast the route follows is measured between two watches."""

    def __init__(self, stage: Stage, watched: Watched) -> None:
        self.stage, self.watched = stage, watched
        self.pods = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods_of(stage, "app")}
        assert len(self.pods) == 2

    def tell(self, order: str, *pods: str) -> float:
        """POST an order to pods (all, when none is named); answers the moment."""
        at = time.time()
        for name in pods or self.pods:
            httpx.post(f"http://{self.pods[name]}:{PORT}/{order}", timeout=5, trust_env=False)
        return at

    def until_weight(self, weight: int, since: float, seconds: float) -> float:
        """When the route was first seen with this weight after `since`; waits for it."""
        return self.watched.until(
            "HTTPRoute", self.stage, lambda obj: canary_weight(obj, self.stage.name) == weight, f"weight {weight}", seconds, since
        )  # fmt: skip

    def until_unready(self, since: float, *pods: str) -> float:
        """When the last of the pods was first seen as not Ready."""
        return max(
            self.watched.until_pod(self.stage, name, lambda obj: not is_ready(obj), f"{name} not to be Ready", since)
            for name in pods or self.pods
        )  # fmt: skip


def test_the_weight_leaves_lost_pods_at_once_and_the_run_goes_on(stage: Stage, watched: Watched) -> None:
    analysis = {"interval": "30s", "threshold": 2, "stepWeight": 40, "maxWeight": 40}
    stage.initialise(stage.canary(analysis=analysis))
    # slow to get ready again, so that two crashed pods are surely unready together
    began = time.time()
    stage.change(containers=[app(env=[{"name": "READY_AFTER", "value": "3s"}])])
    stage.until_status(lambda status: status.get("canaryWeight") == 40, 40, "weight 40")
    lost = Lost(stage, watched)
    lost.until_weight(40, began, 10)
    one = next(iter(lost.pods))

    at = lost.tell("unready", one)
    unready = lost.until_unready(at, one)
    cut = lost.until_weight(20, at, 10)
    print(f"one of two unready: route at 20 {cut - unready:.2f} s after its report")
    assert cut - unready <= CUT
    status = stage.status()
    assert (status["phase"], status["canaryWeight"], status["failedChecks"]) == ("Progressing", 40, 0)
    at = lost.tell("ready", one)
    lost.until_weight(40, at, 10)

    def all_lost(order: str) -> float:
        at = lost.tell(order)
        unready = lost.until_unready(at)
        cut = lost.until_weight(0, at, 10)
        print(f"{order}: route at 0 {cut - unready:.2f} s after the last pod's report")
        assert cut - unready <= CUT, f"after {order}"
        return cut

    all_lost("unready")
    assert stage.phase("Progressing", seconds=1)["canaryWeight"] == 0
    time.sleep(3)
    assert stage.weights()["app-canary"] == 0
    at = lost.tell("ready")
    lost.until_weight(40, at, 15)  # the first step again, after settle

    cut = all_lost("crash")
    lost.until_weight(40, cut, 20)
    assert stage.status()["phase"] == "Progressing"

    all_lost("unready")
    status = stage.phase("Failed", seconds=10)
    assert "all pods of the canary became unready 3 times" in status["history"][0]["cause"]
    assert stage.weights() == {"app-primary": 100, "app-canary": 0}
    until(lambda: stage.replicas() == 0, 10, "the target to be at zero")
