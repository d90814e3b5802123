"""The mistakes, as data: which words of which file become which, and what that would do to a user."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """`old` stands exactly once in flaggerpy/`file`, and becomes `new`.

    `asked` are the test files (below tests/) that look at the rule; without them those of the core's rooms are asked one after the other.
    """

    name: str
    file: str
    old: str
    new: str
    harm: str
    asked: tuple[str, ...] = ()


MUTATIONS = (
    Mutation(
        "promote unpinned", "rollout/promoting.py",
        "EnsurePrimary(run.revision, run.id,", "EnsurePrimary(d.target_revision, run.id,",
        "what was never analysed is promoted",
    ),
    Mutation(
        "raise the weight without pods", "rollout/handover.py",
        "    if target.replicas >= need:\n", "    if True:\n",
        "a canary of three pods gets the load of thirty",
    ),
    Mutation(
        "switch back without pods", "rollout/handover.py",
        "    if primary.replicas < floor:\n        d.wait(", "    if False:\n        d.wait(",
        "a primary that shrank while it was idle gets all traffic at once",
    ),
    Mutation(
        "let the primary shrink", "rollout/handover.py",
        "d.set_run(floor=_capped(d, max(primary.replicas, 1)))", "d.set_run(floor=1)",
        "the way back leads to a primary that is too small",
    ),
    Mutation(
        "take the floor off at once", "rollout/handover.py",
        "if d.now < since + SETTLED:", "if False:",
        "the primary shrinks before its autoscaler sees the traffic that came back",
    ),
    Mutation(
        "skip the drain", "rollout/traffic.py",
        "if run.drained or not run.carried_weight:", "if True:",
        "pods go while requests are under way",
    ),
    Mutation(
        "scale down before the route", "rollout/rollback.py",
        "    if not routed(d) or not drained(d):\n", "    if not drained(d):\n",
        "the canary goes while the route still leads to it",
    ),
    Mutation(
        "finalise before the route", "rollout/promoting.py",
        "    if not routed(d) or not drained(d):\n", "    if not drained(d):\n",
        "the canary goes while the route still leads to it",
    ),
    Mutation(
        "believe the route unread", "rollout/traffic.py",
        "if route.split != wanted(d) or route.foreign:", "if False:",
        "a write that got lost counts as traffic shifted",
    ),
    Mutation(
        "believe a refused route", "rollout/traffic.py",
        "    if route.accepted is False:\n        d.wait(", "    if False:\n        d.wait(",
        "weights that no gateway took are analysed",
    ),
    Mutation(
        "reset the deadline", "rollout/deadline.py",
        "if now - complete_since >= settle:", "if True:",
        "a crash loop that is ready in between is never given up",
    ),
    Mutation(
        "pause the deadline behind a gate", "rollout/deadline.py",
        "pausing = complete  #", "pausing = complete or stopped  #",
        "a release that broke behind a closed gate is never given up",
    ),
    Mutation(
        "ignore the sidecar", "rollout/podhealth.py",
        "for container in sorted(pod.containers, ", "for container in sorted(pod.containers[:1], ",
        "a crash-looping sidecar is released",
    ),
    Mutation(
        "judge by one node", "rollout/podhealth.py",
        "return len(nodes) < 2 or len({pod.node for pod in failing.values() if pod.node}) > 1", "return True",
        "one broken node fails a sound release",
    ),
    Mutation(
        "forget the settling", "rollout/health.py",
        "if since is None or restarts != d.run.settled_restarts:", "if since is None:",
        "pods that restart get traffic",
    ),
    Mutation(
        "let the Canary go without a drain", "rollout/deleting.py",
        "    if d.now < since + DRAIN:\n", "    if False:\n",
        "requests under way end with the primary's pods",
    ),
    Mutation(
        "stop what serves for a target that does not", "rollout/deleting.py",
        "    d.do(LeaveBehind(primary=True))\n", "",
        "a deletion takes the application down",
    ),
    Mutation(
        "take down a rival's target", "rollout/deleting.py",
        "if not d.status.last_applied_spec and", "if False and",
        "the deletion of a refused Canary moves the traffic of another",
    ),
    Mutation(
        "leave traffic on dead pods", "rollout/safety.py",
        "        _relapse(d)\n        return\n", "        return\n",
        "requests are lost until the deadline",
    ),
    Mutation(
        "relapse for ever", "rollout/safety.py",
        "if d.run.relapses > MAX_RELAPSES else None", "if False else None",
        "a release that keeps falling over is tried without an end",
    ),
    Mutation(
        "one failed check too many", "rollout/running.py",
        "if d.status.failed_checks >= limit:", "if d.status.failed_checks > limit:",
        "the threshold is not the threshold",
    ),
    Mutation(
        "advance unmeasured", "rollout/running.py",
        "        _unmeasured_too_long(d)\n    elif", "        _advance(d)\n    elif",
        "a release passes because its metrics server is down",
    ),
    Mutation(
        "overlook a newer revision", "rollout/running.py",
        "    if revision == d.run.revision:\n        return True\n", "    if revision:\n        return True\n",
        "what was analysed is not what runs",
    ),
    Mutation(
        "promote past the gate", "rollout/running.py",
        "    if _promotion_gates(d):\n        promote(d, Cause.PASSED)", "    if True:\n        promote(d, Cause.PASSED)",
        "nobody is asked",
    ),
    Mutation(
        "end a release on a doubt", "rollout/imagecheck.py",
        'for answer in answers if answer.kind == "missing"]', 'for answer in answers if answer.kind != "exists"]',
        "a registry that has a bad minute fails sound releases",
    ),
    Mutation(
        "leave a failed promotion as it is", "rollout/rollback.py",
        "if d.run.undo_promotion and not _primary_restored(d):", "if False and not _primary_restored(d):",
        "the primary keeps the template that does not start",
    ),
    Mutation(
        "send the traffic to a dead primary", "rollout/rollback.py",
        "if d.primary is None or (serving_count(d.primary) == 0 and serving_count(d.target) > 0):", "if d.primary is None:",
        "all requests are lost by the rollback itself",
    ),
    Mutation(
        "do not wait for the kept template", "rollout/running.py",
        "if d.facts.kept is UNKNOWN or d.run.revision not in d.facts.kept:", "if False:",
        "nothing is left to promote when the target moves on",
    ),
    Mutation(
        "blame a storm on the release", "rollout/health.py",
        'storm = podhealth.storm(target.pods, d.primary.pods, d.canary.spec.pod_health) if d.primary else ""', 'storm = ""',
        "an outage of the registry fails every release under way",
    ),
    Mutation(
        "forget what was promoted", "rollout/draft.py",
        "ForgetRevisions(but=tuple(sorted(last)), configs_of=(revision,))", "ForgetRevisions(but=())",
        "there is no way back to what runs",
    ),
    # 1. capacity: autoscalers and handover
    Mutation(
        "copy the pause to the primary", "targets/scalers.py",
        "if key not in PAUSES and not key.startswith(_BOOKKEEPING)", "if not key.startswith(_BOOKKEEPING)",
        "the primary never scales again, because its target was idle when it was copied",
        ("targets/test_scalers.py",),
    ),
    Mutation(
        "leave a paused primary paused", "targets/scalers.py",
        "return owned and not held and _scaled(have)", "return owned and _scaled(have)",
        "a primary that Flagger left paused stays so",
        ("targets/test_scalers.py",),
    ),
    Mutation(
        "leave the pause of a primary that is mended", "targets/scalers.py",
        "    dropped = PAUSES | {SCALER_FLOOR}\n", "    dropped = {SCALER_FLOOR}\n",
        "the pause is seen and never taken off",
        ("targets/test_scalers.py",),
    ),
    Mutation(
        "let the primary's autoscaler follow between releases", "rollout/handover.py",
        'return ref is not None and ref.sync == "always"', "return True",
        "bounds that were never released reach the primary",
        ("rollout/test_handover.py",),
    ),
    Mutation(
        "forget an edit of replicas", "rollout/handover.py",
        "    if size is not None and primary.replicas != size:\n        d.do(ScalePrimary(size))\n", "",
        "a Deployment without an autoscaler can never be made larger",
        ("rollout/test_handover.py",),
    ),
    Mutation(
        "leave the pause when the Canary goes", "rollout/deleting.py",
        "    handover.let_go(d)\n    if target.replicas == 0", "    if target.replicas == 0",
        "KEDA keeps the target at zero, and nothing serves",
        ("rollout/test_deleting.py", "rollout/test_handover.py"),
    ),
    # 2. configs
    Mutation(
        "call all versions of a config the same", "targets/configs.py",
        'suffix = f"-{digest[:_VERSION_LENGTH]}"', 'suffix = ""',
        "running pods of the primary see a config that was not analysed",
        ("targets/test_configs.py",),
    ),
    Mutation(
        "leave copies open to edits", "targets/configs.py",
        '"immutable": True,', '"immutable": False,',
        "what was analysed is not what the primary reads",
        ("targets/test_configs.py",),
    ),
    Mutation(
        "leave binaryData out of a copy", "targets/configs.py",
        'for field in ("type", "data", "binaryData"):', 'for field in ("type", "data"):',
        "the primary starts without its keystore",
        ("targets/test_configs.py",),
    ),
    Mutation(
        "overlook a change of binaryData", "targets/configs.py",
        'if obj.get("binaryData"):', "if False:",
        "a new keystore never reaches the primary",
        ("targets/test_configs.py",),
    ),
    Mutation(
        "track what asks to be left alone", "targets/configs.py",
        'if word.startswith("disable"):', "if False:",
        "each rotation of a token is a release",
        ("targets/test_configs.py",),
    ),
    Mutation(
        "take a failed read for a change", "controller/configs.py",
        'return Tracked(UNKNOWN, f"{ref.key} cannot be read: {error}")', "continue",
        "an API server that has a bad second begins a release of every Canary",
        ("controller/test_flagger_faults.py",),
    ),
    Mutation(
        "decide while the configs are unknown", "rollout/draft.py",
        "or not target.fresh or self.facts.configs is UNKNOWN:", "or not target.fresh:",
        "a config that cannot be read counts as taken away: a release",
        ("rollout/test_decide.py", "rollout/test_edges.py", "rollout/test_flagger_faults.py"),
    ),
    Mutation(
        "give the primary the configs of now", "controller/keeping.py",
        'config_names=tracking.copy_names({**(kept.get("configs") or {}), **followed})', "config_names=tracking.copy_names(followed)",
        "a promotion that is undone leaves the primary with the configs that broke it",
        ("controller/test_configs.py",),
    ),
    Mutation(
        "leave orphaned copies", "controller/copies.py",
        "if copied and (kind, name) not in needed:", "if False:",
        "a namespace fills with old Secrets",
        ("controller/test_configs.py",),
    ),
    Mutation(
        "remove copies that are needed", "controller/copies.py",
        "if copied and (kind, name) not in needed:", "if copied:",
        "the primary's next pod does not start",
        ("controller/test_configs.py",),
    ),
    Mutation(
        "remove a copy that another Canary owns as well", "controller/copies.py",
        "            if others:\n", "            if False:\n",
        "the release of one application takes the config of another",
        ("controller/test_configs.py",),
    ),
    # 3. coming and going
    Mutation(
        "leave an edited primary", "rollout/upkeep.py",
        "if d.facts.primary_stale or emptied:", "if emptied:",
        "what was never released serves all users",
        ("rollout/test_upkeep.py",),
    ),
    Mutation(
        "leave a primary at zero", "rollout/upkeep.py",
        "if d.facts.primary_stale or emptied:", "if d.facts.primary_stale:",
        "nothing serves",
        ("rollout/test_upkeep.py",),
    ),
    Mutation(
        "make a lost primary from the target", "rollout/idle.py",
        "        d.do(EnsurePrimary(promoted, promoted))\n    mend_primary(d)",
        "        d.do(EnsurePrimary(d.target_revision, promoted))\n    mend_primary(d)",
        "a release that failed serves all users",
    ),
    Mutation(
        "give the traffic to a target that is not ready", "rollout/deleting.py",
        "if d.run.progressing_at is None and not ready and not alone:", "if False:",
        "a deletion loses requests until the target's pods are up",
        ("rollout/test_deleting.py",),
    ),
    Mutation(
        "wait for ever for what cannot be written", "rollout/deleting.py",
        "    return d.now >= _deadline(d)\n", "    return False\n",
        "a namespace hangs in Terminating",
        ("rollout/test_deleting.py",),
    ),
    Mutation(
        "lead a route to backends that proxies do not know", "routers/wayback.py",
        'return "announce" if told != have["spec"] else "lead"', 'return "lead"',
        "a proxy answers 503 until it knows the target's Service",
        ("routers/test_wayback.py",),
    ),
    Mutation(
        "end a route while ours carries traffic", "routers/wayback.py",
        'return "lead" if carries else "end"', 'return "end"',
        "a proxy forgets the backend that it still sends requests to",
        ("routers/test_wayback.py",),
    ),
    Mutation(
        "take every target of Flagger for changed", "rollout/adopting.py",
        "return target.revision_born > last", "return True",
        "the switch from Flagger begins an analysis of every Canary",
        ("rollout/test_adopting.py",),
    ),
    Mutation(
        "believe Flagger's status about the weight", "rollout/adopting.py",
        "return d.facts.route.split or Split(canary=d.status.canary_weight)", "return Split(canary=d.status.canary_weight)",
        "the switch moves traffic: at its promotion gate Flagger says 0",
        ("rollout/test_adopting.py",),
    ),
    Mutation(
        "write a primary once more that Flagger wrote", "rollout/adopting.py",
        'changes["id"] = primary.flagger_id', "pass",
        "the switch restarts the primary's pods",
        ("rollout/test_adopting.py",),
    ),
    Mutation(
        "work beside a Flagger that is still there", "controller/worker.py",
        "if self._flagger_wrote <= self._quiet_since:", "if True:",
        "two controllers fight over one route",
        ("controller/test_takeover.py", "controller/test_worker.py"),
    ),
    Mutation(
        "fight for the size that is applied again and again", "rollout/handover.py",
        "if size is not None and target.replicas > 0:", "if target.replicas > 0:",
        "GitOps and flaggerpy scale the target up and down for ever",
        ("rollout/test_handover.py",),
    ),
    Mutation(
        "fight without a pause", "controller/conflicts.py",
        "if fight is None or fight.count < 2:", "if True:",
        "two tools write as fast as they can",
        ("controller/test_conflicts.py",),
    ),
    Mutation(
        "keep a fight to ourselves", "controller/conflicts.py",
        "if fight.lasting or fight.count > 1]", "if fight.lasting]",
        "nobody is told which line of Git to change",
        ("controller/test_conflicts.py",),
    ),
    # 5. DaemonSets
    Mutation(
        "drop the nodeSelector of a DaemonSet", "targets/daemonset.py",
        '[{"op": "add", "path": key, "value": "true"}] if selector else [whole]', "[whole]",
        "after the release its pods run on every node",
        ("targets/test_daemonset.py",),
    ),
    Mutation(
        "take a DaemonSet's zero for a revision", "targets/templates.py",
        "for name, value in (spec.get(\"nodeSelector\") or {}).items() if name != SCALE_TO_ZERO}",
        "for name, value in (spec.get(\"nodeSelector\") or {}).items()}",
        "to scale a DaemonSet down begins a release of it",
        ("targets/test_templates.py", "targets/test_daemonset.py"),
    ),
    Mutation(
        "keep a DaemonSet's zero", "targets/templates.py",
        "    if SCALE_TO_ZERO in selector:\n", "    if False:\n",
        "the primary gets the key, and has no pod on any node",
        ("targets/test_templates.py", "targets/test_daemonset.py"),
    ),
    Mutation(
        "take pods of another template for ready", "targets/daemonset.py",
        "    behind = max(0, desired - updated)\n", "    behind = 0\n",
        "a DaemonSet that has not rolled out is promoted, and its deadline never runs",
        ("targets/test_daemonset.py",),
    ),
    Mutation(
        "prove a DaemonSet on no node", "targets/daemonset.py",
        'problem=unfit(obj) or (f"{_called(obj)} runs nowhere: {NO_NODE}" if nowhere else ""),', "problem=unfit(obj),",
        "what ran nowhere is promoted",
        ("targets/test_daemonset.py",),
    ),
    # what a tenant may not
    Mutation(
        "take another Canary's primary for a target", "controller/seeing.py",
        '        problems += self._taken(key, canary, "spec.targetRef", [target], "another targetRef")\n', "",
        "a Canary that names another's primary scales to zero what serves",
        ("controller/test_release.py",),
    ),
    Mutation(
        "repeat what a server was sent", "http.py",
        "return one_line(mask(text, self.secrets), longest)", "return one_line(text, longest)",
        "a token that a server echoes stands in events and logs",
        ("controller/test_secret_tokens.py",),
    ),
    Mutation(
        "follow whole Secrets", "controller/world.py",
        "self.secrets = self._watch(kinds.SECRET, metadata_only=True)", "self.secrets = self._watch(kinds.SECRET)",
        "every password of the cluster is in the controller's memory",
        ("controller/test_world.py",),
    ),
    Mutation(
        "take a command from anybody who can sign in", "dashboard/pages.py",
        'if not await _asked(person.may("patch", *key)):', "if False:",
        "who may only look promotes a release by the page",
        ("dashboard/test_pages.py",),
    ),
    Mutation(
        "call the cloud's metadata", "egress/rules.py",
        '    ("169.254.0.0/16", f"link-local: {_METADATA}"),\n', "",
        "a webhook fetches the node's credentials",
        ("egress/test_rules.py",),
    ),
)  # fmt: skip
