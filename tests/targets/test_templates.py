"""Templates compared by their digests, in a workload and in its history, scaled to zero or not."""

from __future__ import annotations

import copy
from typing import Any

from flaggerpy.targets.templates import (
    HASH_LABEL,
    SCALE_TO_ZERO,
    TEMPLATE_DIGEST,
    as_written,
    images,
    of_template,
    slim_history,
    template_digest,
)

Obj = dict[str, Any]


def template(image: str = "app:1", **spec: Any) -> Obj:
    return {"metadata": {"labels": {"app": "app"}}, "spec": {"containers": [{"name": "app", "image": image}], **spec}}


def replica_set(of: Obj, hash_: str) -> Obj:
    labelled = copy.deepcopy(of)
    labelled["metadata"]["labels"][HASH_LABEL] = hash_
    labelled["metadata"]["creationTimestamp"] = None
    return {"metadata": {"name": f"app-{hash_}", "labels": {HASH_LABEL: hash_}}, "spec": {"replicas": 1, "template": labelled}}


def controller_revision(of: Obj, hash_: str) -> Obj:
    patch = copy.deepcopy(of) | {"$patch": "replace"}
    patch["metadata"]["creationTimestamp"] = None
    return {"metadata": {"name": f"app-{hash_}"}, "data": {"spec": {"template": patch}}, "revision": 3}


def test_history_has_a_digest_in_place_of_its_template() -> None:
    for held in (replica_set(template(), "aaa"), controller_revision(template(), "aaa")):
        slim = slim_history(held)
        assert "template" not in slim["spec"]
        assert "data" not in slim
        assert slim["spec"][TEMPLATE_DIGEST] == template_digest(template())
        assert slim["spec"][TEMPLATE_DIGEST] != template_digest(template("app:2"))


def test_history_is_found_by_its_template() -> None:
    history = [slim_history(replica_set(template(f"app:{number}"), f"h{number}")) for number in (1, 2)]
    assert [obj["metadata"]["name"] for obj in of_template(history, template("app:2"))] == ["app-h2"]
    assert of_template(history, template("app:3")) == []


def test_a_template_is_the_same_scaled_to_zero_or_not() -> None:
    assert template_digest(template(nodeSelector={SCALE_TO_ZERO: "true"})) == template_digest(template())
    mine = {"disk": "ssd"}
    assert template_digest(template(nodeSelector=mine | {SCALE_TO_ZERO: "true"})) == template_digest(template(nodeSelector=mine))
    assert template_digest(template(nodeSelector=mine)) != template_digest(template())


def test_the_digest_of_a_template_is_the_same_for_ever() -> None:
    """It is in the status of Canaries: another one would release all DaemonSets anew."""
    assert template_digest(template(nodeSelector={}, dnsPolicy=None)) == "64bb18d7477f61b5"


def test_a_template_as_written_is_without_what_controllers_put_there() -> None:
    held = replica_set(template(nodeSelector={SCALE_TO_ZERO: "true"}), "aaa")["spec"]["template"]
    before = copy.deepcopy(held)
    assert as_written(held) == template()
    assert held == before
    assert as_written(template(nodeSelector={"disk": "ssd", SCALE_TO_ZERO: "true"})) == template(nodeSelector={"disk": "ssd"})


def test_images_are_told_once_and_init_containers_first() -> None:
    of = template("app:1", initContainers=[{"name": "setup", "image": "setup:1"}, {"name": "again", "image": "app:1"}])
    assert images(of) == ("setup:1", "app:1")
    assert images({}) == ()
