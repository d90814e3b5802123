"""The faults that a simulated release can meet, by the names that `flaggerpy simulate --fault` takes.

`NAME` lasts for good and `NAME=SECONDS` that long, counted from when it begins; a fault whose name ends with `-at` takes the point of
the release at which it begins: the canary's weight in percent, or the same share of the iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from flaggerpy.model.fates import Crashes, Fate, Waits, runs

Group = Literal["pods", "traffic", "gates", "people", "promotion"]


@dataclass(frozen=True)
class Kind:
    """A fault as the help tells it. `takes`: what follows the `=`, "seconds" (may be left out) or "percent"."""

    name: str
    group: Group
    about: str
    takes: Literal["seconds", "percent"] = "seconds"
    fate: Callable[[], Fate] | None = None
    """How a container of the new revision fares, for faults of a container."""
    pull: Literal["", "missing", "doubt"] = ""
    """What the registry says of the image when it is asked before the first pod; "" where it has the image."""
    cause: str = ""
    """The cause in the table of diagnoses that it must be recognised as; "" where none is."""


@dataclass(frozen=True)
class Fault:
    """A fault that was asked for. `value` in seconds or percent, None: for good. `container` "": the first one."""

    kind: Kind
    value: float | None = None
    container: str = ""

    @property
    def text(self) -> str:
        where = f":{self.container}" if self.container else ""
        return f"{self.kind.name}{where}{'' if self.value is None else f'={self.value:g}'}"


class UnknownFault(ValueError):
    """The text names no fault; the message says which there are, or what is missing."""


def _pull(code: str, tail: str) -> Callable[[], Fate]:
    text = f'{code}failed to pull and unpack image "{{image}}": failed to resolve reference "{{image}}": {tail}'
    return lambda: Waits("ErrImagePull", text)


def _registry(status: str) -> Callable[[], Fate]:
    return _pull("", f"pulling from host {{host}} failed with status code [manifests {{tag}}]: {status}")


_FATES: list[Kind] = [
    Kind("image-missing", "pods", "the registry has no such image or tag", pull="missing", cause="image-missing",
         fate=_pull("rpc error: code = NotFound desc = ", "{image}: not found")),
    Kind("image-denied", "pods", "the registry answers that access is denied", pull="doubt", cause="image-denied",
         fate=_pull("", "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope")),
    Kind("wrong-credentials", "pods", "the registry refuses the pull secret", pull="doubt", cause="pull-credentials",
         fate=_registry("401 Unauthorized")),
    Kind("wrong-platform", "pods", "the image is not for this kind of node", pull="missing", cause="image-platform",
         fate=lambda: Waits("ErrImagePull", 'failed to pull and unpack image "{image}": no match for platform in manifest: not found')),
    Kind("registry-down", "pods", "the registry refuses connections", pull="doubt", cause="pull-refused",
         fate=_pull("", "dial tcp {host}: connect: connection refused")),
    Kind("rate-limited", "pods", "the registry answers 429", pull="doubt", cause="pull-rate-limit",
         fate=_registry("429 Too Many Requests")),
    Kind("config-missing", "pods", "a ConfigMap that the pods need is not there", cause="config-missing",
         fate=lambda: Waits("CreateContainerConfigError", 'configmap "{name}-settings" not found')),
    Kind("no-command", "pods", "the command is not in the image", cause="command-missing",
         fate=lambda: Waits("RunContainerError", 'failed to create containerd task: exec: "/app/run": stat /app/run: no such file or '
                                                 "directory: unknown")),
    Kind("crash-loop", "pods", "the program exits with 1 a second after its start", cause="crash", fate=lambda: Crashes(1)),
    Kind("oom", "pods", "the kernel kills the program: out of memory", cause="crash-oom", fate=lambda: Crashes(137, "OOMKilled", 3.0)),
    Kind("never-ready", "pods", "the program runs and its readiness probe fails; with =SECONDS a slow start", fate=lambda: runs(None)),
]  # fmt: skip
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in [
        *_FATES,
        Kind("unschedulable", "pods", "no node has room for the pods"),
        Kind("quota", "pods", "a ResourceQuota refuses the pods: none is made"),
        Kind("pods-lost-at", "pods", "all pods of the canary turn unready at this weight, for half a minute", "percent"),
        Kind("errors-at", "traffic", "one request in ten fails from this weight on", "percent"),
        Kind("latency-at", "traffic", "requests get ten times slower from this weight on", "percent"),
        Kind("no-data", "traffic", "the metrics server answers, without a value"),
        Kind("metrics-down", "traffic", "the metrics server cannot be reached"),
        Kind("route-refused", "traffic", "the gateway's controller does not accept the route any more once it carries weight"),
        Kind("gate-closed", "gates", "the gates (confirm-* hooks) are closed"),
        Kind("check-fails", "gates", "the pre-rollout checks say no"),
        Kind("rollback-asked-at", "gates", "the rollback hook says yes at this weight", "percent"),
        Kind("abort-at", "people", "somebody types flaggerpy abort at this weight", "percent"),
        Kind("promote-at", "people", "somebody types flaggerpy promote at this weight", "percent"),
        Kind("skip-at", "people", "somebody types flaggerpy skip at this weight", "percent"),
        Kind("new-revision-at", "people", "somebody changes the image again at this weight", "percent"),
        Kind("promotion-fails", "promotion", "the primary's pods do not get ready with what was promoted"),
    ]
}


def parse_fault(text: str) -> Fault:
    """The fault of a text such as `errors-at=40`, `registry-down=20` or `crash-loop:sidecar`. Raises UnknownFault."""
    named, mark, number = text.partition("=")
    name, _, container = named.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise UnknownFault(f"there is no fault {name!r}; there are: {', '.join(KINDS)}")
    if container and kind.fate is None:
        raise UnknownFault(f"{name} is no fault of a container")
    if kind.takes == "percent" and not mark:
        raise UnknownFault(f"{name} needs the weight at which it begins, such as {name}=40")
    try:
        value = float(number.removesuffix("s").removesuffix("%")) if mark else None
    except ValueError:
        raise UnknownFault(f"{text!r}: what follows = must be a number of {kind.takes}") from None
    if value is not None and (value < 0 or (kind.takes == "percent" and value > 100)):
        raise UnknownFault(f"{text!r}: what follows = must be {'within 0 and 100' if kind.takes == 'percent' else 'at least 0'}")
    return Fault(kind, value, container)
