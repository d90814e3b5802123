"""The table of differences: what may differ between the two, and why. A difference that no rule explains is a defect.

Each rule names the fault of Flagger (`Q-12`, see docs/flagger-faults.md) that the difference comes from, or says that it is more than
Flagger does, or the same in effect for everybody who uses the object. A rule is as narrow as the difference it explains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from e2e.beside.compare import Difference

MORE = "more than Flagger"
SAME = "the same in effect"
MOMENT = r"objects/(initialized|at 20|end)"
TOLD = r"(events/(Normal|Warning)|hooks/event/body)"
"""An event, and the call of the event webhook for it."""
VERSIONED = r".*-primary-[0-9a-f]{8}"
ONE_COOKIE = "Only the very cookie keeps a visitor"
UNDONE = "A promotion that fails is undone: the primary gets its last promoted template back, then the traffic"


@dataclass(frozen=True)
class Rule:
    """`where`, `theirs` and `ours` are regular expressions that must fit the whole of the difference's; `scenarios` the names it is for."""

    number: str
    why: str
    where: str
    theirs: str = r".*"
    ours: str = r".*"
    scenarios: str = r".*"

    def explains(self, found: Difference) -> bool:
        pairs = ((self.where, found.where), (self.theirs, found.theirs), (self.ours, found.ours), (self.scenarios, found.scenario))
        return all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in pairs)


RULES: tuple[Rule, ...] = (
    # what stands beside Flagger's words
    Rule(MORE, "Ready, Reconciling and Stalled stand beside the condition Promoted", "conditions", "Promoted", r"Promoted(, \w+)+"),
    Rule(
        "Q-56",
        "The status tells what runs, what is waited for, what failed and what was released before",
        r"status/(?!last|tracked|session|primary|previous)\w+",
        "-",
        "is there",
    ),
    Rule(
        MORE,
        "Hooks have a key by which a receiver knows a repetition",
        r"hooks/[^/]+/headers",
        "content-type",
        "content-type, idempotency-key",
    ),
    Rule(MORE, "Alerts of errors carry the facts of the release", r"alerts/Failed checks threshold reached \d+/attachments/0/fields", "-"),
    # events
    Rule(
        "Q-63",
        "What is waited for stands in the status instead of an event at every look",
        TOLD,
        r".*not ready: waiting for rollout.*",
        "-",
    ),
    Rule(
        "Q-63", "Nothing is said about metric providers where no metric is asked", TOLD, r".*all the metrics providers are available!", "-"
    ),
    Rule("Q-63", "Event webhooks are called for the events that there are", "hooks/event/count"),
    Rule("Q-25", "A rollback says why, in an event and an alert", TOLD, "-", r".*Rolling back \S+ .*", "skip|missing-image"),
    Rule("Q-25", "A rollback says why, in an event and an alert", "alerts", "-", r"Canary failed: .*", "skip|missing-image"),
    Rule(
        "Q-51",
        "Post-rollout hooks are called once the end is written, and hold up nothing",
        "events/order",
        r".*Post-rollout check post-rollout passed → Promotion completed!.*",
        r".*Promotion completed!.* → Post-rollout check post-rollout passed.*",
    ),
    Rule(
        MORE,
        "Event webhooks tell the phase that was reached",
        r"hooks/event/body (Post-rollout check|Terminat(ing|ed) canary|Halt \S+ advancement waiting for( \w+)* approval) .*/phase",
    ),
    Rule("Q-63", "A rollback hook that asks for nothing is no event", TOLD, r".*Rollback hook \S+ not signaling a rollback", "-"),
    Rule(MORE, "Rollback hooks are asked every two seconds", "hooks/rollback/count"),
    Rule(
        "Q-35",
        "No data: the metric that does not exist is named",
        TOLD,
        r"(.*no values found( for .*)?|-)",
        r"(.*no values found; metric .*|-)",
        "no-traffic",
    ),
    # objects
    Rule(
        MORE,
        "The primary tells which revision it runs",
        rf"{MOMENT}/Deployment .*-primary/(spec/template/metadata/)?annotations/flagger.app/revision",
        "-",
    ),
    Rule("Q-18", "The promoted template is kept, and the run's", rf"{MOMENT}/ControllerRevision .*", "-", "is there"),
    Rule(
        SAME,
        "Annotations of the target that are not asked for (-include-label-prefix) are not copied at the start either; Flagger takes"
        " them off the primary at the first promotion",
        rf"{MOMENT}/Deployment .*-primary/annotations/example.com/note",
        "d",
        "-",
    ),
    Rule(
        "Q-19",
        "Copies of ConfigMaps and Secrets have their version in the name",
        rf"{MOMENT}/Deployment .*-primary/.*/name",
        ".*-primary",
        VERSIONED,
    ),
    Rule("Q-19", "Copies of ConfigMaps and Secrets tell whose they are", rf"{MOMENT}/(ConfigMap|Secret) .*/labels/flagger.app/canary", "-"),
    Rule("Q-19", "Copies of ConfigMaps and Secrets cannot be edited", rf"{MOMENT}/(ConfigMap|Secret) .*/immutable", "-"),
    Rule("Q-49", "A Service of the user keeps its other ports", rf"{MOMENT}/Service .*/spec/ports/metrics", "-"),
    Rule(
        "Q-49",
        "What a Service of the user was before is kept, and given back",
        rf"{MOMENT}/Service .*/annotations/flagger.kubernetes.io/original-configuration",
        "-",
    ),
    Rule(
        "Q-49",
        "After the Canary Flux may follow the user's Service again",
        r"objects/end/Service .*/annotations/.*toolkit.*",
        "disabled",
        "-",
        "deletion",
    ),
    Rule(
        "Q-61",
        "The route that the Canary made goes on leading visitors in: it leads to the target and stays",
        r"objects/end/HTTPRoute deletion",
        "-",
        "is there",
        "deletion",
    ),
    Rule("Q-49", "Labels of the apex Service do not leak to the route", rf"{MOMENT}/HTTP(Route|Proxy) .*/labels/app", ".+", "-"),
    # strategies
    Rule("Q-60", "A release without analysis waits for the primary like any other", "phases|promoted", scenarios="skip"),
    Rule("Q-60", "A release without analysis waits for the primary like any other", TOLD, "-", ".*Routing all traffic to primary", "skip"),
    Rule(
        "Q-23",
        "The last iteration is not repeated while the promotion gate is asked",
        "iterations",
        "0, 1, 2, 3, 0",
        "0, 1, 2, 0",
        "deployment",
    ),
    Rule(
        "Q-23",
        "The last iteration is not repeated while the promotion gate is asked",
        r"hooks/(rollout|confirm-promotion)/count",
        scenarios="deployment",
    ),
    Rule("Q-56", "status.canaryWeight tells the weight that the route has, in blue/green too", "weights", "0", "0, 100, 0", "bg"),
    # routes
    Rule(SAME, "An A/B route has its match during a run only", rf"(routes/0|{MOMENT}/HTTPRoute .*/spec)/rules", scenarios="ab"),
    Rule(SAME, "An A/B route has its match during a run only", rf"(routes/0|{MOMENT}/HTTPProxy .*/spec)/routes", scenarios="match-contour"),
    Rule(SAME, "A side without traffic is written with weight 0", r"routes/match/rules/1/backendRefs/.*-canary", "-", scenarios="ab"),
    Rule(SAME, "A side without traffic is written with weight 0", r".*/services/[^/]+-(canary|primary)/weight", "-", "0"),
    Rule("Q-43", "Each condition of an HTTPProxy is an entry of its own", "routes/match/routes/0/conditions", scenarios="match-contour"),
    Rule("Q-38", ONE_COOKIE, r"routes/50/rules/\d/matches/0/headers/Cookie/value"),
    Rule("Q-38", "The primary's cookie ends with the run", "status/primarySessionAffinityCookie", r"primary-cookie=VALUE", "-", "affinity"),
    Rule(MORE, "Flux is told to leave TrafficSplits alone as well", rf"{MOMENT}/TrafficSplit .*/annotations/.*toolkit.*", "-", "disabled"),
    Rule("Q-38", ONE_COOKIE, rf"(routes/0|{MOMENT}/HTTPRoute .*/spec)/rules/0/matches/0/headers/Cookie/value", scenarios="affinity"),
    Rule(
        "Q-38",
        "The header that takes a cookie back is set for its bearer's backend only",
        rf"(routes/0|{MOMENT}/HTTPRoute .*/spec)/rules/0/(backendRefs/affinity-primary/)?filters",
        scenarios="affinity",
    ),
    Rule(MORE, "The image is looked for before a pod is made", TOLD, "-", r".*Image check of .*", "skip|missing-image"),
    # only if a pod of the newer template is ready, or none of the older one is, before its revision is known: most often it is not told
    Rule(
        MORE,
        "The weight leaves pods as soon as their template moves on",
        TOLD,
        "-",
        r".*Cut \S+ canary weight to 0: the target has moved on to another revision",
        "restart",
    ),
    # gates
    Rule("Q-23", "A closed promotion gate leaves the iterations alone", "iterations", "0, -1, 0", "0", "gates"),
    Rule(
        "Q-26",
        "A closed traffic gate does not start the analysis anew at every look",
        r"hooks/(pre-rollout|confirm-traffic-increase)/count",
        scenarios="gates",
    ),
    Rule(
        SAME,
        "How often a gate is asked depends on the time it takes to open",
        r"hooks/confirm-(rollout|promotion)/count",
        scenarios="gates",
    ),
    # a promotion that fails
    Rule("Q-1", UNDONE, "weights|routed|replicas|routes/100|notes/.*", scenarios="promotion"),
    Rule("Q-1", UNDONE, r"objects/end/Deployment promotion/spec/replicas", "1", "0", "promotion"),
    Rule(
        "Q-1", UNDONE, r"objects/end/Deployment promotion-primary/spec/template/spec/containers/app/(image|ports/.*)", scenarios="promotion"
    ),
    Rule(
        "Q-1", UNDONE, r"objects/end/HTTPRoute promotion/spec/rules/0/backendRefs/promotion-(primary|canary)/weight", scenarios="promotion"
    ),
    Rule("Q-1", UNDONE, TOLD, "-", r".*Canary failed! Scaling down .*", "promotion"),
    Rule(
        "Q-7",
        "What the primary lacks is told, not only that its time is over",
        rf"{TOLD}|alerts",
        r".*exceeded its progress deadline",
        "-",
        "promotion",
    ),
    Rule(
        "Q-7",
        "What the primary lacks is told, not only that its time is over",
        rf"{TOLD}|alerts",
        "-",
        r".*Promotion .*failed, primary not ready: .*",
        "promotion",
    ),
)


def rule_for(found: Difference, rules: tuple[Rule, ...] = RULES) -> Rule | None:
    """The first rule that explains a difference; None for an unexplained one."""
    return next((rule for rule in rules if rule.explains(found)), None)
