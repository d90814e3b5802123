"""The plain manifests hold the CRDs and rights of this tree; that they are all that the chart renders is told in e2e/install."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flaggerpy.controller import rbac

Obj = dict[str, Any]
ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "kustomize" / "base"
SAY = "run python -m e2e.install.render (it needs Go, once, to build Helm)"


def objects(file: Path) -> list[Obj]:
    return [obj for obj in yaml.safe_load_all(file.read_text()) if obj]


CRDS = [obj for file in sorted((ROOT / "crds").glob("*.yaml")) for obj in objects(file)]


@pytest.mark.parametrize("file", [ROOT / "deploy" / "install.yaml", BASE / "crds.yaml"], ids=lambda file: file.name)
def test_the_crds_are_those_of_this_tree(file: Path) -> None:
    assert [obj for obj in objects(file) if obj["kind"] == "CustomResourceDefinition"] == CRDS, SAY


def test_the_roles_are_those_of_this_tree() -> None:
    granted = [rule for obj in objects(BASE / "rbac.yaml") for rule in obj.get("rules", ())]
    wanted = [rule for obj in rbac.manifests() for rule in obj.get("rules", ())]
    assert set(rbac.reviews(granted)) == set(rbac.reviews(wanted)), SAY


def test_install_yaml_is_the_kustomize_base_in_one_file() -> None:
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert objects(ROOT / "deploy" / "install.yaml") == [obj for name in names for obj in objects(BASE / name)], SAY


def test_the_example_overlay_changes_an_image_that_the_base_has() -> None:
    overlay = yaml.safe_load((ROOT / "deploy" / "kustomize" / "overlays" / "example" / "kustomization.yaml").read_text())
    [deployment] = [obj for obj in objects(BASE / "controller.yaml") if obj["kind"] == "Deployment"]
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image.partition(":")[0] == overlay["images"][0]["name"]
    assert deployment["metadata"]["name"] == overlay["replicas"][0]["name"]
