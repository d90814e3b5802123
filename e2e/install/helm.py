"""Helm 3 as a person uses it, from the sandbox's part `helm`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from e2e.sandbox.build import build, part_dir, part_named
from e2e.sandbox.versions import KUBERNETES

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "flaggerpy"
Obj = dict[str, Any]


class HelmError(RuntimeError):
    """Helm ended with an error; the text is what it said."""


class Helm:
    """`kubeconfig` is needed for what talks to a cluster."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        build(("helm",))
        self._program = str(part_dir(part_named("helm")) / "helm")
        self._words = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []

    def run(self, *words: str, values: Mapping[str, Any] | None = None, timeout: float = 300.0) -> str:
        """One command; answers what it printed. Raises HelmError."""
        given = ["-f", "-"] if values is not None else []
        text = json.dumps(values) if values is not None else None
        done = subprocess.run(
            [self._program, *words, *given, *self._words], input=text, capture_output=True, text=True, timeout=timeout
        )
        if done.returncode != 0:
            raise HelmError(f"{done.stdout}\n{done.stderr}".strip())
        return done.stdout

    def template(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        name: str = "flagger",
        namespace: str = "flagger-system",
        chart: str = str(CHART),
        words: Sequence[str] = (),
    ) -> list[Obj]:
        """The objects that a chart renders, hooks among them, in Helm's order; `words` are more of the command's."""
        command = ["template", name, chart, "--namespace", namespace, "--kube-version", KUBERNETES, *words]
        return [obj for obj in yaml.safe_load_all(self.run(*command, values=values or {})) if obj]


def chart_version() -> str:
    """The version of the chart as it stands in the tree, which is also that of the image that it names."""
    return str(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"])
