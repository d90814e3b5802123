"""Images before their first pod: what their registries said, what that means for a run, and how it is told (`podHealth.imageCheck`).

Under `Fail` the canary is scaled up only when the answer is there, at most `PATIENCE` later, and a certain no ends the run before a pod is
made. Under `Warn` nothing waits: a certain no is an event, and the kubelet's verdict follows. A doubt never ends anything. The texts are
those of `causes.table.TABLE`, whose rows the answers name.
"""

from __future__ import annotations

from flaggerpy.api.images import ImageAnswer
from flaggerpy.rollout.causes.table import BY_ID
from flaggerpy.rollout.diagnosis import Diagnosis, filled
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import CheckImages
from flaggerpy.rollout.facts import ContainerFacts, PodFacts

ANSWERED_WITHIN = 5.0
"""Seconds that the question about all images of a pod takes at most: what is not answered by then is a doubt."""
PATIENCE = 30.0
"""Seconds after which a run goes on without an answer: for one that was lost with its controller."""
DONE = "images"
"""The mark in `run.gates_passed` of a run whose images were looked at."""


def key(d: Draft) -> str:
    """The key of the question: one for each run."""
    return f"{d.run.id}/images"


def holds(d: Draft) -> bool:
    """Ask where the spec wants it and it was not done. True while the canary must not be scaled up yet, which is then named."""
    mode = d.canary.spec.pod_health.image_check
    if not _open(d):
        return False
    if key(d) not in d.facts.images:
        d.do(CheckImages(key(d)))
    until = _until(d)
    d.wake_at(until)
    if mode == "Fail":
        d.wait(
            f"the registries' answer about the images of {d.canary.target} (podHealth.imageCheck)",
            since=d.run.progressing_at,
            until=until,
            then="the canary is scaled up without it",
        )
    return mode == "Fail"


def look(d: Draft) -> tuple[bool, str]:
    """Whether the canary may be scaled up, and the cause for which the run has failed before that, "" when there is none."""
    if not _open(d):
        return True, ""
    answers = d.facts.images.get(key(d))
    if answers is not None:
        return True, _judged(d, answers)
    if d.now < _until(d):
        return not holds(d), ""
    _done(d)
    if d.canary.spec.pod_health.image_check == "Fail":
        d.event("Warning", f"Image check of {d.canary.key} gave no answer within {PATIENCE:g}s: going on without it")
    return True, ""


def _open(d: Draft) -> bool:
    """The question is wanted and not settled. Pods that have run already are the better answer."""
    ran = d.run.settled or d.run.pre_rollout_done
    return d.canary.spec.pod_health.image_check != "Off" and DONE not in d.run.gates_passed and not ran


def _until(d: Draft) -> float:
    return (d.run.progressing_at if d.run.progressing_at is not None else d.now) + PATIENCE


def _judged(d: Draft, answers: tuple[ImageAnswer, ...]) -> str:
    """Tell what was answered; under Fail the cause of a certain no."""
    _done(d)
    fails = d.canary.spec.pod_health.image_check == "Fail"
    missing = [explained(answer, namespace=d.canary.namespace) for answer in answers if answer.kind == "missing"]
    if missing and fails:
        return "; ".join(told.text for told in missing)
    for told in missing:
        # what that means is told by the verdict, which follows as soon as a node has tried
        d.event("Warning", f"Image check of {d.canary.key}: {told.what}")
    if fails:
        for answer in answers:
            # who asks for the check should hear that it could not be made; by default it is no news
            if answer.kind == "doubt" or (answer.kind == "unchecked" and answer.cause):
                d.event("Normal", f"Image check of {d.canary.key} cannot tell: {explained(answer, namespace=d.canary.namespace).what}")
    return ""


def _done(d: Draft) -> None:
    d.set_run(gates_passed=[*d.run.gates_passed, DONE])


def explained(answer: ImageAnswer, *, namespace: str = "") -> Diagnosis:
    """What an answer other than "exists" means, in the words of its row. `what` ends with what was said; the command asks again."""
    cause = BY_ID[answer.cause or "pull-unknown"]
    container = ContainerFacts(name=answer.container, role=answer.role, image=answer.image)
    told = filled(cause, None, PodFacts(name=""), container, reason="ImageCheck", message=answer.detail, namespace=namespace)
    # here the controller asked, or a person, and no node did yet
    what = told.what.replace("this node's platform", "the platform that it is to run on")
    means = told.means.replace("the node's name server", "the name server of whoever asks").replace("the node ", "whoever asks ")
    if cause.id == "pull-unknown":
        what = what.replace("cannot be pulled", "cannot be told to be there")
        means = "its registry gave no answer that settles it"
    if not answer.container:
        what = what.replace(" of container ", "").replace(" for container ", "")
    if answer.kind == "unchecked":
        what = f"image {answer.image}{f' of container {answer.container}' if answer.container else ''} was not checked"
        means = "nothing is known to be wrong with it"
    if answer.detail:
        what = f"{what} ({answer.detail})"
    place = f" -n {namespace}" if namespace else ""
    return Diagnosis(
        cause=cause.id,
        class_=cause.cls,
        reason="ImageCheck",
        message=answer.detail,
        what=what,
        means=means,
        advice=told.advice,
        command=f"flaggerpy check-image {answer.image}{place}",
    )
