"""Istio's published CustomResourceDefinitions of what the router istio writes, applied where a test asks."""

from __future__ import annotations

import yaml

from e2e.kube import Kube, until_established
from e2e.sandbox.build import part_dir, part_named

WANTED = ("virtualservices.networking.istio.io", "destinationrules.networking.istio.io")


def install(kube: Kube) -> None:
    """VirtualServices and DestinationRules, served; safe to repeat."""
    [file] = (part_dir(part_named("istio")) / "crds").glob("*.yaml")
    kube.apply(*(crd for crd in yaml.safe_load_all(file.read_text()) if crd and crd["metadata"]["name"] in WANTED))
    for name in WANTED:
        until_established(kube, name, 30)
