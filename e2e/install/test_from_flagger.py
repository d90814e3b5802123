"""A live Flagger 1.44, installed by its own chart, is upgraded to flaggerpy's chart under load, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.install import images
from e2e.install.helm import CHART, HelmError
from e2e.install.installation import NAMESPACE, RELEASE, Installation
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from e2e.sandbox.build import build, part_dir, part_named
from e2e.sandbox.layout import NODE_IP
from e2e.takeover.cases import EVERY
from e2e.takeover.fleet import Changed, Fleet
from e2e.takeover.hands import changes_hands, flaggerpy
from flaggerpy.targets.flaggerhash import flagger_hash

pytestmark = pytest.mark.alone
CASES = tuple(case for case in EVERY if case.name in ("idle-gateway", "done-gateway", "half"))
NOTHING = Changed([], [], [], [])
KINDS = ("Canary", "Deployment", "ReplicaSet", "Service", "HTTPRoute")


def uids(kube: Kube, namespace: str) -> dict[tuple[str, str], str]:
    """Every object of these kinds by its identity."""
    found = [(kind, obj["metadata"]) for kind in KINDS for obj in kube.items(kind, namespace)]
    return {(kind, metadata["name"]): metadata["uid"] for kind, metadata in found}


def test_a_live_flagger_is_upgraded_to_flaggerpy_and_back(
    installation: Installation, kube: Kube, sandbox: Sandbox, namespace: str, values: Mapping[str, Any]
) -> None:
    images.push_flaggers(sandbox)
    build(("flagger-chart",))
    chart: Path = part_dir(part_named("flagger-chart")) / "flagger"
    # what its operator has in the values file, but for the image
    common = {"meshProvider": "gatewayapi:v1", "includeLabelPrefix": "app.kubernetes.io", "slack": {"user": "flagger"}}
    theirs = {**common, "image": {"repository": f"{sandbox.registry}/{images.FLAGGERS}"}}
    # its pods do not meet the namespace's standard
    installation.unrestricted()
    installation.install(theirs, chart)
    with pytest.raises(HelmError, match="upgrade with shards 1 first"):
        installation.upgrade({**common, "image": values["image"], "shards": 2})
    with pytest.raises(HelmError, match=r"these values are missing: .* use --reset-then-reuse-values"):
        installation.helm.run("upgrade", RELEASE, str(CHART), "--namespace", NAMESPACE, "--reuse-values")

    with Fleet(kube, sandbox, namespace, CASES, NODE_IP) as fleet:
        fleet.bring()
        known = uids(kube, namespace)

        def upgrade() -> None:
            installation.upgrade({**common, "image": values["image"]})
            until(fleet.adopted, 90, "every Canary to be taken over", lambda: {case.name: fleet.status(case.name) for case in CASES})

        taken = changes_hands(fleet, lambda: None, lambda: None, upgrade)
        assert taken.changed == NOTHING
        assert (taken.lost, taken.sent > 500) == (0, True)
        assert uids(kube, namespace).items() >= known.items(), "every object is the one that it was"
        assert installation.deployment()["spec"]["strategy"] == {"type": "Recreate"}, "the two never run beside each other"
        assert "complete, and led" in installation.test()

        fleet.finish()
        known = uids(kube, namespace)

        def hand_back() -> None:
            done = flaggerpy(sandbox, "handback", "--all", "-n", namespace)
            assert done.returncode == 0, done.stdout + done.stderr

        back = changes_hands(fleet, installation.stop, hand_back, lambda: installation.upgrade(theirs, chart))
        assert back.changed == NOTHING
        assert (back.lost, back.sent > 500) == (0, True)
        assert uids(kube, namespace).items() >= known.items()
        assert installation.deployment()["spec"]["template"]["spec"]["containers"][0]["image"].endswith("fluxcd/flagger:1.44.0")
        for case in CASES:
            template = kube.get("Deployment", case.name, namespace)["spec"]["template"]
            assert fleet.status(case.name)["lastAppliedSpec"] == flagger_hash(template), case.name
        # and Flagger sees the next release
        fleet.release("idle-gateway", "1.0.3")
        fleet.phase("idle-gateway", "Progressing", seconds=60)
