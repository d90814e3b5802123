"""Every manifest of the docs is taken by the API server as it stands, unknown fields refused (a dry run); many are applied for real in
the tests that name their page. Kinds that this cluster does not serve are listed, each with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from e2e.core.controllers import Controller
from e2e.kube import Kube, KubeError, Object

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
ELSEWHERE = {
    "IngressRoute": "Traefik's CRDs: e2e/providers/test_traefik.py applies it",
    "Application": "Argo CD's own CRD is in no module that can be had",
    "Kustomization": "Flux's CRDs: e2e/gitops applies it",
}


def blocks(page: Path) -> list[list[Object]]:
    """The YAML blocks of a page that are manifests; fragments of one are none, nor is a kustomization."""
    found = []
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        loaded = [each for each in yaml.safe_load_all(block) if isinstance(each, dict)]
        objects = [each for each in loaded if {"kind", "apiVersion", "metadata"} <= each.keys()]
        if objects:
            found.append(objects)
    return found


MANIFESTS = [(page.relative_to(ROOT), obj) for page in PAGES for objects in blocks(page) for obj in objects]


def test_every_manifest_is_taken(kube: Kube, controller: Controller, namespace: str) -> None:
    refused = []
    for page, obj in MANIFESTS:
        if obj["kind"] in ELSEWHERE:
            continue
        obj["metadata"]["namespace"] = namespace
        path = kube.path(obj["kind"], namespace, api_version=obj["apiVersion"])
        try:
            kube.ask("POST", path, obj, dryRun="All", fieldValidation="Strict")
        except KubeError as error:
            refused.append(f"{page}, {obj['kind']} {obj['metadata']['name']}: {error}")
    assert refused == []


def test_no_kind_is_listed_in_vain() -> None:
    assert {obj["kind"] for _, obj in MANIFESTS} >= set(ELSEWHERE)
