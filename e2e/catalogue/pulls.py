"""Images that cannot be pulled, each for a cause of its own: the verdict, what a person reads, and that a fault that ends is forgiven.

Every row has a registry of its own before the sandbox's (`sites`). A row's note names the published list of causes that it stands for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from e2e.catalogue.row import CRASHED, NOT_STARTED, Row, Step, Verdict, app
from e2e.catalogue.sites import (
    ALICE,
    AUTHORITY,
    NAMES,
    Open,
    Site,
    application,
    foreign,
    foreign_alone,
    nothing,
    pair,
    pulling,
    secret,
    trust,
    unpackable,
)
from e2e.catalogue.watched import is_ready, pods_of
from e2e.core.stage import Stage
from e2e.kube import until
from e2e.registry import PLAIN, RESETS, SILENT, Basic, Bearer, Fault, Speech, faults, tls
from e2e.registry.certificates import self_signed
from e2e.sandbox.layout import NODE_IP, REGISTRY

NOW, GRACE, DEADLINE = Verdict.NOW, Verdict.GRACE, Verdict.DEADLINE
LATE = {"spec": {"podHealth": {"certainGrace": "60s"}}}
"""For what is certain at once and yet may come a moment late: a tag, a secret."""
DOUBT = {"spec": {"podHealth": {"doubtfulGrace": "90s"}}}
"""For what the kubelet tells late, so that its next try would come after the grace."""
LISTED = "In the usual lists of causes of ImagePullBackOff: "


def healed(_: Stage, open: Open) -> None:
    open.registry.heal()


def speaks(speech: Speech) -> Step:
    """From now on it speaks so."""

    def turn(_: Stage, open: Open) -> None:
        open.registry.speech = speech

    return turn


def certified(site: Site) -> Speech:
    """With a certificate that the node trusts where the site does."""
    return tls(AUTHORITY.certificate(site.name))


def renewed(_: Stage, open: Open) -> None:
    open.registry.speech = certified(open.site)


def trusted(stage: Stage, open: Open) -> None:
    """The node is given the authority: what a person does on the nodes."""
    trust(stage.sandbox, open.site.host)


def resolved(_: Stage, open: Open) -> None:
    NAMES[open.site.name] = NODE_IP


def listening(_: Stage, open: Open) -> None:
    open.registry.listen()


def pushed(_: Stage, open: Open) -> None:
    application(open.site, open.registry.store)


def granted(stage: Stage, open: Open) -> None:
    stage.kube.apply(secret(open.site.id, open.site.host, "alice", ALICE["alice"]), namespace=stage.namespace)


def waited(_: Stage, __: Open) -> None:
    """Nothing is mended: it only takes its time."""


LARGE = Site("large", faults=lambda _: [faults.trickling(1_000)])
"""What the node pulls before all others."""


@contextmanager
def one_by_one(stage: Stage) -> Iterator[Open]:
    """The node pulls one image after the other (the kubelet's default), and a large one is under way."""
    sandbox, pod = stage.sandbox, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "large", "namespace": stage.namespace}}
    setting = sandbox.layout.conf / "kubelet.d" / "serial.conf"
    setting.write_text(json.dumps(SERIAL))
    restarted(stage)
    try:
        with LARGE.opened(stage) as large:
            stage.kube.apply(pod | {"spec": {"containers": [app(LARGE.image)], "terminationGracePeriodSeconds": 0}})
            until(lambda: any("/blobs/" in asked.path for asked in large.registry.asked), 60, "the large image to be under way")
            yield large
            large.registry.heal()
            stage.kube.delete("Pod", "large", stage.namespace)
    finally:
        setting.unlink()
        restarted(stage)


SERIAL = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "serializeImagePulls": True}


def restarted(stage: Stage) -> None:
    """The kubelet with its new configuration, and the primary ready again."""
    stage.sandbox.stop("kubelet")
    stage.sandbox.start("kubelet")
    until(lambda: all(is_ready(pod) for pod in pods_of(stage, f"{stage.name}-primary")), 60, "the primary to be ready again")


def behind_others(site: Site) -> Callable[[Stage], AbstractContextManager[Open]]:
    @contextmanager
    def opened(stage: Stage) -> Iterator[Open]:
        with site.opened(stage), one_by_one(stage) as large:
            yield large

    return opened


Made = Callable[[str], list[Fault]]


def on_all(make: Callable[[], Fault]) -> Made:
    """A fault that is made when the row is played."""
    return lambda _: [make()]


def on_layer(make: Callable[..., Fault], *arguments: Any) -> Made:
    """A fault that meets the image's own layer only."""
    return lambda layer: [make(*arguments, path=layer)]


IMAGES: list[Row] = [
    pulling(
        Site("repository-missing", filled=nothing),
        ["image {image} of container app does not exist", "the registry {host} answered"], NOW, note=f"{LISTED}image missing.",
    ),
    *pair(
        Site("tag-missing", filled=lambda site, store: application(site, store, "0.9.0")),
        ["image {image} of container app does not exist"], NOW, pushed, LATE, note=f"{LISTED}tag missing.",
    ),
    Row(
        "image-misspelt", {"containers": [app(f"{REGISTRY}/togle:1.0.1")]}, "app", frozenset({"ErrImagePull", "ImagePullBackOff"}),
        (f"image {REGISTRY}/togle:1.0.1 of container app does not exist",), NOW, note=f"{LISTED}image or tag misspelt.",
    ),
    Row(
        "image-name-invalid", {"containers": [app(f"{REGISTRY}/Toggle:1.0.1")]}, "app", frozenset({"InvalidImageName"}),
        (f"the image name {REGISTRY}/Toggle:1.0.1 of container app is not a valid image name",), NOW,
        note=f"{LISTED}image name invalid.",
    ),
    Row(
        "policy-never", {"containers": [app(f"{REGISTRY}/toggle:7.7.7", imagePullPolicy="Never")]}, "app", frozenset({"ErrImageNeverPull"}),
        (f"image {REGISTRY}/toggle:7.7.7 of container app is not on the node", "imagePullPolicy Never"), NOW,
    ),
    pulling(
        Site("wrong-architecture", filled=foreign),
        ["image {image} of container app was not built for this node's platform"], NOW,
    ),
    pulling(
        Site("wrong-architecture-unlisted", filled=foreign_alone), ["container app"], Verdict.CRASHES,
        reasons=CRASHED | NOT_STARTED,
    ),
    *pair(
        Site("manifest-corrupted", faults=on_all(lambda: faults.altered(path=faults.MANIFESTS))),
        ["what the registry {host} sent of image {image} of container app is not what was asked for"], GRACE, healed,
        note=f"{LISTED}image corrupted.",
    ),
    *pair(
        Site("layer-corrupted", faults=on_layer(faults.altered)),
        ["what the registry {host} sent of image {image} of container app is not what was asked for"], GRACE, healed,
        note=f"{LISTED}image corrupted.",
    ),
    *pair(
        Site("layer-missing", faults=on_layer(faults.failing, 404)),
        ["a part of image {image} of container app is missing in the registry {host}"], GRACE, healed,
    ),
    pulling(
        Site("layer-no-archive", filled=unpackable),
        ["image {image} of container app cannot be unpacked on the node"], GRACE, note=f"{LISTED}image corrupted.",
    ),
]  # fmt: skip

NETWORK: list[Row] = [
    *pair(
        Site("name-unknown", named=True, plain=True, resolved=""),
        ["the registry's name {host}, for image {image} of container app, cannot be resolved"], GRACE, resolved,
        note=f"{LISTED}network.",
    ),
    *pair(
        Site("name-server-silent", named=True, plain=True, resolved=None),
        ["for image {image} of container app, cannot be resolved"], GRACE, resolved, DOUBT, note=f"{LISTED}network.",
    ),
    *pair(
        Site("connection-refused", listens=False),
        ["the registry {host} refused the connection for image {image} of container app"], GRACE, listening, note=f"{LISTED}network.",
    ),
    *pair(
        Site("connection-reset", speech=RESETS),
        ["the registry {host} broke off the connection for image {image} of container app"], GRACE, speaks(PLAIN), note=f"{LISTED}network.",
    ),
    *pair(
        Site("handshake-unanswered", named=True, speech=SILENT, trusts=True),
        ["the registry {host} of image {image} of container app does not answer in time"], GRACE, renewed, DOUBT, note=f"{LISTED}network.",
    ),
    *pair(
        Site("request-unanswered", faults=on_all(faults.hanging)),
        ["image {image} of container app is still being pulled"], DEADLINE, healed, container="", deadline=20,
    ),
    *pair(
        Site("plain-http", named=True, speech=PLAIN, trusts=True),
        ["the registry {host} of image {image} of container app speaks plain HTTP where the node expects HTTPS"], GRACE, renewed,
        note=f"{LISTED}plain-HTTP registry.",
    ),
    *pair(
        Site("https-only", speech=certified),
        ["the registry {host} did not understand the request for image {image} of container app"], GRACE, speaks(PLAIN),
    ),
    *pair(
        Site("certificate-self-signed", named=True, speech=lambda site: tls(self_signed(site.name)), trusts=True),
        ["the certificate of the registry {host}, for image {image} of container app, is not trusted"], GRACE, renewed,
        note=f"{LISTED}self-signed certificate.",
    ),
    *pair(
        Site("certificate-untrusted", named=True, speech=certified),
        ["the certificate of the registry {host}, for image {image} of container app, is not trusted"], GRACE, trusted,
        note=f"{LISTED}private certificate authority.",
    ),
    *pair(
        Site("certificate-of-another", named=True, speech=lambda _: tls(AUTHORITY.certificate("elsewhere.test")), trusts=True),
        ["the certificate of the registry {host}, for image {image} of container app, is for another name", "valid for elsewhere.test"],
        GRACE, renewed,
    ),
    *pair(
        Site("certificate-expired", named=True, speech=lambda site: tls(AUTHORITY.expired(site.name)), trusts=True),
        ["the certificate of the registry {host}, for image {image} of container app, is out of date"], GRACE, renewed,
    ),
]  # fmt: skip

ACCESS: list[Row] = [
    pulling(
        Site("no-credentials", auth=Basic(ALICE)),
        ["the registry {host} wants credentials for image {image} of container app, and the pod brings none"], NOW,
        note=f"{LISTED}private registry without credentials.",
    ),
    pulling(
        Site("no-credentials-token", auth=Bearer(ALICE)),
        ["the registry {host} gives out no image {image} for container app", "without credentials, as the pod names no pull secret"], NOW,
        note=f"{LISTED}private registry without credentials.",
    ),
    pulling(
        Site("wrong-credentials", auth=Basic(ALICE), user=("alice", "wrong")),
        ["the registry {host} refuses the credentials for image {image} of container app", "with pull secret {id}, which is wrong"], NOW,
        note=f"{LISTED}authentication.",
    ),
    pulling(
        Site("wrong-credentials-token", auth=Bearer(ALICE), user=("alice", "wrong")),
        ["the registry {host} refuses the credentials for image {image} of container app", "with pull secret {id}, which is wrong"], NOW,
        note=f"{LISTED}authentication.",
    ),
    pulling(
        Site("forbidden", auth=Basic(ALICE, forbidden="/forbidden"), user=("alice", "secret")),
        ["the registry {host} forbids the pull of image {image} of container app", "it may not be read with pull secret {id}"], NOW,
        note=f"{LISTED}authentication.",
    ),
    *pair(
        Site("pull-secret-absent", auth=Basic(ALICE)),
        ["pull secret {id} of pod {id}-", "does not exist, and the registry {host} refuses image {image} of container app without it"],
        GRACE, granted, secret=True,
    ),
]  # fmt: skip

LOAD: list[Row] = [
    *pair(
        Site("rate-limit", faults=on_all(faults.rate_limited)),
        ["the registry {host} holds back image {image} of container app"], GRACE, healed, note=f"{LISTED}rate limit.",
    ),
    *pair(
        Site("rate-limit-retry-after", faults=on_all(lambda: faults.rate_limited(120))),
        ["the registry {host} holds back image {image} of container app"], GRACE, healed, note=f"{LISTED}rate limit.",
    ),
    *pair(
        Site("server-error", faults=on_all(lambda: faults.failing(500))),
        ["the registry {host} failed on image {image} of container app with 500 Internal Server Error"], GRACE, healed,
    ),
    *pair(
        Site("registry-unavailable", faults=on_all(lambda: faults.failing(503))),
        ["the registry {host} failed on image {image} of container app with 503 Service Unavailable"], GRACE, healed,
    ),
    *pair(
        Site("layer-unavailable", faults=on_layer(faults.failing, 502)),
        ["the registry {host} failed on image {image} of container app with 502 Bad Gateway"], GRACE, healed,
    ),
    # a pull is never given up before the deadline, however long it takes
    *pair(
        Site("pull-slow", faults=on_all(lambda: faults.trickling(5_000))),
        ["image {image} of container app is still being pulled"], DEADLINE, waited, {"spec": {"progressDeadlineSeconds": 120}},
        container="", deadline=20, note=f"{LISTED}time-out of a large pull.",
    ),
]  # fmt: skip

QUEUE: list[Row] = [
    pulling(
        QUEUED := Site("pull-queued"), ["image {image} of container app is still being pulled"], DEADLINE, container="", deadline=20,
        alone=True, around=behind_others(QUEUED), note=f"{LISTED}pull time-out behind queued large pulls.",
    ),
    pulling(
        QUEUED_LATER := Site("pull-queued-heals"), ["image {image} of container app is still being pulled"], Verdict.PROMOTED, container="",
        alone=True, around=behind_others(QUEUED_LATER), heal=healed, note=f"{LISTED}pull time-out behind queued large pulls.",
    ),
]  # fmt: skip

ROWS = [*IMAGES, *NETWORK, *ACCESS, *LOAD, *QUEUE]
