"""The scripts: Flagger's own end-to-end scenarios, and what theirs leave out. Each is played once with either controller.

A script only does what a user does and waits for what a user sees; everything else is written down and compared afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from e2e.beside.actor import Actor
from e2e.beside.manifests import STEPS, canary, chat, configs, deployment, metric, root_proxy, users_service
from e2e.beside.story import Object

ITERATIONS: Object = {"interval": "10s", "threshold": 2, "iterations": 2}
INSIDERS = [{"headers": {"x-canary": {"exact": "insider"}}}]


@dataclass(frozen=True)
class Scenario:
    """`name` is that of the application as well; `theirs` names the scripts of Flagger's that it takes the place of."""

    name: str
    title: str
    theirs: str
    play: Callable[[Actor], None]


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, title: str, theirs: str = "") -> Callable[[Callable[[Actor], None]], Callable[[Actor], None]]:
    def add(play: Callable[[Actor], None]) -> Callable[[Actor], None]:
        SCENARIOS[name] = Scenario(name, title, theirs, play)
        return play

    return add


def begin(a: Actor, released: Object, *more: Object, tracked: bool = False) -> None:
    """Everything applied, and initialised."""
    a.apply(chat(a), *more, deployment(a, tracked=tracked), released)
    a.phase("Initialized")
    a.settle(lambda: a.replicas() == 0, "the target at zero")
    a.quiet()
    a.moment("initialized")


def ends(a: Actor, *phases: str) -> None:
    a.phase(*phases)
    a.settle(lambda: a.replicas() == 0 or phases == ("Failed",), "the target at zero")
    a.quiet()
    a.moment("end")


@scenario("deployment", "blue/green by Services, with a Service that was there before", "kubernetes/test-deployment")
def _deployment(a: Actor) -> None:
    hooks = [a.hook("confirm-promotion"), a.hook("pre-rollout"), a.hook("rollout")]
    begin(a, canary(a, {**ITERATIONS, "webhooks": hooks}, provider="kubernetes"), users_service(a))
    a.release("1.0.1")
    ends(a, "Succeeded")


@scenario("weights", "weights behind a Gateway, tracked configs, discovered ports, every field of the Service", "gatewayapi/test-canary")
def _weights(a: Actor) -> None:
    template, passing = metric(a, 0)
    service: Object = {
        "portDiscovery": True,
        "portName": "http",
        "timeout": "15s",
        "headers": {"request": {"add": {"x-added": "1"}, "set": {"x-set": "2"}, "remove": ["x-gone"]}},
        "apex": {"labels": {"apex": "label"}, "annotations": {"apex": "annotation"}},
        "primary": {"labels": {"primary": "label"}, "annotations": {"primary": "annotation"}},
        "canary": {"labels": {"canary": "label"}, "annotations": {"canary": "annotation"}},
    }
    hooks = [a.hook("pre-rollout"), a.hook("rollout"), a.hook("post-rollout")]
    released = canary(a, {**STEPS, "metrics": [passing], "webhooks": hooks}, service=service)
    begin(a, released, *configs(a), template, tracked=True)
    a.note("before", a.version())
    a.release("1.0.1")
    a.weight("20")
    a.moment("at 20")
    ends(a, "Succeeded")
    a.note("after", a.version())


@scenario(
    "failing", "a metric fails; the promoted image comes back; the failed one comes again", "gatewayapi/test-canary, nginx/test-lifecycle"
)
def _failing(a: Actor) -> None:
    template, failing = metric(a, 50)
    begin(a, canary(a, {**STEPS, "metrics": [failing], "webhooks": [a.hook("post-rollout")]}), template)
    a.release("1.0.1")
    ends(a, "Failed")
    a.note("after the failure", a.version())
    a.release("1.0.0")
    a.quiet(25)
    a.note("phase after the promoted image came back", a.now_in())
    a.release("1.0.1")
    a.phase("Progressing")
    a.phase("Failed")
    a.quiet()


@scenario("no-traffic", "the built-in metrics, without traffic", "")
def _no_traffic(a: Actor) -> None:
    metrics = [{"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}]
    begin(a, canary(a, {**STEPS, "threshold": 1, "metrics": metrics}))
    a.release("1.0.1")
    ends(a, "Failed")


@scenario("bg", "blue/green behind a Gateway", "gatewayapi/test-bg")
def _bg(a: Actor) -> None:
    begin(a, canary(a, {**ITERATIONS, "webhooks": [a.hook("pre-rollout"), a.hook("rollout")]}))
    a.release("1.0.1")
    ends(a, "Succeeded")
    a.note("after", a.version())


@scenario("ab", "A/B by a header behind a Gateway", "gatewayapi/test-ab")
def _ab(a: Actor) -> None:
    begin(a, canary(a, {**ITERATIONS, "match": INSIDERS}))
    a.release("1.0.1")
    a.weight("match")
    a.settle(lambda: a.version(x_canary="insider") == "1.0.1", "insiders at the canary")
    a.note("everybody else meanwhile", a.version())
    ends(a, "Succeeded")
    a.note("insiders afterwards", a.version(x_canary="insider"))


@scenario("affinity", "session affinity behind a Gateway", "gatewayapi/test-session-affinity")
def _affinity(a: Actor) -> None:
    cookies = {"cookieName": "flagger-cookie", "primaryCookieName": "primary-cookie", "maxAge": 3600}
    begin(a, canary(a, {**STEPS, "stepWeight": 50, "maxWeight": 50, "sessionAffinity": cookies}))
    a.release("1.0.1")
    a.weight("50")
    a.settle(lambda: "set-cookie" in a.get().headers, "cookies")
    seen: dict[str, str] = {}
    while len(seen) < 2:
        answer = a.get()
        seen.setdefault(answer.json()["version"], answer.headers.get("set-cookie", ""))
    for version, cookie in sorted(seen.items()):
        a.note(f"cookie of {version}", cookie)
        a.note(f"with the cookie of {version}", sorted({a.version(Cookie=cookie.split(";")[0]) for _ in range(5)}))
    ends(a, "Succeeded")
    old = seen["1.0.1"]
    a.settle(lambda: "Max-Age=-1" in a.get(Cookie=old.split(";")[0]).headers.get("set-cookie", ""), "the cookie to be taken back")
    a.note("the old cookie is answered by", a.get(Cookie=old.split(";")[0]).headers["set-cookie"])
    a.note("who has none is answered by", a.get().headers.get("set-cookie", ""))


@scenario("contour", "weights by an HTTPProxy that a root includes", "contour/test-canary")
def _contour(a: Actor) -> None:
    service = {"timeout": "15s", "retries": {"attempts": 3, "perTryTimeout": "5s", "retryOn": "5xx"}, "apex": {"labels": {"apex": "label"}}}
    begin(a, canary(a, provider="contour", service=service), root_proxy(a))
    a.release("1.0.1")
    a.weight("20")
    a.moment("at 20")
    ends(a, "Succeeded")
    a.note("after", a.version())


@scenario("match-contour", "A/B by an HTTPProxy", "contour/test-canary")
def _match_contour(a: Actor) -> None:
    begin(a, canary(a, {**ITERATIONS, "match": INSIDERS}, provider="contour"), root_proxy(a))
    a.release("1.0.1")
    a.weight("match")
    a.settle(lambda: a.version(x_canary="insider") == "1.0.1", "insiders at the canary")
    a.note("everybody else meanwhile", a.version())
    ends(a, "Succeeded")


@scenario("smi", "weights by a TrafficSplit", "")
def _smi(a: Actor) -> None:
    begin(a, canary(a, provider="smi:v1alpha2"))
    a.release("1.0.1")
    ends(a, "Succeeded")


@scenario("skip", "analysis skipped; then an image that is missing", "istio/test-skip-analysis")
def _skip(a: Actor) -> None:
    hooks = [a.hook("pre-rollout"), a.hook("post-rollout")]
    begin(a, canary(a, {**STEPS, "webhooks": hooks}, skipAnalysis=True, progressDeadlineSeconds=40))
    a.release("1.0.1")
    ends(a, "Succeeded")
    a.release("9.9.9")
    a.phase("Progressing")
    a.phase("Failed")
    a.quiet()
    a.note("the primary after the failure", image_of(a))


def image_of(a: Actor) -> str:
    pod = a.kube.get("Deployment", f"{a.name}-primary", a.namespace)["spec"]["template"]["spec"]
    return str(pod["containers"][0]["image"]).rpartition("/")[2]


@scenario("missing-image", "an image that is missing", "istio/test-skip-analysis")
def _missing_image(a: Actor) -> None:
    begin(a, canary(a, {**STEPS, "webhooks": [a.hook("post-rollout")]}, progressDeadlineSeconds=40))
    a.release("9.9.9")
    ends(a, "Failed")
    a.note("the primary after the failure", image_of(a))
    a.note("who serves", a.version())


@scenario("gates", "each gate closed, then opened", "")
def _gates(a: Actor) -> None:
    kinds = ("confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "post-rollout")
    for kind in ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion"):
        a.answer(kind, 403)
    begin(a, canary(a, {**STEPS, "stepWeight": 50, "maxWeight": 50, "webhooks": [a.hook(kind) for kind in kinds]}))
    a.release("1.0.1")
    a.phase("Waiting")
    a.note("replicas while waiting", a.replicas())
    a.answer("confirm-rollout", 200)
    a.event("waiting for traffic increase approval")
    a.answer("confirm-traffic-increase", 200)
    a.phase("WaitingPromotion")
    a.note("the route while waiting for the promotion", a.route())
    a.answer("confirm-promotion", 200)
    ends(a, "Succeeded")


@scenario("rollback-hook", "a rollback hook asks for the release back", "")
def _rollback_hook(a: Actor) -> None:
    a.answer("rollback", 403)
    begin(a, canary(a, {**STEPS, "webhooks": [a.hook("rollback"), a.hook("post-rollout")]}))
    a.release("1.0.1")
    a.weight("20")
    a.answer("rollback", 200)
    ends(a, "Failed")


@scenario("promotion", "the primary cannot take over the new revision", "")
def _promotion(a: Actor) -> None:
    """A port of the one node can be held once: by the canary's pod, and so not by the primary's."""
    begin(a, canary(a, {**STEPS, "stepWeight": 40, "webhooks": [a.hook("post-rollout")]}, progressDeadlineSeconds=40))
    held = {"name": "app", "image": a.image("1.0.1"), "ports": [{"containerPort": 9898, "hostPort": port_of(a), "name": "http"}]}
    body = {"spec": {"template": {"spec": {"containers": [held]}}}}
    a.kube.ask("PATCH", a.kube.path("Deployment", a.namespace, a.name), body, "application/strategic-merge-patch+json")
    a.phase("Promoting")
    a.phase("Failed")
    a.quiet()
    a.moment("end")
    a.note("who serves", a.version())
    a.note("the primary", image_of(a))


def port_of(a: Actor) -> int:
    """A port of the node for each controller: they play at the same time."""
    return 31000 + sum(a.namespace.encode()) % 100


@scenario("restart", "a newer image comes in the middle of a run", "")
def _restart(a: Actor) -> None:
    begin(a, canary(a, {**STEPS, "webhooks": [a.hook("pre-rollout")]}))
    a.release("1.0.1")
    a.weight("20")
    a.release("1.0.2")
    ends(a, "Succeeded")
    a.note("after", a.version())


@scenario("deletion", "the Canary is deleted, with revertOnDeletion", "istio/test-canary, with revertOnDeletion")
def _deletion(a: Actor) -> None:
    begin(a, canary(a, revertOnDeletion=True), users_service(a))
    a.note("finalizers", a.kube.get("Canary", a.name, a.namespace)["metadata"].get("finalizers"))
    a.kube.delete("Canary", a.name, a.namespace)
    a.settle(lambda: a.kube.find("Canary", a.name, a.namespace) is None, "the Canary gone", 120)
    a.settle(lambda: a.kube.find("Deployment", f"{a.name}-primary", a.namespace) is None, "the primary gone", 60)
    a.quiet(3)
    a.moment("end")
