"""What a failing container means, for a person who is woken at night: the table of `causes`, filled in for one container of one pod."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flaggerpy.rollout.causes.cause import Cause, Class
from flaggerpy.rollout.causes.table import BY_ID, TABLE
from flaggerpy.rollout.causes.words import PULL
from flaggerpy.rollout.facts import ContainerFacts, PodFacts


@dataclass(frozen=True)
class Diagnosis:
    """A cause, filled in for one container of one pod. `message` is the kubelet's own, normalised."""

    cause: str
    class_: Class
    reason: str
    message: str
    what: str
    means: str
    advice: str
    command: str
    quiet: bool = False

    @property
    def text(self) -> str:
        """What happened and what it means, as one sentence."""
        return f"{self.what}: {self.means}"


_VOLATILE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "UID"),
    (re.compile(r"(?<!sha256:)(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])"), "ID"),
    (re.compile(r"(?P<verb>read|write) (?P<net>udp|tcp)[46]? \S+:\d+->"), r"\g<verb> \g<net> FROM->"),
    (re.compile(r"\bback-off (?:\d+h)?(?:\d+m)?(?:\d+(?:\.\d+)?s)?\s*(?=restarting)", re.IGNORECASE), "back-off "),
    (re.compile(r"/proc/\d+/"), "/proc/PID/"),
    (re.compile(r"\bcontainerd-mount\d+"), "containerd-mount"),
    (re.compile(r"\bpid[= ]\d+", re.IGNORECASE), "pid PID"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"\s+"), " "),
)
# In a pull's message all that comes from the user's own names, so that an image called `timeout` or a tag `503` is no cause.
_NAMES = re.compile(r'"[^"]*"|\[(?:manifests|blobs) [^\]]*\]|(?<=from host )\S+|\S+(?=: not found)')
_PREEMPTION = re.compile(r"\.? (?:no new claims to deallocate, )?preemption: .*\Z")
"""What the scheduler adds to why no node fits: whom it cannot put out instead, which helps nobody."""
_PULL_REASON = re.compile(rf"(?:{PULL})\Z")
_DISTURBING = frozenset(
    {"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedCreatePodSandbox", "NetworkNotReady"}
)
_POD_ENDS = BY_ID["evicted"], BY_ID["node-shutdown"], BY_ID["pod-rejected"]


def normalised(message: str) -> str:
    """The kubelet's text without what differs from one try to the next: container ids, UIDs, local ports, pids, back-off times.

    Equal failures then give equal texts, and a status is not written for nothing. Digests of images stay.
    """
    for pattern, replacement in _VOLATILE:
        message = pattern.sub(replacement, message)
    return message.strip()


def shortened(message: str, limit: int) -> str:
    """At most `limit` characters: head and tail stay, as the cause stands at the end of what a runtime says."""
    if len(message) <= limit:
        return message
    head = limit // 3
    return f"{message[:head]}…{message[len(message) - (limit - head - 1) :]}"


def recognise(reason: str, message: str, pod: PodFacts | None = None) -> tuple[Cause, re.Match[str] | None]:
    """The cause of a waiting or terminated reason with its message; crashes are told by their exit code instead (`ended`).

    With its pod a refused pull is told apart by the pull secrets that the pod names.
    """
    if _PULL_REASON.match(reason):
        message = _NAMES.sub("NAME", message)
    for cause in TABLE:
        if cause.cls == "crash" or not cause.match_reason.match(reason):
            continue
        found = cause.match_message.search(message)
        if found:
            return _with_secrets(cause, found, pod) if pod else (cause, found)
    return BY_ID["unknown"], None


def _with_secrets(cause: Cause, found: re.Match[str], pod: PodFacts) -> tuple[Cause, re.Match[str]]:
    """A refused pull with what is known of the pod's pull secrets: none named, or one that does not exist (the kubelet's event)."""
    if cause.id not in ("pull-credentials", "pull-forbidden", "image-denied"):
        return cause, found
    missing = BY_ID["pull-secret-missing"]
    for reason, message in pod.events:
        told = missing.match_message.search(message) if reason == "FailedToRetrieveImagePullSecret" else None
        if told:
            return missing, told
    return (BY_ID["pull-no-credentials"], found) if cause.id == "pull-credentials" and not pod.pull_secrets else (cause, found)


def ended(code: int, reason: str) -> Cause:
    """The cause of an end with an exit code other than 0."""
    if reason == "OOMKilled":
        return BY_ID["crash-oom"]
    for cause in TABLE:
        if cause.codes and code in cause.codes:
            return cause
    return BY_ID["crash"]


def diagnose(pod: PodFacts, container: ContainerFacts, *, namespace: str = "") -> Diagnosis | None:
    """What is the matter with this container; None when nothing is (it runs and is ready, or is an init container that is done)."""
    for cause in _POD_ENDS:
        if pod.phase == "Failed" and pod.reason and cause.match_reason.match(pod.reason):
            return filled(cause, None, pod, container, reason=pod.reason, message=pod.message, namespace=namespace)
    if container.state == "running":
        return _running(pod, container, namespace)
    if container.state == "terminated":
        return _ended(pod, container, container.reason, container.message, container.exit_code, namespace)
    if container.state == "waiting" and container.reason == "CrashLoopBackOff":
        # the last end is the cause; a code that cannot be told any more (the dead container was removed) counts as an error
        code = 1 if container.last_exit_code is None else container.last_exit_code
        return _ended(pod, container, container.last_reason, container.last_message, code, namespace)
    reason, message = container.reason, container.message
    if reason in ("", "ContainerCreating", "PodInitializing"):
        if pod.unschedulable:
            reason, message = "Unschedulable", pod.unschedulable
        else:
            for event_reason, event_message in pod.events:
                if event_reason in _DISTURBING:
                    reason, message = event_reason, event_message
                    break
            else:
                if container.name in pod.pulling:
                    return filled(BY_ID["pulling"], None, pod, container, reason="Pulling", message="", namespace=namespace)
    cause, found = recognise(reason, message, pod)
    return filled(cause, found, pod, container, reason=reason, message=message, namespace=namespace)


def _running(pod: PodFacts, container: ContainerFacts, namespace: str) -> Diagnosis | None:
    if container.role == "init":
        return None
    if container.ready and container.started is not False:
        # a node that is lost leaves its last words: the node controller only takes the pod's own readiness away
        lost = next((message for reason, message in pod.events if reason == "NodeNotReady"), None) if not pod.ready else None
        if lost is None:
            return None
        return filled(BY_ID["node-lost"], None, pod, container, reason="NodeNotReady", message=lost, namespace=namespace)
    if container.name in pod.probe_kills:
        return filled(BY_ID["probe-kill"], None, pod, container, reason="ProbeKill", message="", namespace=namespace)
    for reason, message in pod.events:
        if reason == "Unhealthy":
            cause, found = recognise(reason, message)
            return filled(cause, found, pod, container, reason=reason, message=message, namespace=namespace)
    return filled(BY_ID["starting"], None, pod, container, reason="Starting", message="", namespace=namespace)


def _ended(pod: PodFacts, container: ContainerFacts, reason: str, message: str, code: int | None, namespace: str) -> Diagnosis | None:
    if code in (None, 0) and container.role == "init" and container.state == "terminated":
        return None
    if container.name in pod.probe_kills:  # a program that ends well when it is told to ends with 0
        return filled(BY_ID["probe-kill"], None, pod, container, reason=reason or "Error", message=message, namespace=namespace)
    if code in (None, 0):
        return filled(BY_ID["clean-exit"], None, pod, container, reason=reason or "Completed", message=message, namespace=namespace)
    assert code is not None
    if reason in ("StartError", "ContainerCannotRun"):
        cause, found = recognise(reason, message)
        return filled(cause, found, pod, container, reason=reason, message=message, namespace=namespace)
    shown = container.reason or reason or "Error"
    return filled(ended(code, reason), None, pod, container, reason=shown, message=message, code=code, namespace=namespace)


def refused_pod(error: str, *, namespace: str = "") -> Diagnosis:
    """Why a ReplicaSet cannot make pods, from its ReplicaFailure message: it waits for the deadline, but is named."""
    cause, found = recognise("FailedCreate", error)
    return filled(cause, found, PodFacts(name=""), ContainerFacts(name=""), reason="FailedCreate", message=error, namespace=namespace)


def filled(
    cause: Cause,
    found: re.Match[str] | None,
    pod: PodFacts,
    container: ContainerFacts,
    *,
    reason: str,
    message: str,
    code: int | None = None,
    namespace: str = "",
) -> Diagnosis:
    """The table's texts with the names of this container in them."""
    clean = normalised(message)
    groups = {name: value for name, value in (found.groupdict() if found else {}).items() if value}
    words = {
        "who": _who(container),
        "name": container.name,
        "pod": pod.name,
        "node": pod.node or "NODE",
        "image": container.image or "(unknown)",
        "host": registry_of(container.image),
        "address": host if ":" in (host := registry_of(container.image)) else f"{host}:443",
        "secrets": _secrets(pod),
        "reason": reason,
        "message": shortened(_PREEMPTION.sub("", clean).rstrip("."), 300) or f"the kubelet says no more than {reason}",
        "code": code,
        "signal": (code or 0) - 128,
        "ns": f" -n {namespace}" if namespace else "",
        "status": "an error of its own",
        "kind": "config",
        "object": "(unknown)",
        "key": "(unknown)",
        "path": groups.get("cwd"),
        "names": "other names",
        "quota": "(unknown)",
        "level": "(unknown)",
    } | groups
    if cause.id.startswith(("config-", "volume-")):
        words["kind"] = {"configmap": "ConfigMap", "secret": "Secret"}.get(str(words["kind"]).lower(), words["kind"])
    return Diagnosis(
        cause=cause.id,
        class_=cause.cls,
        reason=reason,
        message=clean,
        what=cause.what.format(**words),
        means=cause.means.format(**words),
        advice=cause.advice.format(**words),
        command=cause.command.format(**words),
        quiet=cause.quiet,
    )


def _secrets(pod: PodFacts) -> str:
    if not pod.pull_secrets:
        return "without credentials, as the pod names no pull secret"
    return f"with pull secret{'' if len(pod.pull_secrets) == 1 else 's'} {', '.join(pod.pull_secrets)}"


def _who(container: ContainerFacts) -> str:
    return {"init": "init container ", "sidecar": "sidecar container ", "main": "container "}[container.role] + container.name


def registry_of(image: str) -> str:
    """The host part of an image name as container runtimes read it: docker.io when none is named."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
