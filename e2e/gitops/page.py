"""The manifests of docs/gitops.md, for the tests to apply: the page says nothing that was not tried."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from e2e.kube import Object

PAGE = Path(__file__).parents[2] / "docs" / "gitops.md"
NAME = "podinfo"
"""What the application of the page is called."""
IMAGE = "ghcr.io/stefanprodan/podinfo:6.9.2"
KUSTOMIZE = "kustomize.config.k8s.io/v1beta1"


def manifests() -> list[Object]:
    """Every object of the page."""
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    return [each for block in blocks for each in yaml.safe_load_all(block)]


def of(api_version: str) -> Object:
    """The one object of the page that has this apiVersion."""
    (found,) = (each for each in manifests() if each["apiVersion"] == api_version)
    return found


def application(image: str, namespace: str) -> list[Object]:
    """Deployment and Canary, with an image that the cluster has, and quicker than on the page."""
    deployment, canary = of("apps/v1"), of("flagger.app/v1beta1")
    for each in (deployment, canary):
        each["metadata"]["namespace"] = namespace
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    container["image"] = image
    canary["spec"]["analysis"]["interval"] = "2s"
    canary["spec"]["podHealth"] = {"settle": "2s"}
    return [deployment, canary]


def command(beginning: str) -> list[str]:
    """The words of the page's command that begins so."""
    (line,) = (line for line in PAGE.read_text().splitlines() if line.startswith(beginning))
    return line.split()
