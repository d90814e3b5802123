"""The kubeconfig files of a command line, and the contexts in them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import yaml


def kubeconfigs(given: str | None) -> list[str]:
    """The files that are asked for: those of the option, else of $KUBECONFIG, else ~/.kube/config; none in a pod without either."""
    paths = given or os.environ.get("KUBECONFIG") or ""
    if not paths and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        paths = os.path.expanduser("~/.kube/config")
    return [path for path in paths.split(os.pathsep) if path]


def contexts(paths: Iterable[str]) -> list[str]:
    """The names of the contexts in these files, sorted. Raises what reading and parsing them raises."""
    names: set[str] = set()
    for path in paths:
        try:
            data = yaml.safe_load(Path(path).read_text()) or {}
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
        names |= {str(context["name"]) for context in data.get("contexts") or ()}
    return sorted(names)
