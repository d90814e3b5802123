"""The rules that the end-to-end tests hold on a real cluster, as data: how each is taken out, and the test that fails without it."""

from __future__ import annotations

from tests.mutations.table import Mutation

CONFIGS = "e2e/core/test_configs.py"
COMING = "e2e/core/test_coming_and_going.py"
GITOPS = "e2e/core/test_gitops.py"
DAEMONSETS = "e2e/core/test_daemonsets.py"
DRIFT = "e2e/gitops/test_drift.py"
FENCING = "e2e/standby/test_fencing.py"
FLUX = "e2e/gitops/test_flux.py"
HPA = "e2e/providers/test_autoscaling.py"
KEDA = "e2e/providers/test_keda.py"
ROUTES = "e2e/core/test_routes.py"
ISTIO = "e2e/providers/test_istio.py"
NGINX = "e2e/providers/test_nginx.py"
REFUSED = "e2e/providers/test_refused.py"
TRAEFIK = "e2e/providers/test_traefik.py"
TAKEOVER = "e2e/takeover/test_takeover.py"

RULES = (
    # capacity
    Mutation(
        "the canary has its pods first", "rollout/handover.py",
        "    if target is None or scaler is None:\n        return True\n", "    if True:\n        return True\n",
        "a canary of two pods gets the load of four",
        (f"{HPA}::test_each_switch_finds_the_pods_that_it_needs",),
    ),
    Mutation(
        "the primary keeps its size in a run", "rollout/handover.py",
        "    if primary is None or scaler is None:\n        return\n    if d.run.floor is None:",
        "    if True:\n        return\n    if d.run.floor is None:",
        "a rollback finds a primary that shrank while it was idle",
        (f"{HPA}::test_a_rollback_finds_the_primary_as_it_was",),
    ),
    Mutation(
        "sync: always", "rollout/handover.py",
        'return ref is not None and ref.sync == "always"', "return False",
        "a new bound waits for a release that may never come",
        (f"{HPA}::test_a_bound_that_is_changed_reaches_the_primary_as_asked",),
    ),
    Mutation(
        "KEDA is paused at zero", "targets/scalers.py",
        "    if paused and present != \"0\":", "    if False:",
        "KEDA scales an idle target up again",
        (f"{KEDA}::test_a_release_under_keda_finds_its_pods_and_the_pause_stands_between_releases",),
    ),
    Mutation(
        "a pause never stays on the primary", "targets/scalers.py",
        "return owned and not held and", "return owned and",
        "a primary is paused at zero",
        (f"{KEDA}::test_a_pause_that_somebody_puts_or_takes_off_is_put_right",),
    ),
    # GitOps tools
    Mutation(
        "Flux leaves Services alone", "api/names.py",
        '    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",\n', "",
        "Flux leads the Service back to the target with each pass",
        (f"{FLUX}::test_services_are_left_alone_by_flux",),
    ),
    Mutation(
        "who keeps up a target is named", "controller/resized.py",
        "        self._conflicts.stands(", "        str(",
        "pods stand idle for ever, and nobody knows why",
        (f"{FLUX}::test_replicas_that_flux_sets_again_and_again_disturb_no_release_and_no_request",),
    ),
    Mutation(
        "what Git sets is left to Git", "targets/deployment.py",
        '[{"op": "add", "path": "/spec/replicas", "value": replicas}]',
        '[{"op": "add", "path": "/spec/replicas", "value": replicas}, {"op": "add", "path": "/metadata/labels/app", "value": "ours"}]',
        "a tool and we write the same field in turn, with every release",
        (f"{DRIFT}::test_git_that_is_applied_in_every_phase_changes_nothing[Deployment-client-side]",),
    ),
    # two replicas
    Mutation(
        "late writes are refused", "cluster/client.py",
        'if key != "managedFields"}', 'if key not in ("managedFields", "resourceVersion", "uid")}',
        "a leader that stood still undoes what its successor did",
        (f"{FENCING}::test_what_a_leader_had_on_the_way_when_it_stood_still_is_refused_when_it_arrives",),
    ),
    # configs
    Mutation(
        "copies are versions", "targets/configs.py",
        '    suffix = f"-{digest[:_VERSION_LENGTH]}"\n', '    suffix = ""\n',
        "pods that run see a config that was not analysed",
        (f"{CONFIGS}::test_each_config_is_treated_as_it_says",),
    ),
    Mutation(
        "copies that nothing needs go", "controller/copies.py",
        "if copied and (kind, name) not in needed:", "if False:",
        "a namespace fills up with copies",
        (f"{CONFIGS}::test_each_config_is_treated_as_it_says",),
    ),
    Mutation(
        "a config may be followed", "targets/configs.py",
        "        if word == known:\n", "        if False:\n",
        "a rotated password waits for a release",
        (f"{CONFIGS}::test_each_config_is_treated_as_it_says",),
    ),
    Mutation(
        "a failed promotion restores", "rollout/rollback.py",
        "if d.run.undo_promotion and not _primary_restored(d):", "if False and not _primary_restored(d):",
        "the primary keeps a config with which it does not start",
        (f"{CONFIGS}::test_a_promotion_that_fails_gives_the_former_config_back",),
    ),
    # coming and going
    Mutation(
        "nothing of the user's stays ours", "controller/leaving.py",
        'entries if as_it_is else [entry for entry in entries if entry.get("manager") != FIELD_MANAGER]', "entries",
        "the owner's next apply runs into a conflict",
        (f"{COMING}::test_a_running_deployment_comes_and_goes_without_a_lost_request",),
    ),
    Mutation(
        "the Service is given back", "rollout/deleting.py",
        "    if not d.facts.apex_back:\n        return _step(", "    if False:\n        return _step(",
        "the Service leads to pods that are gone",
        (f"{COMING}::test_a_running_deployment_comes_and_goes_without_a_lost_request",),
    ),
    Mutation(
        "what was made for visitors stays", "rollout/deleting.py",
        "        d.do(LeaveBehind(primary=False))\n", "        pass\n",
        "the only way in goes with the Canary",
        (f"{COMING}::test_what_the_canary_had_made_goes_on_leading_visitors_in",),
    ),
    Mutation(
        "what serves stays", "rollout/deleting.py",
        "    d.do(LeaveBehind(primary=True))\n", "",
        "a deletion takes the application down",
        (f"{COMING}::test_a_failing_target_does_not_take_down_what_serves",),
    ),
    Mutation(
        "that nothing serves is told", "controller/farewell.py",
        "        if sentence and target is not None:", "        if False:",
        "an application is down and nobody knows how it comes back",
        (f"{COMING}::test_a_deletion_without_revert_is_told_at_the_target",),
    ),
    # GitOps
    Mutation(
        "the primary stays what was promoted", "rollout/upkeep.py",
        "    if d.facts.primary_stale or emptied:\n", "    if False:\n",
        "what somebody typed runs in production, unanalysed",
        (f"{GITOPS}::test_a_primary_stays_what_was_promoted",),
    ),
    Mutation(
        "a fight is named", "controller/worker.py",
        "    if told is None and not conflicts:\n", "    if True:\n",
        "two controllers write for ever and nobody is told",
        (f"{GITOPS}::test_manifests_that_are_applied_again_and_again_disturb_no_release",),
    ),
    # DaemonSets
    Mutation(
        "a DaemonSet at zero has no pods", "targets/daemonset.py",
        "        if is_scaled_to_zero(obj) == (replicas == 0):\n", "        if True:\n",
        "an idle target runs on each node",
        (f"{DAEMONSETS}::test_the_daemonset_of_the_manual_is_released_rolled_back_and_given_back",),
    ),
    Mutation(
        "the key of zero is never kept", "targets/templates.py",
        "    if SCALE_TO_ZERO in selector:\n", "    if False:\n",
        "a promoted primary runs on no node",
        (f"{DAEMONSETS}::test_the_daemonset_of_the_manual_is_released_rolled_back_and_given_back",),
    ),
    Mutation(
        "pods that cannot be made are explained", "controller/unmade.py",
        "        if due:\n", "        if False:\n",
        "a deadline passes and nobody knows of the quota",
        (f"{DAEMONSETS}::test_a_quota_is_named_and_ends_the_release_at_its_deadline",),
    ),
    # routers
    Mutation(
        "weights sum to 100: gatewayapi", "routers/gatewayapi.py",
        "service.port, 100 - weight, handed[0])", "service.port, max(90 - weight, 0), handed[0])",
        "the canary gets more than its share",
        (f"{ROUTES}::test_what_is_written_is_admitted_and_read_back",),
    ),
    Mutation(
        "weights sum to 100: contour", "routers/contour.py",
        "manifest.primary_service(canary), 100 - weight)", "manifest.primary_service(canary), max(90 - weight, 0))",
        "the canary gets more than its share",
        (f"{ROUTES}::test_what_is_written_is_admitted_and_read_back",),
    ),
    Mutation(
        "weights sum to 100: istio", "routers/istio_rules.py",
        '"weight": 100 - weight}', '"weight": max(90 - weight, 0)}',
        "the canary gets more than its share",
        (f"{ISTIO}::test_what_is_written_is_admitted_and_read_back",),
    ),
    Mutation(
        "weights sum to 100: smi", "routers/smi.py",
        "self._weight(100 - split.canary)", "self._weight(max(90 - split.canary, 0))",
        "the canary gets more than its share",
        (f"{ROUTES}::test_what_is_written_is_admitted_and_read_back",),
    ),
    Mutation(
        "weights sum to 100: traefik", "routers/traefik.py",
        "sides = [(manifest.primary_service(canary), 100 - split.canary)", "sides = [(manifest.primary_service(canary), 90)",
        "the canary gets another share than its step's",
        (f"{TRAEFIK}::test_a_release_is_measured_at_traefik_and_promoted_and_its_weights_are_those_of_the_requests",),
    ),
    Mutation(
        "a route that is right is not written", "routers/taken.py",
        "    return Observed(split, accepted, judges, refusal, in_shape, foreign)",
        "    return Observed(split, accepted, judges, refusal, False, foreign)",
        "every look at a route writes it",
        (f"{ROUTES}::test_what_is_written_is_admitted_and_read_back",),
    ),
    Mutation(
        "a route of the user's stays the user's", "routers/manifest.py",
        '    if current is None or is_ours(current, canary):\n        meta["ownerReferences"]',
        '    if True:\n        meta["ownerReferences"]',
        "it goes with the Canary",
        (f"{TRAEFIK}::test_a_traefik_service_of_the_user_is_taken_over_and_given_back_without_a_lost_request",),
    ),
    Mutation(
        "what the user's Ingress says is in the copy", "routers/nginx.py",
        "annotations = _copied(model, prefix) | _canary_annotations", "annotations = _canary_annotations",
        "the canary is served by other rules than the primary",
        (f"{NGINX}::test_edits_of_either_ingress_keep_the_weight",),
    ),
    Mutation(
        "a route of the user's is given back", "routers/taken.py",
        "    if known or not manifest.names_primary(canary, have):\n        return known\n", "    if True:\n        return []\n",
        "it leads to a primary that goes",
        (f"{TRAEFIK}::test_a_traefik_service_of_the_user_is_taken_over_and_given_back_without_a_lost_request",),
    ),
    Mutation(
        "what a split cannot say is refused", "routers/fields.py",
        "    if plan.match and not supports.match:", "    if False:",
        "an A/B test sends everybody to the canary",
        (f"{REFUSED}::test_what_a_provider_cannot_do_is_refused_by_name",),
    ),
    Mutation(
        "what a route cannot say is refused", "routers/fields.py",
        "if name in REFUSED and name not in honours]", "if False]",
        "a match is passed over, and the route takes every request",
        (f"{REFUSED}::test_what_a_provider_cannot_do_is_refused_by_name",),
    ),
    # takeover of a live Flagger
    Mutation(
        "a takeover reads the weight in the route", "rollout/adopting.py",
        "    return d.facts.route.split or Split(canary=d.status.canary_weight)", "    return Split(canary=d.status.canary_weight)",
        "Flagger's status says 0 at a promotion gate: the canary loses its traffic",
        (f"{TAKEOVER}::test_canaries_in_every_phase_change_hands_and_go_back",),
    ),
    Mutation(
        "a promotion of Flagger's is not done twice", "rollout/adopting.py",
        "    if status.phase in LATE and primary is not None and", "    if False and primary is not None and",
        "the pods of a primary are rolled a second time",
        (f"{TAKEOVER}::test_canaries_in_every_phase_change_hands_and_go_back",),
    ),
    Mutation(
        "only a younger ReplicaSet is a release", "rollout/adopting.py",
        "    return target.revision_born > last", "    return True",
        "every Canary is analysed anew",
        (f"{TAKEOVER}::test_canaries_in_every_phase_change_hands_and_go_back",),
    ),
    Mutation(
        "no lead beside Flagger's CRD", "controller/checks.py",
        "    if not lacking:\n        return []", "    return []",
        "the memory of every release is dropped by the API server",
        (f"{TAKEOVER}::test_canaries_in_every_phase_change_hands_and_go_back",),
    ),
    Mutation(
        "a Flagger that writes is left alone", "controller/worker.py",
        "        if self._flagger_wrote <= self._quiet_since:\n            return False", "        return False",
        "two controllers move the same weights",
        (f"{TAKEOVER}::test_two_controllers_at_once_do_no_harm",),
    ),
    Mutation(
        "a Canary is handed back with Flagger's hashes", "cli/handback.py",
        "    written |= dict(zip(HASHED, hashes, strict=True))", "    written |= {name: stored[name] for name in HASHED if name in stored}",
        "Flagger begins an analysis of each",
        (f"{TAKEOVER}::test_canaries_in_every_phase_change_hands_and_go_back",),
    ),
)  # fmt: skip
