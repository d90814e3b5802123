"""The play: six releases as data. Each is a change of a pod template as a user would make it, and what should come of it.

It can be given on several providers. What a provider cannot do is told as another story: without weights nobody meets a version before
it is promoted, so one that fails is found out by a trial of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Template = dict[str, Any]

PORT = 9898
APP = "podinfo"
PROVIDERS = ("gatewayapi:v1", "contour", "traefik", "kubernetes")
UNTOLD = 25.0
"""Seconds that a story may take longer where nobody tells when a route took effect: five after each change of the weight."""


@dataclass(frozen=True)
class Images:
    """Where the images of the play come from, as references that pods of the cluster can pull."""

    first: str
    good: str
    missing: str
    beside_crasher: str
    crasher: str
    failing: str
    """A version that answers 500 from some moment on; see `Story.fail_at`."""
    crasher_command: tuple[str, ...] = ()
    """The crasher's command, where its image does not crash by itself."""
    crasher_port: int = 0
    """A port on which the crasher answers its readiness probe between its crashes; 0 for none."""
    failing_environment: Mapping[str, str] = field(default_factory=dict)
    probe: Mapping[str, int] = field(default_factory=dict)
    """Fields to add to the application's readiness probe."""
    failing_on_demand: bool = True
    """True when the failing version fails from the POST /fail on, False when it fails by itself."""


def sandbox_images(registry: str) -> Images:
    """The sandbox's own: podinfo, a crasher, and an application that fails when it is told to."""
    return Images(
        first=f"{registry}/podinfo:1.0.0",
        good=f"{registry}/podinfo:1.0.1",
        missing=f"{registry}/podinfo:1.0.9",
        beside_crasher=f"{registry}/podinfo:1.0.2",
        crasher=f"{registry}/crasher:1.0.0",
        crasher_command=("/crasher", "-after", "1500ms", "-port", "9797"),
        crasher_port=9797,
        failing=f"{registry}/toggle:1.0.3",
    )


def public_images(registry: str = "") -> Images:
    """For a cluster that is not ours: public ones, or podinfo and crasher of the sandbox's tags from a registry of one's own.

    Podinfo can fail at random, but from its start only, and then its probes fail too now and then. It counts its probes' answers among all
    others, so the first of them must not come before it is ready.
    """
    podinfo = f"{registry}/podinfo:1.0." if registry else "ghcr.io/stefanprodan/podinfo:6.9."
    return Images(
        first=f"{podinfo}0",
        good=f"{podinfo}1",
        missing=f"{podinfo}9999",
        beside_crasher=f"{podinfo}2",
        crasher=f"{registry}/crasher:1.0.0" if registry else "docker.io/library/busybox:1.37",
        crasher_command=("/crasher", "-after", "1500ms") if registry else ("sh", "-c", "sleep 1; exit 1"),
        failing=f"{podinfo}2",
        failing_environment={"PODINFO_RANDOM_ERROR": "true"},
        failing_on_demand=False,
        probe={"initialDelaySeconds": 3, "failureThreshold": 10},
    )


@dataclass(frozen=True)
class Story:
    """One release. `highest_weight` bounds the canary's share at any moment, `within` is in seconds from the change to the verdict."""

    key: str
    title: str
    template: Template
    outcome: Literal["Succeeded", "Failed"]
    within: float
    highest_weight: int
    cause_names: tuple[str, ...] = ()
    """Words that the cause must contain, in any case."""
    may_lose: bool = False
    fail_at: int | None = None
    """The canary's weight at which its pods are told to answer 500."""
    needs_metrics: bool = False
    by_hand: bool = False
    """A confirm-promotion gate stays closed, and a person promotes."""
    checks_images: bool = False
    """The registry is asked first (`podHealth.imageCheck: Fail`), and no pod may be made."""


def template(
    images: Images, image: str, *, environment: Mapping[str, str] | None = None, sidecar: Mapping[str, Any] | None = None
) -> Template:
    """The pod template of the application: ready within a second of its start, and gone without a lost request."""
    app: dict[str, Any] = {
        "name": APP,
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 2, **images.probe},
        "env": [
            {"name": "LINGER", "value": "3s"},
            *({"name": name, "value": value} for name, value in (environment or {}).items()),
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    return {
        "metadata": {"labels": {"app": APP}, "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}},
        "spec": {"terminationGracePeriodSeconds": 10, "containers": [app, *([dict(sidecar)] if sidecar else [])]},
    }


def crashing_sidecar(images: Images) -> dict[str, Any]:
    """A container that exits with 1 after a moment, again and again; with a port it is ready in between."""
    sidecar: dict[str, Any] = {"name": "sidecar", "image": images.crasher}
    if images.crasher_command:
        sidecar["command"] = list(images.crasher_command)
    if images.crasher_port:
        sidecar["readinessProbe"] = {"httpGet": {"path": "/", "port": images.crasher_port}, "periodSeconds": 1}
    return sidecar


def stories(images: Images, provider: str = PROVIDERS[0]) -> tuple[Story, ...]:
    """The six acts, as they go with this provider."""
    if provider == "kubernetes":
        return tuple(_without_weights(act) for act in _acts(images))
    if provider == "traefik":
        return tuple(replace(act, within=act.within + UNTOLD) for act in _acts(images))
    return _acts(images)


_WEIGHTS = "A new version gets 20, 40 and 60 % of the visitors, 4 seconds each, and is promoted when all was well."
_PROLOGUES = {
    "gatewayapi:v1": ("flaggerpy splits the requests by the weights of the HTTPRoute that it writes.", _WEIGHTS),
    "contour": (
        "flaggerpy splits the requests by the weights of the HTTPProxy that it writes; one of yours, with the host, includes it.",
        _WEIGHTS,
    ),
    "traefik": (
        "flaggerpy splits the requests by the weights of the TraefikService that it writes; an IngressRoute of yours leads to it.",
        _WEIGHTS,
        "Traefik does not say when it has taken a weight: after each change five seconds are waited.",
    ),
    "kubernetes": (
        "There is no router, and Services know no weights: this is blue/green.",
        "A new version runs beside the old one without visitors; a webhook tries it three times, 4 seconds apart, with 20 requests.",
        "When it has passed it is promoted: the pods that serve the visitors are replaced by such of the new version, one by one.",
    ),
}


def prologue(provider: str) -> tuple[str, ...]:
    """How this provider's visitors come to meet a new version, in sentences for the audience."""
    return _PROLOGUES[provider]


def _without_weights(act: Story) -> Story:
    """Blue/green: the canary carries nobody's requests, so no version can lose any; the one that fails, fails its trial."""
    act = replace(act, highest_weight=0)
    if not act.needs_metrics:
        return act
    title = "a version that answers 500 to the one who tries it"
    fail_at = None if act.fail_at is None else 0
    return replace(act, title=title, cause_names=("trial",), may_lose=False, needs_metrics=False, fail_at=fail_at)


def _acts(images: Images) -> tuple[Story, ...]:
    return (
        Story("a", "a good release", template(images, images.good), "Succeeded", within=50, highest_weight=100),
        Story(
            "b",
            "an image tag that the registry does not have",
            template(images, images.missing),
            "Failed",
            within=30,
            highest_weight=0,
            cause_names=(images.missing,),
        ),
        Story(
            "c",
            "a sidecar that crash-loops while the main container is ready",
            template(images, images.beside_crasher, sidecar=crashing_sidecar(images)),
            "Failed",
            within=45,
            highest_weight=0,
            cause_names=("sidecar",),
        ),
        Story(
            "d",
            "a version that answers 500 once it carries 40 %" if images.failing_on_demand else "a version that answers 500 at random",
            template(images, images.failing, environment=images.failing_environment),
            "Failed",
            within=60,
            highest_weight=40 if images.failing_on_demand else 20,
            cause_names=("success",),
            may_lose=True,
            fail_at=40 if images.failing_on_demand else None,
            needs_metrics=True,
        ),
        Story(
            "e",
            "a closed gate before the promotion, then `flaggerpy promote`",
            template(images, images.beside_crasher),
            "Succeeded",
            within=60,
            highest_weight=60,
            cause_names=("promote by flaggerpy-cli",),
            by_hand=True,
        ),
        Story(
            "f",
            "a missing tag again, with `imageCheck: Fail`",
            template(images, images.missing, environment={"IMAGE_CHECK": "Fail"}),
            "Failed",
            within=15,
            highest_weight=0,
            cause_names=(images.missing,),
            checks_images=True,
        ),
    )
