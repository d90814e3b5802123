"""The mistakes, as data: which words of which file become which, and what that would do to a user."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """`old` stands exactly once in flaggerpy/rollout/`file`, and becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    harm: str


MUTATIONS = (
    Mutation(
        "promote unpinned", "promoting.py",
        "EnsurePrimary(run.revision, run.id,", "EnsurePrimary(d.target_revision, run.id,",
        "what was never analysed is promoted",
    ),
    Mutation(
        "raise the weight without pods", "handover.py",
        "    if target.replicas >= need:\n", "    if True:\n",
        "a canary of three pods gets the load of thirty",
    ),
    Mutation(
        "switch back without pods", "handover.py",
        "    if primary.replicas < floor:\n        d.wait(", "    if False:\n        d.wait(",
        "a primary that shrank while it was idle gets all traffic at once",
    ),
    Mutation(
        "let the primary shrink", "handover.py",
        "d.set_run(floor=_capped(d, max(primary.replicas, 1)))", "d.set_run(floor=1)",
        "the way back leads to a primary that is too small",
    ),
    Mutation(
        "take the floor off at once", "handover.py",
        "if d.now < since + SETTLED:", "if False:",
        "the primary shrinks before its autoscaler sees the traffic that came back",
    ),
    Mutation(
        "skip the drain", "traffic.py",
        "if run.drained or not run.carried_weight:", "if True:",
        "pods go while requests are under way",
    ),
    Mutation(
        "scale down before the route", "rollback.py",
        "    if not routed(d) or not drained(d):\n", "    if not drained(d):\n",
        "the canary goes while the route still leads to it",
    ),
    Mutation(
        "finalise before the route", "promoting.py",
        "    if not routed(d) or not drained(d):\n", "    if not drained(d):\n",
        "the canary goes while the route still leads to it",
    ),
    Mutation(
        "believe the route unread", "traffic.py",
        "if route.split != wanted(d) or route.foreign:", "if False:",
        "a write that got lost counts as traffic shifted",
    ),
    Mutation(
        "believe a refused route", "traffic.py",
        "    if route.accepted is False:\n        d.wait(", "    if False:\n        d.wait(",
        "weights that no gateway took are analysed",
    ),
    Mutation(
        "reset the deadline", "deadline.py",
        "if now - complete_since >= settle:", "if True:",
        "a crash loop that is ready in between is never given up",
    ),
    Mutation(
        "pause the deadline behind a gate", "deadline.py",
        "pausing = complete  #", "pausing = complete or stopped  #",
        "a release that broke behind a closed gate is never given up",
    ),
    Mutation(
        "ignore the sidecar", "podhealth.py",
        "for container in sorted(pod.containers, ", "for container in sorted(pod.containers[:1], ",
        "a crash-looping sidecar is released",
    ),
    Mutation(
        "judge by one node", "podhealth.py",
        "return len(nodes) < 2 or len({pod.node for pod in failing.values() if pod.node}) > 1", "return True",
        "one broken node fails a sound release",
    ),
    Mutation(
        "forget the settling", "health.py",
        "if since is None or restarts != d.run.settled_restarts:", "if since is None:",
        "pods that restart get traffic",
    ),
    Mutation(
        "let the Canary go without a drain", "deleting.py",
        "    if d.now < since + DRAIN:\n", "    if False:\n",
        "requests under way end with the primary's pods",
    ),
    Mutation(
        "stop what serves for a target that does not", "deleting.py",
        "    d.do(LeaveBehind(primary=True))\n", "",
        "a deletion takes the application down",
    ),
    Mutation(
        "take down a rival's target", "deleting.py",
        "if not d.status.last_applied_spec and", "if False and",
        "the deletion of a refused Canary moves the traffic of another",
    ),
    Mutation(
        "leave traffic on dead pods", "safety.py",
        "        _relapse(d)\n        return\n", "        return\n",
        "requests are lost until the deadline",
    ),
    Mutation(
        "relapse for ever", "safety.py",
        "if d.run.relapses > MAX_RELAPSES else None", "if False else None",
        "a release that keeps falling over is tried without an end",
    ),
    Mutation(
        "one failed check too many", "running.py",
        "if d.status.failed_checks >= limit:", "if d.status.failed_checks > limit:",
        "the threshold is not the threshold",
    ),
    Mutation(
        "advance unmeasured", "running.py",
        "        _unmeasured_too_long(d)\n    elif", "        _advance(d)\n    elif",
        "a release passes because its metrics server is down",
    ),
    Mutation(
        "overlook a newer revision", "running.py",
        "    if revision == d.run.revision:\n        return True\n", "    if revision:\n        return True\n",
        "what was analysed is not what runs",
    ),
    Mutation(
        "promote past the gate", "running.py",
        "    if _promotion_gates(d):\n        promote(d, Cause.PASSED)", "    if True:\n        promote(d, Cause.PASSED)",
        "nobody is asked",
    ),
    Mutation(
        "end a release on a doubt", "imagecheck.py",
        'for answer in answers if answer.kind == "missing"]', 'for answer in answers if answer.kind != "exists"]',
        "a registry that has a bad minute fails sound releases",
    ),
    Mutation(
        "leave a failed promotion as it is", "rollback.py",
        "if d.run.undo_promotion and not _primary_restored(d):", "if False and not _primary_restored(d):",
        "the primary keeps the template that does not start",
    ),
    Mutation(
        "send the traffic to a dead primary", "rollback.py",
        "if d.primary is None or (serving_count(d.primary) == 0 and serving_count(d.target) > 0):", "if d.primary is None:",
        "all requests are lost by the rollback itself",
    ),
    Mutation(
        "do not wait for the kept template", "running.py",
        "if d.facts.kept is UNKNOWN or d.run.revision not in d.facts.kept:", "if False:",
        "nothing is left to promote when the target moves on",
    ),
    Mutation(
        "blame a storm on the release", "health.py",
        'storm = podhealth.storm(target.pods, d.primary.pods, d.canary.spec.pod_health) if d.primary else ""', 'storm = ""',
        "an outage of the registry fails every release under way",
    ),
    Mutation(
        "forget what was promoted", "draft.py",
        "ForgetRevisions(but=tuple(sorted(last)), configs_of=(revision,))", "ForgetRevisions(but=())",
        "there is no way back to what runs",
    ),
)  # fmt: skip
