"""The manifests of docs/gitops.md, for the tests to apply: the page says nothing that was not tried."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from e2e.kube import Object

PAGE = Path(__file__).parents[2] / "docs" / "gitops.md"
NAME = "podinfo"
"""What the application of the page is called."""


def manifests(name: str) -> list[Object]:
    """Every object of the page, for an application of this name."""
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    found = (each for block in blocks for each in yaml.safe_load_all(block.replace(NAME, name)))
    return [each for each in found if isinstance(each, dict) and "kind" in each]


def of_kind(kind: str, name: str) -> list[Object]:
    return [each for each in manifests(name) if each["kind"] == kind]


def applications(name: str) -> list[Object]:
    """The Applications of Argo CD that have rules."""
    return [each for each in of_kind("Application", name) if "ignoreDifferences" in each["spec"]]
