"""The verdict over the pods of a revision: which failures end a run at once, which after a grace, and which only its deadline.

Rules (design, "Pod health"): a *certain* cause stands after 5 s, a *doubtful* one after 30 s, a *waiting* one never; a container that
*crashed* `maxRestarts` + 1 times within ten minutes stands at once. A grace runs per pod, container and class from the first report and
ends only when the container runs. What stands must stand on more than 100 - ready threshold percent of the pods, and on two nodes where
they are on more than one. All memory is in the status: `judge` is given it and returns the next.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flaggerpy.api.canary import PodHealth
from flaggerpy.api.status import FailureState, PodFailure
from flaggerpy.rollout.diagnosis import Diagnosis, diagnose, ended, filled, recognise, refused_pod, shortened
from flaggerpy.rollout.facts import ContainerFacts, PodFacts

CRASH_WINDOW = 600.0
"""Seconds within which crashes are counted together."""
MEMORY = 50
"""How many failures of containers are remembered in the status at most."""
SHOWN = 10
SHOWN_BYTES = 1000
MESSAGE_SHOWN = 350
DIAGNOSIS_SHOWN = 650
REMEMBERED_MESSAGE = 300

_WEIGHT = {"certain": 0, "crash": 1, "doubtful": 2, "waiting": 3}
_START_ERRORS = ("StartError", "ContainerCannotRun")


@dataclass(frozen=True)
class Health:
    """What is to be thought of the pods.

    `verdict` is the sentence that ends the run, None while it may still pass; `failures` the memory to store; `shown` what people see
    in the status (at most ten, 1 kB each); `waiting` the sentence of what is missing ("" when all pods are ready); `wake` when a grace
    ends (epoch seconds); `advice` and `command` go with the foremost failure.
    """

    verdict: str | None
    failures: list[FailureState]
    shown: list[PodFailure]
    waiting: str
    wake: float | None
    advice: str = ""
    command: str = ""
    cause: str = ""
    """The foremost failure's id in the table of causes; "" when nothing fails."""
    means: str = ""
    """What the foremost failure means, for who must give it up; "" when nothing fails."""


@dataclass(frozen=True)
class _Finding:
    """One container that fails: `due` is when its failure stands (None: never by itself)."""

    pod: PodFacts
    container: str
    diagnosis: Diagnosis
    due: float | None = None
    crashes: int = 0
    remembered: bool = True

    @property
    def group(self) -> tuple[str, str]:
        return self.container, self.diagnosis.cause


def judge(
    pods: Sequence[PodFacts],
    previous: Sequence[FailureState],
    policy: PodHealth,
    *,
    now: float,
    ready_threshold: int,
    desired: int,
    namespace: str = "",
) -> Health:
    """Judge the pods of one revision at `now` (epoch seconds).

    `previous` is the memory of the last look; `ready_threshold` the percentage of pods that must be ready (canaryReadyThreshold, or
    the primary's); `desired` how many pods are wanted. Pods that are being deleted are not judged.
    """
    memory: dict[tuple[str, str, str], FailureState] = {(state.pod, state.container, state.kind): state for state in previous}
    states: list[FailureState] = []
    findings: list[_Finding] = []
    living = [pod for pod in pods if not pod.terminating]
    for pod in living:
        # what befalls the whole pod is told of its main container
        for container in sorted(pod.containers, key=lambda found: found.role != "main") or (ContainerFacts(name=""),):
            if container.name in policy.ignored_containers:
                continue
            kept, finding = _look(pod, container, memory, policy, now, namespace)
            states += kept
            if finding:
                findings.append(finding)
    counted = [pod for pod in living if pod.phase != "Failed"]
    total = desired if desired > 0 else len(counted)
    standing = _standing(findings, previous, now) if policy.enabled else []
    failing = [finding for finding in findings if not finding.diagnosis.quiet]
    verdict = None
    if standing and _enough(standing, counted, total, ready_threshold):
        # told are all pods that fail so by now, though the grace of some of them goes on
        foremost = _foremost(standing)[0].group
        told = [finding for finding in findings if finding.group == foremost]
        verdict = _sentence(told, standing, total, policy, now, meaning=True, crashed=_crashed(states, foremost[0]))
    head = _foremost(standing) if verdict else _foremost(failing)
    dues = [finding.due for finding in findings if finding.due is not None and finding.due > now]
    return Health(
        verdict=verdict,
        failures=_bounded(states) if policy.enabled else [],
        shown=_shown(failing),
        waiting=_waiting(findings, counted, total, policy, now),
        wake=min(dues, default=None) if policy.enabled and not verdict else None,
        advice=head[0].diagnosis.advice if head else "",
        command=head[0].diagnosis.command if head else "",
        cause=head[0].diagnosis.cause if head else "",
        means=head[0].diagnosis.means if head else "",
    )


def judge_creation(error: str, *, namespace: str) -> Diagnosis | None:
    """Why no pod can be made (a ReplicaSet's ReplicaFailure): named, but left to the deadline, as quotas are freed. None without error."""
    return refused_pod(error, namespace=namespace) if error else None


def storm(pods: Sequence[PodFacts], promoted: Sequence[PodFacts], policy: PodHealth) -> str:
    """A sentence when pods of the last promoted template fail as the run's do (then it is not the revision); "" otherwise.

    Pulls, mounts and the like are the same by their cause; crashes only when it is the same container.
    """

    def causes(some: Iterable[PodFacts]) -> dict[tuple[str, str], Diagnosis]:
        found: dict[tuple[str, str], Diagnosis] = {}
        for pod in some:
            for container in pod.containers:
                told = None if pod.terminating or container.name in policy.ignored_containers else diagnose(pod, container)
                if told and told.class_ != "waiting":
                    found.setdefault((container.name if told.class_ == "crash" else "", told.cause), told)
        return found

    ours, theirs = causes(pods), causes(promoted)
    for key in sorted(ours.keys() & theirs.keys()):
        return f"pods of the last promoted revision fail the same way: {theirs[key].what}"
    return ""


def _look(
    pod: PodFacts,
    container: ContainerFacts,
    memory: Mapping[tuple[str, str, str], FailureState],
    policy: PodHealth,
    now: float,
    namespace: str,
) -> tuple[list[FailureState], _Finding | None]:
    """What is remembered of this container from now on, and what fails in it."""
    present = diagnose(pod, container, namespace=namespace)
    kept: list[FailureState] = []
    remembered = False
    dues: list[float] = []
    shown: Diagnosis | None = None
    graces: Sequence[tuple[Literal["certain", "doubtful"], float]] = (
        ("doubtful", policy.doubtful_seconds),
        ("certain", policy.certain_seconds),
    )
    for kind, grace in graces:
        before = None if _has_run(container) else _remembered(memory, pod, container, kind)
        state = before
        if present and present.class_ == kind:
            state = _refreshed(before, pod, container, present, now)
        if state is None:
            continue
        kept.append(state)
        remembered |= before is not None
        dues.append(state.first_seen + grace)
        shown = _recalled(state, pod, container, namespace)  # the certain one comes last and so hides the doubtful one
    crash, count = _count(memory.get((pod.name, container.name, "crash")), pod, container, now)
    kept.append(crash)
    if dues:
        assert shown is not None
        if count > policy.max_restarts:
            dues.append(now)
        return kept, _Finding(pod, container.name, shown, min(dues), count, remembered)
    if count > policy.max_restarts:
        return kept, _Finding(pod, container.name, _last_crash(pod, container, present, namespace), now, count)
    if count and present and present.quiet:
        present = _last_crash(pod, container, None, namespace)  # runs again, but is not ready: the crash is the news
    return kept, _Finding(pod, container.name, present, None, count) if present else None


def _remembered(
    memory: Mapping[tuple[str, str, str], FailureState], pod: PodFacts, container: ContainerFacts, kind: Literal["certain", "doubtful"]
) -> FailureState | None:
    """What is remembered of a container in this class.

    What seemed certain until more was known of the pod (a pull secret that is not there yet) is doubtful from its first report on.
    """
    certain = memory.get((pod.name, container.name, "certain"))
    doubted = certain is not None and recognise(certain.reason, certain.message, pod)[0].cls == "doubtful"
    if kind == "certain":
        return None if doubted else certain
    before = memory.get((pod.name, container.name, "doubtful"))
    return certain.model_copy(update={"kind": "doubtful"}) if doubted and certain and before is None else before


def _has_run(container: ContainerFacts) -> bool:
    """True when the container got as far as to run, which ends the graces of what kept it from that."""
    if container.state == "running":
        return True
    if container.state == "terminated":
        return container.reason not in _START_ERRORS
    return container.reason == "CrashLoopBackOff" and container.last_exit_code is not None and container.last_reason not in _START_ERRORS


def _refreshed(before: FailureState | None, pod: PodFacts, container: ContainerFacts, present: Diagnosis, now: float) -> FailureState:
    """The remembered failure of a class: the first report's time stays; its cause gives way to another, but never to a mere back-off."""
    message = shortened(present.message, REMEMBERED_MESSAGE)
    if before is None:
        return FailureState(
            pod=pod.name,
            container=container.name,
            kind="certain" if present.class_ == "certain" else "doubtful",
            reason=present.reason,
            message=message,
            first_seen=now,
            node=pod.node,
        )
    if present.cause == "pull-unknown" or recognise(before.reason, before.message, pod)[0].id == present.cause:
        return before
    return before.model_copy(update={"reason": present.reason, "message": message})


def _recalled(state: FailureState, pod: PodFacts, container: ContainerFacts, namespace: str) -> Diagnosis:
    cause, found = recognise(state.reason, state.message, pod)
    return filled(cause, found, pod, container, reason=state.reason, message=state.message, namespace=namespace)


def _count(before: FailureState | None, pod: PodFacts, container: ContainerFacts, now: float) -> tuple[FailureState, int]:
    """The memory of a container's ends, and how many of them were crashes.

    The ends are numbered by restartCount: restart n follows end n. A present end is number restartCount + 1. Ends with 0, kills by
    probes and ends of the whole pod (eviction, node shutdown) are taken off when they are seen; what happened unseen counts as a crash.
    """
    restarts = container.restarts
    failed_start = container.reason == "RunContainerError" and container.last_exit_code is not None
    over = container.state == "terminated" or (container.state == "waiting" and (container.reason == "CrashLoopBackOff" or failed_start))
    total = restarts + (1 if over else 0)
    newest = container.exit_code if container.state == "terminated" else container.last_exit_code
    reason = container.reason if container.state == "terminated" else container.last_reason
    harmless = newest == 0 or container.name in pod.probe_kills or (pod.phase == "Failed" and bool(pod.reason))

    base, clean, seen, first_seen, was = restarts, 0, restarts, now, ""
    if before is not None:
        counting = before.seen_ends - before.base_restarts - before.clean_exits > 0
        if not (counting and now - before.first_seen > CRASH_WINDOW):
            base, clean, seen, was = min(before.base_restarts, restarts), before.clean_exits, before.seen_ends, before.reason
            first_seen = before.first_seen
    if container.state == "terminated" and restarts > seen and container.last_exit_code == 0:
        clean += 1
    told = "" if total <= base else ("Harmless" if harmless else reason or "Error")
    if harmless and total > base and (total > seen or (total == seen and was not in ("", "Harmless"))):
        clean += 1  # the second case: the event of the probe's kill came after the status
    seen = max(seen, total)
    count = max(0, total - base - clean)
    if count and (before is None or before.seen_ends - before.base_restarts - before.clean_exits <= 0):
        first_seen = now
    state = FailureState(
        pod=pod.name,
        container=container.name,
        kind="crash",
        reason=told,
        first_seen=first_seen,
        base_restarts=base,
        clean_exits=clean,
        seen_ends=seen,
        node=pod.node,
    )
    return state, count


def _last_crash(pod: PodFacts, container: ContainerFacts, present: Diagnosis | None, namespace: str) -> Diagnosis:
    if present and present.class_ == "crash":
        return present
    code = container.last_exit_code or 1
    reason = container.last_reason or "Error"
    message = container.last_message
    return filled(ended(code, reason), None, pod, container, reason=reason, message=message, code=code, namespace=namespace)


def _standing(findings: Sequence[_Finding], previous: Sequence[FailureState], now: float) -> list[_Finding]:
    """The findings that stand at `now`. With a full memory the pods that found no room in it follow those that did."""
    worthy = [finding for finding in findings if finding.due is not None]
    standing = [finding for finding in worthy if finding.due is not None and finding.due <= now]
    full = len(previous) >= MEMORY
    if full and standing and all(finding.due <= now for finding in worthy if finding.remembered and finding.due is not None):
        return worthy
    return standing


def _enough(standing: Sequence[_Finding], pods: Sequence[PodFacts], total: int, ready_threshold: int) -> bool:
    failing = {finding.pod.name: finding.pod for finding in standing}
    if len(failing) * 100 <= (100 - ready_threshold) * total:
        return False
    nodes = {pod.node for pod in pods if pod.node}
    return len(nodes) < 2 or len({pod.node for pod in failing.values() if pod.node}) > 1


def _foremost(findings: Sequence[_Finding]) -> list[_Finding]:
    """The findings of the one cause in one container that says most: the worst class first, then the most pods."""
    pods = Counter(finding.group for finding in findings)
    if not pods:
        return []
    classes = {finding.group: _WEIGHT[finding.diagnosis.class_] for finding in findings}
    best = min(pods, key=lambda group: (classes[group], -pods[group], group))
    return [finding for finding in findings if finding.group == best]


def _sentence(
    group: Sequence[_Finding], all_findings: Sequence[_Finding], total: int, policy: PodHealth, now: float, *, meaning: bool,
    crashed: frozenset[str] = frozenset(),
) -> str:  # fmt: skip
    """`crashed` names the pods in which a crashing container did so before, though it may run at this moment."""
    told = group[0].diagnosis
    failing = {finding.pod.name for finding in group} | (crashed if told.class_ == "crash" else set())
    affected = len(failing)
    whole = max(total, affected)
    notes = [f"{affected} of {whole} {'pod' if whole == 1 else 'pods'}"]
    crashes = max(finding.crashes for finding in group)
    if told.class_ == "crash":
        notes.insert(0, f"crashed {crashes} {'time' if crashes == 1 else 'times'}")
        if not meaning:
            notes[0] += f" of {policy.max_restarts + 1}"
    sentence = f"{told.what} ({', '.join(notes)})"
    others = {finding.pod.name for finding in all_findings} - failing
    if meaning:
        sentence += f": {told.means}"
        if others:
            sentence += f"; {len(others)} more {'pod fails' if len(others) == 1 else 'pods fail'} for another cause"
    return sentence


def _crashed(states: Iterable[FailureState], container: str) -> frozenset[str]:
    """The pods in which this container has crashed, as remembered."""
    return frozenset(
        state.pod
        for state in states
        if (state.kind, state.container) == ("crash", container) and state.seen_ends - state.base_restarts - state.clean_exits > 0
    )


def _waiting(findings: Sequence[_Finding], pods: Sequence[PodFacts], total: int, policy: PodHealth, now: float) -> str:
    failing = [finding for finding in findings if not finding.diagnosis.quiet]
    if failing:
        return _sentence(_foremost(failing), failing, total, policy, now, meaning=False)
    ready = sum(pod.ready for pod in pods)
    if len(pods) < total:
        missing = total - len(pods)
        return f"{missing} of {total} {'pod is' if missing == 1 else 'pods are'} not created yet"
    if ready >= total:
        return ""
    quiet = _foremost(findings)
    return f"{ready} of {total} pods are ready" + (f": {quiet[0].diagnosis.what}" if quiet else "")


def _bounded(states: Sequence[FailureState]) -> list[FailureState]:
    """At most `MEMORY` states, failures before mere counters, the oldest first; in a stable order, so that equal facts write nothing."""

    def rank(state: FailureState) -> tuple[int, float, str, str]:
        idle = state.kind == "crash" and state.seen_ends - state.base_restarts - state.clean_exits <= 0
        return int(idle), state.first_seen, state.pod, state.container

    kept = sorted(states, key=rank)[:MEMORY]
    return sorted(kept, key=lambda state: (state.pod, state.container, state.kind))


def _shown(failing: Sequence[_Finding]) -> list[PodFailure]:
    ordered = sorted(failing, key=lambda finding: (_WEIGHT[finding.diagnosis.class_], finding.pod.name))
    shown: list[PodFailure] = []
    named: set[tuple[str, str]] = set()
    for finding in ordered:
        of_pod = (finding.pod.name, finding.diagnosis.what)
        if of_pod in named:
            continue  # what keeps the whole pod back is told once, not for each container
        named.add(of_pod)
        shown.append(_fitted(finding))
    return shown[:SHOWN]


def _fitted(finding: _Finding) -> PodFailure:
    """What people see of a failure: the diagnosis whole as long as there is room, as the kubelet's own words stand in the pod too."""
    told = finding.diagnosis
    message, diagnosis = MESSAGE_SHOWN, DIAGNOSIS_SHOWN
    while True:
        failure = PodFailure(
            pod=finding.pod.name,
            container=finding.container,
            reason=shortened(told.reason, 60),
            message=shortened(told.message, message),
            diagnosis=shortened(f"{told.text}. {told.advice} Try: {told.command}", diagnosis),
        )
        size = len(json.dumps(failure.model_dump(by_alias=True), ensure_ascii=False).encode())
        if size <= SHOWN_BYTES or diagnosis <= 100:
            return failure
        if message > 120:
            message -= 20
        else:
            message, diagnosis = max(30, message - 10), diagnosis - 30
