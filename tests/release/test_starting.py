"""Starting an image that was pulled back: as which pod, and when it counts as failed."""

from __future__ import annotations

from release.starting import pod, waiting


def test_the_pod_pulls_by_digest_and_has_no_more_rights_than_the_chart_gives() -> None:
    (container,) = pod("r/flaggerpy@sha256:abc")["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"], container["args"]) == ("r/flaggerpy@sha256:abc", "Always", ["version"])
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["runAsNonRoot"]
    assert pod("x")["spec"]["automountServiceAccountToken"] is False


def test_why_a_pod_waits_is_the_kubelets_word() -> None:
    waits = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    assert waiting([waits, {"state": {"running": {}}}]) == "ErrImagePull not found"
    assert waiting([]) == ""
