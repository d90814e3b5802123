"""Plays rows beside each other: everything that a release of a row did and said, to be judged or printed afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from e2e.catalogue.row import Row, Verdict
from e2e.catalogue.watched import Watched, pods_of
from e2e.core.commands import flaggerpy
from e2e.core.receiver import Receiver
from e2e.core.stage import Stage
from e2e.kube import Kube, Object, until
from e2e.recorder import Seen
from e2e.sandbox import Sandbox

AT_ONCE = 5
BUSY = 120.0
"""Seconds for what is not measured, while rows are played."""
END = 150.0
"""Seconds after its release, or after the fault ended, within which every row ends; a deadline comes on top."""


@dataclass
class Case:
    """A row that was played: what there was before, and when it was released and ended (epoch seconds)."""

    stage: Stage
    released: float
    primary: Object
    primary_pods: dict[str, str]
    old_pods: set[str]
    healed: float = 0.0
    """When the fault was ended; 0 where it was not."""
    ended: float = 0.0
    named: str = ""
    """What was said of a fault that was then ended."""
    describe: str = ""
    """What `flaggerpy describe` printed after the end; "" where nobody asked."""

    def pods(self, watched: Watched) -> list[Seen]:
        """All versions of the run's pods."""
        return [item for item in watched.pods(self.stage, self.stage.name) if item.name not in self.old_pods]


class Plays:
    """Plays rows in threads. A row that is asked for a second time (a rerun) is played anew. With `describes` each end is also described
    by the command."""

    def __init__(self, kube: Kube, sandbox: Sandbox, watched: Watched, describes: bool = False, at_once: int = AT_ONCE) -> None:
        self.kube, self.sandbox, self.watched, self.describes = kube, sandbox, watched, describes
        self.receiver = Receiver()
        self._pool = ThreadPoolExecutor(max_workers=at_once)
        self._started: dict[str, Future[Case]] = {}
        self._namespaces: dict[str, set[str]] = {}

    def start(self, row: Row) -> None:
        """Play it as soon as one of the threads is free. A row that wants to be alone is played when it is asked for."""
        if row.id not in self._started and not row.alone:
            self._started[row.id] = self._pool.submit(self._play, row, self._place(row))

    def case(self, row: Row) -> Case:
        """The row when it has ended. Raises AssertionError when it did not end in its time."""
        if row.alone:
            for other in list(self._started.values()):
                other.exception()  # waits for it: whoever asks for that row is told
            return self._play(row, self._place(row))
        self.start(row)
        return self._started.pop(row.id).result(timeout=600)

    def alerts(self, stage: Stage) -> list[str]:
        """What was said of a Canary."""
        # a sender that gave up on a busy machine may leave a request without its body
        told = [item.body["attachments"][0] for item in self.receiver.at("/chat") if "attachments" in item.body]
        return [item["text"] for item in told if item["author_name"] == f"{stage.name}.{stage.namespace}"]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self.receiver.close()
        for namespace in self._namespaces:
            self.kube.delete("Namespace", namespace)

    def _place(self, row: Row) -> str:
        """A namespace that has no Canary of this name: few, as each costs its deletion."""
        if row.namespace and not self.kube.find("Namespace", row.namespace):
            return self._namespace(row.namespace, row.name)
        for namespace, taken in self._namespaces.items():
            if row.name not in taken and not row.namespace:
                taken.add(row.name)
                return namespace
        return self._namespace(f"{row.namespace or 'pods'}-{os.getpid()}-{len(self._namespaces)}", row.name)

    def _namespace(self, namespace: str, name: str) -> str:
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self._namespaces[namespace] = {name}
        until(lambda: self.kube.find("ServiceAccount", "default", namespace), 15, f"the default service account of {namespace}")
        stage = Stage(self.kube, self.sandbox, namespace)
        self.kube.apply(chat(stage, self.receiver), settings(stage))
        return namespace

    def _play(self, row: Row, namespace: str) -> Case:
        stage = Stage(self.kube, self.sandbox, namespace, row.name)
        stage.host = f"{row.name}.{stage.host}"
        canary = stage.canary(provider=row.provider, podHealth=None)
        canary["spec"] = {name: value for name, value in (canary["spec"] | row.spec).items() if value is not None}
        for plan in {"analysis", "canaryAnalysis"} & set(canary["spec"]):
            canary["spec"][plan] = canary["spec"][plan] | {"alerts": [{"name": "chat", "providerRef": {"name": "chat"}}]}
        self.kube.apply(stage.deployment(replicas=row.replicas, **row.deployment), canary)
        self.watched.until_phase(stage, "Initialized", BUSY)
        primary = self.kube.get("Deployment", f"{stage.name}-primary", namespace)
        primary_pods = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods_of(stage, f"{stage.name}-primary")}
        if row.deadline:  # not before: the beginning of all rows at once may take longer
            self.kube.patch("Canary", row.name, {"spec": {"progressDeadlineSeconds": row.deadline}}, namespace)
        with row.around(stage) if row.around else nullcontext() as ground:
            case = Case(stage, time.time(), primary, primary_pods, {item.name for item in self.watched.pods(stage, stage.name)})
            stage.change(**row.pod)
            if row.during:
                row.during(stage, ground)
            if row.heal:
                self._heal(row, case, ground, time.time() if row.during else case.released)
            elif row.verdict is Verdict.PROMOTED:
                case.healed = time.time()
                case.ended = self.watched.until_phase(stage, "Succeeded", BUSY, case.released)
            else:
                case.ended = self.watched.until_phase(stage, "Failed", END + row.deadline, case.released)
        if self.describes:
            case.describe = flaggerpy(self.sandbox, "describe", stage.name, "-n", namespace).stdout
        return case

    def _heal(self, row: Row, case: Case, ground: Any, since: float) -> None:
        """End the fault once it was named after `since`, and wait for the promotion."""
        assert row.heal

        def said(obj: Object) -> str:
            return next((text for text in told(obj) if row.cause[0] in text), "")

        at = self.watched.until("Canary", case.stage, lambda obj: bool(said(obj)), f"somebody to say {row.cause[0]!r}", END, since)
        case.named = next(said(item.obj) for item in self.watched.of("Canary", case.stage) if item.at == at)
        case.healed = time.time()
        row.heal(case.stage, ground)
        case.ended = self.watched.until_phase(case.stage, "Succeeded", max(BUSY, row.bound), case.released)


def rows_of(items: Iterable[object]) -> list[Row]:
    """The rows that these pytest items are parametrised with."""
    return [value for item in items for value in getattr(getattr(item, "callspec", None), "params", {}).values() if isinstance(value, Row)]


def told(canary: Object) -> list[str]:
    """What the status of a Canary says of the pods: what is waited for, and the failures."""
    status = canary.get("status", {})
    failures = [failure.get("diagnosis", "") for failure in status.get("podFailures") or ()]
    return [(status.get("progress") or {}).get("waitingFor", ""), *failures]


def chat(stage: Stage, receiver: Receiver) -> Object:
    """An alert provider that tells the receiver."""
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
