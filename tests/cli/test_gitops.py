"""Who keeps a target in Git is read off its marks."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.cli.gitops import keeper_of


@pytest.mark.parametrize(
    ("metadata", "keeper"),
    [
        (
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"}},
            "the Flux Kustomization flux/apps",
        ),
        (
            {"labels": {"helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "prod"}},
            "the Flux HelmRelease prod/web",
        ),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:prod/web"}}, "the Argo CD application shop"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "the Argo CD application shop"),
        ({"annotations": {"meta.helm.sh/release-name": "web"}}, "the Helm release web"),
        ({"labels": {"app": "web"}}, ""),
    ],
)
def test_the_keeper(metadata: dict[str, Any], keeper: str) -> None:
    assert keeper_of({"metadata": metadata}) == keeper


def test_a_target_that_cannot_be_read_has_none() -> None:
    assert keeper_of(None) == ""
