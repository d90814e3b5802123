"""The verdict of `flaggerpy wait`: was the wanted release promoted, did it fail, or is it still on its way? Pure.

Between the change of a target and the controller's first look at it there is a moment in which the Canary still tells the end of the
release before. Three comparisons close it: the images of the target's template (is the wanted image there at all?), the revision of the
target (a short name of its template, believed only when the workload's controller has observed the newest generation), and the
revision of the run or of the newest entry of the history (is this what the controller speaks about?).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flaggerpy.api.status import from_timestamp
from flaggerpy.cli.problems import Exit
from flaggerpy.cli.views import CanaryView, HistoryLine, short_images
from flaggerpy.targets.pods import owner_uid
from flaggerpy.targets.registry import target_for
from flaggerpy.targets.templates import of_template, slim_history

Obj = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What to wait for: a release of `image`, of `revision`, or (both empty) of what the target is now; `phase` is the goal."""

    image: str = ""
    revision: str = ""
    phase: str = "Succeeded"

    def __str__(self) -> str:
        if self.image:
            return f"image {self.image}"
        return f"revision {self.revision}" if self.revision else "the present revision"

    def matches(self, revision: str, images: Iterable[str], target: Target) -> bool:
        """True when a release of this revision and these images is the wanted one."""
        if self.revision:
            return revision == self.revision or same_template(revision, self.revision)
        if self.image:
            return has_image(images, self.image)
        return same_template(revision, target.revision) if target.revision else set(images) == set(target.images)


@dataclass(frozen=True)
class Target:
    """The target as it stands: images of its template, and its revision's template as a short name ("" while that cannot be told)."""

    images: tuple[str, ...] = ()
    revision: str = ""
    revision_created: float = 0.0
    """When that revision's ReplicaSet or ControllerRevision was made, in epoch seconds; infinity where that cannot be told."""
    primary_images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pending:
    """Not yet: what is waited for."""

    sentence: str


@dataclass(frozen=True)
class Ended:
    """The verdict, with the sentence to print."""

    code: Exit
    sentence: str


def has_image(images: Iterable[str], wanted: str) -> bool:
    """True when one of the images is the wanted one; a short name (`podinfo:1.2`, or `:1.2`) matches the end of a long one."""
    ends = (wanted if wanted.startswith(":") else f"/{wanted}",)
    return any(image == wanted or image.endswith(ends) for image in images)


def same_template(revision: str, template: str) -> bool:
    """True when a release's revision is of this template; what follows a dash in it stands for its configs."""
    return revision.partition("-")[0] == template


def target_of(workload: Obj | None, history: Iterable[Obj] = (), primary: Obj | None = None) -> Target:
    """The target's template and revision from its workload, and the ReplicaSets or ControllerRevisions that hold its templates."""
    if workload is None:
        return Target(primary_images=_images(primary))
    metadata: Mapping[str, Any] = workload.get("metadata") or {}
    observed = int((workload.get("status") or {}).get("observedGeneration") or 0)
    revision, created = "", 0.0
    if observed >= int(metadata.get("generation") or 0):
        revision, created = (_of_daemon_set if workload.get("kind") == "DaemonSet" else _of_deployment)(workload, history)
    return Target(_images(workload), revision, created, _images(primary))


def _of_deployment(workload: Obj, history: Iterable[Obj]) -> tuple[str, float]:
    """The pod-template-hash of its current ReplicaSet, and when that was made."""
    metadata = workload["metadata"]
    number = (metadata.get("annotations") or {}).get("deployment.kubernetes.io/revision")
    found = ("", 0.0)
    for replica_set in history if number else ():
        head: Mapping[str, Any] = replica_set.get("metadata") or {}
        owned = any(owner.get("uid") == metadata.get("uid") for owner in head.get("ownerReferences") or ())
        if owned and (head.get("annotations") or {}).get("deployment.kubernetes.io/revision") == number:
            created = from_timestamp(head["creationTimestamp"]) if head.get("creationTimestamp") else 0.0
            found = (str((head.get("labels") or {}).get("pod-template-hash") or ""), created)
    return found


def _of_daemon_set(workload: Obj, history: Iterable[Obj]) -> tuple[str, float]:
    """The digest of its template, and when that was first kept; infinity where its ControllerRevisions are not readable."""
    held = of_template([slim_history(each) for each in history], workload["spec"].get("template") or {})
    own = [each["metadata"] for each in held if owner_uid(each) == workload["metadata"].get("uid")]
    created = min((from_timestamp(each["creationTimestamp"]) for each in own if each.get("creationTimestamp")), default=math.inf)
    return target_for("DaemonSet").revision(workload, ()), created


def judge(view: CanaryView, target: Target, wanted: Wanted, *, since: float, seen_before: bool) -> Pending | Ended:
    """Where the wanted release stands.

    `since` is when the waiting began (epoch seconds, the API server's): an end before that counts only while the target still is what is
    waited for. `seen_before` tells that the target, or a run, was seen to be the wanted one at an earlier look.
    """
    newest = view.history[0] if view.history else None
    present = is_present(target, wanted)
    running = not view.idle and wanted.matches(view.revision, view.images, target)
    if present and running and wanted.phase == view.phase:
        return Ended(Exit.OK, f"{view.name} is {view.phase} with {wanted}.")
    if not present:
        return _without_target(view, target, wanted, since, seen_before, running)
    if running or not view.idle:
        if running and not view.verdict:
            return Pending(view.waiting_for or f"phase {view.phase}")
        if running:
            return Pending(f"{view.waiting_for or view.phase} (it is being rolled back: {view.verdict})")
        return Pending(f"the controller to take up {wanted}{_now(view)}")
    told = newest and (not target.revision or same_template(newest.revision, target.revision))
    if newest and told and wanted.matches(newest.revision, newest.images, target):
        # a history that the controller has written after its newest look; Superseded means that this revision runs again in a moment
        if newest.outcome == "Superseded":
            return Pending(f"the controller to take up {wanted} again")
        return _end(view, newest, wanted)
    if _already_promoted(view, target, newest):
        if wanted.phase in ("Succeeded", view.phase):
            return Ended(Exit.OK, f"The primary of {view.name} already runs {wanted}.")
        return Pending(f"phase {wanted.phase}; it is {view.phase}, and its primary already runs {wanted}")
    return Pending(view.waiting_for or f"the controller to see {wanted} on {view.kind} {view.target}")


def is_present(target: Target, wanted: Wanted) -> bool:
    """True when the target's template is the wanted one now (an unknown revision counts as present)."""
    if wanted.revision:
        return not target.revision or same_template(wanted.revision, target.revision)
    return not wanted.image or has_image(target.images, wanted.image)


def _without_target(view: CanaryView, target: Target, wanted: Wanted, since: float, seen_before: bool, running: bool) -> Pending | Ended:
    ended = next((line for line in view.history if wanted.matches(line.revision, line.images, target)), None)
    if ended and (ended.ended >= since or seen_before) and ended.outcome != "Superseded" and not running:
        return _end(view, ended, wanted)
    if running and view.phase in ("Promoting", "Finalising"):
        # a revision that is being promoted is finished first, whatever the target is now
        return Pending(view.waiting_for or f"phase {view.phase}")
    # the release that took its place is still under way: whenever the wait began, it was about that one
    overtaken = ended is not None and ended is view.history[0] and ended.outcome == "Superseded" and not view.idle
    if running or seen_before or overtaken or (ended and ended.ended >= since):
        return Ended(Exit.SUPERSEDED, f"{view.kind} {view.target} was changed to {short_images(target.images)}: {wanted} is superseded.")
    before = f" ({wanted} ended {ended.outcome} before this wait began)" if ended else ""
    return Pending(f"{wanted} to be applied: {view.kind} {view.target} has {short_images(target.images)}{before}")


def _now(view: CanaryView) -> str:
    return f"; it is {view.phase} with {short_images(view.images)}" if view.phase else "; none has looked at this Canary yet"


def _end(view: CanaryView, line: HistoryLine, wanted: Wanted) -> Ended:
    what = f"{view.name} revision {line.revision} ({short_images(line.images)})"
    if line.outcome in ("Succeeded", "Initialized"):
        if wanted.phase in ("Succeeded", line.outcome):
            how = "is what the primary was set up with" if line.outcome == "Initialized" else "was promoted"
            return Ended(Exit.OK, f"{what} {how}{' (forced by a person)' if line.forced else ''}.")
        return Ended(Exit.FAILED, f"{what} ended {line.outcome} without {wanted.phase} being seen.")
    if line.outcome == wanted.phase:
        return Ended(Exit.OK, f"{what} ended {line.outcome}: {line.cause or 'no cause was recorded'}")
    return Ended(Exit.FAILED, f"{what} ended {line.outcome}: {line.cause or 'no cause was recorded'}")


def _already_promoted(view: CanaryView, target: Target, newest: HistoryLine | None) -> bool:
    """The target is what the primary runs, so no release will come: put back after a failure, or adopted from Flagger."""
    if view.idle and target.revision and same_template(view.promoted_revision, target.revision):
        return True
    if newest is not None or view.phase not in ("Initialized", "Succeeded") or not target.images:
        return False
    # taken over from Flagger: its hashes are of another kind, so images and times decide, as at the adoption itself
    try:
        settled = from_timestamp(view.last_transition)
    except ValueError:
        return False
    return target.images == target.primary_images and bool(target.revision) and target.revision_created <= settled


def _images(workload: Obj | None) -> tuple[str, ...]:
    template = ((workload or {}).get("spec") or {}).get("template") or {}
    pod = template.get("spec") or {}
    return tuple(str(container.get("image") or "") for container in [*(pod.get("initContainers") or []), *(pod.get("containers") or [])])
