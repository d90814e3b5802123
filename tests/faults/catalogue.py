"""What is wrong in Flagger 1.44, one sentence a fault, found by reading its source; and what of it we have not built yet.

A test that shows a fault absent is marked `@pytest.mark.fault("Q-12")`. A fault needs such a test, or a `later`, or both (where only a
part is built). Numbers are never given anew: 47 was never given.
"""

from __future__ import annotations

from dataclasses import dataclass


def other(what: str) -> str:
    return f"{what}: not built yet"


@dataclass(frozen=True)
class Fault:
    """`text` is what Flagger does wrong; `later` names what is not built yet, "" where everything that it concerns is."""

    text: str
    later: str = ""


FAULTS: dict[str, Fault] = {
    "Q-1": Fault(
        "After a promotion that failed, the next release sends all traffic to the broken primary and takes away the canary that served."
    ),
    "Q-2": Fault(
        "A promotion copies what the target holds at that instant: a change made while hooks and metrics were asked goes live unanalysed."
    ),
    "Q-3": Fault(
        "While promoting and finalising nobody looks at the target: a new template takes live traffic without analysis.",
    ),
    "Q-4": Fault("Promoting in steps (`stepWeightPromotion`) with the canary's weight at 0 already does nothing, for ever."),
    "Q-5": Fault("One Canary with a fraction in a whole-number field passes admission and then stops the watch of all Canaries."),
    "Q-6": Fault(
        "A first status write that fails, or a spec that is refused, is dropped: the Canary is never looked at and nothing says"
        " so.",
    ),
    "Q-7": Fault(
        "The progress deadline does not fire while the Deployment counts as available: of four pods one may crash-loop for ever, "
        "as may pods that a quota keeps back."
    ),
    "Q-8": Fault("A revision pushed during a rollback, or met by a passing error while Failed, is marked as seen and lost."),
    "Q-9": Fault(
        "Any difference in a route, even the order of a map, rewrites it with weights 100/0 in the middle of a run, and the status keeps "
        "the old weight.",
        other("Gloo, Kuma, Skipper, APISIX"),
    ),
    "Q-10": Fault(
        "A/B testing on a provider without header matches sends all live traffic to the canary at the first iteration.",
    ),
    "Q-11": Fault("Mirroring where it is not supported repeats the first step for ever."),
    "Q-12": Fault("The default metric interval of one minute never reaches templates: their queries ask over an empty range."),
    "Q-13": Fault("`-no-cross-namespace-refs` is checked only when a Canary is first seen: a later edit gets past it."),
    "Q-14": Fault("An alert without a severity, which should be info, never fires."),
    "Q-15": Fault(
        "A DaemonSet's deadline counts from the last status write: one pod away for a moment fails a release that is new.",
    ),
    "Q-16": Fault("A bootstrap that failed stays failed: a mended target never reaches the primary until somebody deletes it."),
    "Q-17": Fault(
        "A target that changes while it is initialised counts as promoted, and the primary keeps running the older template.",
    ),
    "Q-18": Fault(
        "A primary deleted by hand is made anew from the target as it is, be that a revision that failed, with one replica.",
    ),
    "Q-19": Fault(
        "The primary's copies of ConfigMaps are edited in place: running pods see the new config before its release, and keep "
        "it after a failure.",
    ),
    "Q-20": Fault(
        "A DaemonSet's primary that is made anew copies the selector that scales the target to zero, and counts as ready with "
        "no pod.",
    ),
    "Q-21": Fault(
        "A Knative revision that fails is waited for without end, and weights are read back from a status that lags.",
        other("Knative"),
    ),
    "Q-22": Fault(
        "`stepWeights` that do not hold the present weight jump to 100; equal or falling ones, or a step of 0, hang in silence.",
    ),
    "Q-23": Fault(
        "While a promotion gate is closed the status tells weight 0 and iteration -1 though traffic stays, and a gate that closed between "
        "two looks leaves everything on the canary."
    ),
    "Q-24": Fault("Rollback hooks are not asked while the release waits for approval."),
    "Q-25": Fault("A rollback at the progress deadline sends no alert."),
    "Q-26": Fault("A closed traffic gate at weight 0 starts the analysis anew, with its hooks and an alert, at every tick."),
    "Q-27": Fault(
        "Every move waits for the next tick: detection, gates, readiness, promotion and finalising cost an interval each.",
    ),
    "Q-28": Fault("A Canary with `revertOnDeletion` hangs in deletion for ever when its target or Service went first."),
    "Q-29": Fault(
        "Some inputs end the whole controller, and end it again after each restart.",
        other("Skipper, Knative, Gloo, Datadog"),
    ),
    "Q-30": Fault("Another interval starts a second loop beside the first, and a loop may outlive its Canary."),
    "Q-31": Fault(
        "Objects are read into partial types and written back whole: fields that Flagger does not know are lost.",
    ),
    "Q-32": Fault(
        "A primary ScaledObject copies the pause of its source and stays at zero pods; rewritten queries hit more than names.",
    ),
    "Q-33": Fault(
        "The primary's HPA never gets the labels and annotations of its source and is written anew at every tick.",
    ),
    "Q-34": Fault(
        "Built-in metrics select the wrong series: the primary's pods for DaemonSets, the target where the Service has another name.",
        other("Gloo, Kuma, APISIX, OSM"),
    ),
    "Q-35": Fault("A canary that answers with nothing but errors is taken for one without traffic."),
    "Q-36": Fault(
        "Answers of metric servers are misread: the last of several series counts, infinity is a value, no rows are 0.",
        other("InfluxDB, Datadog, Dynatrace, Stackdriver, Keptn, New Relic"),
    ),
    "Q-37": Fault("Each query adds another Authorization header to the cached MetricTemplate."),
    "Q-38": Fault(
        "Session affinity loses cookies when a status write conflicts, matches other cookies that look alike, and lets the deletion of an "
        "old one leak to everybody."
    ),
    "Q-39": Fault(
        "What is kept of a VirtualService to give it back is overwritten with Flagger's own at the next difference.",
    ),
    "Q-40": Fault("A matcher that the Gateway API router does not support is swallowed, and everybody is sent to the canary."),
    "Q-41": Fault("Header matches in nginx annotations test values for keys, and of several headers a random one wins."),
    "Q-42": Fault("A Skipper Ingress that does not lead to the Service passes as if it did.", other("Skipper")),
    "Q-43": Fault(
        "Contour: prefix and suffix of a header match anywhere in it, a regular expression matches nothing, and entries that "
        "are alternatives must all hold.",
    ),
    "Q-44": Fault(
        "Gloo: an A/B route leaves everybody else without a route, and labels and later changes of the upstream are dropped.",
        other("Gloo"),
    ),
    "Q-45": Fault("Traefik: a weight of 0 is left out, which Traefik reads as 1."),
    "Q-46": Fault("Kuma: routes of equal names in two namespaces are one, and it is never deleted.", other("Kuma")),
    "Q-48": Fault(
        "App Mesh: labels are compared with annotations, so every tick writes; selectors use the wrong name.",
        other("App Mesh"),
    ),
    "Q-49": Fault(
        "A Service of the user loses its other ports; UDP becomes TCP, equal port names collide, and a revert restores the "
        "selector only.",
    ),
    "Q-50": Fault("A target of kind Service is copied with addresses that API servers refuse.", other("Services as targets")),
    "Q-51": Fault(
        "Webhooks: the text of a 5xx answer is lost, 203 and 204 count as failures, `disableTLS` drops the proxy, and event hooks "
        "hold up the release."
    ),
    "Q-52": Fault(
        "A replica that does not lead edits objects, requests outlive a lost lease, and the health check says nothing of the "
        "loop.",
    ),
    "Q-53": Fault(
        "Documented settings do nothing or are refused: log level `warning`, an AlertProvider with address and Secret, some "
        "chart values.",
    ),
    "Q-54": Fault("Metrics of deleted Canaries stay, and the number of Canaries of an emptied namespace never returns to 0."),
    "Q-55": Fault(
        "The load tester crashes on an unknown task, mistakes its intervals, and keeps gates in memory.",
        other("the load tester"),
    ),
    "Q-56": Fault(
        "The status does not say why a release is stuck, keeps failed checks after a success, and says `scaled to zero` where "
        "nothing was.",
    ),
    "Q-57": Fault(
        "An unknown provider is taken for Istio, an unknown metric provider for Prometheus, an unknown kind for a Deployment.",
    ),
    "Q-58": Fault("A revision is a hash over Go structures: an upgrade of the controller releases everything anew."),
    "Q-59": Fault("A primary that was scaled to 0 by hand counts as ready."),
    "Q-60": Fault("`skipAnalysis` takes the canary away before the primary has rolled out."),
    "Q-61": Fault("Deleting a Canary leaves nothing that serves: target at 0, primary and Services gone."),
    "Q-62": Fault("Two Canaries of one target fight over it; only the log says so."),
    "Q-63": Fault("Each idle Canary costs a dozen API requests a tick, and writes events and log lines all the time."),
    "Q-64": Fault("Anti-affinity and spread are rewritten only where the label's value is the Deployment's name."),
    "Q-65": Fault("A config that cannot be read for a moment counts as gone, and that as a new revision."),
}
NEVER_GIVEN = {47}
