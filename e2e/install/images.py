"""Images for the suite: flaggerpy's own, by its builder, and Flagger 1.44's, both in the sandbox's registry."""

from __future__ import annotations

import http.client

from e2e.install.helm import ROOT
from e2e.sandbox import Sandbox, images, namespaces
from e2e.sandbox.build import build, program
from e2e.sandbox.layout import REGISTRY
from release import image as builder
from release import oci

NAME = "flaggerpy"
FLAGGERS = "fluxcd/flagger"
FLAGGERS_TAG = "1.44.0"


def push_ours(sandbox: Sandbox, *tags: str) -> str:
    """flaggerpy's image of this tree under these tags; answers its digest."""
    built = builder.build(ROOT).image
    host, port = REGISTRY.split(":")
    with namespaces.inside(sandbox.layout):
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            for blob in (*(layer.content for layer in built.layers), built.config):
                images.push_blob(connection, NAME, blob)
            for tag in tags:
                path = f"/v2/{NAME}/manifests/{tag}"
                images.ask(connection, "PUT", path, {201}, built.manifest, {"Content-Type": oci.MANIFEST})
        finally:
            connection.close()
    return built.digest


def push_flaggers(sandbox: Sandbox) -> None:
    """Flagger 1.44, laid out as its own image is; its chart's probes run wget in it."""
    build(("flagger", "wget"))
    files = {"home/flagger/flagger": program("flagger", "flagger"), "usr/bin/wget": program("wget", "wget")}
    config: dict[str, object] = {"WorkingDir": "/home/flagger", "Env": ["PATH=/usr/bin:/bin"], "User": "10001"}
    sandbox.push(images.Image(FLAGGERS, FLAGGERS_TAG, files, config))


def push_prometheus(sandbox: Sandbox) -> str:
    """The sandbox's Prometheus as an image; answers its reference."""
    files = {"bin/prometheus": program("prometheus", "prometheus")}
    return sandbox.push(images.Image("prom/prometheus", "v3", files, {"Entrypoint": ["/bin/prometheus"], "User": "65534"}))
