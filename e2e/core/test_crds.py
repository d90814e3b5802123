"""The CRDs on a real API server: what is right is admitted, what is broken is refused by name, what was stored before is not locked in.

Nothing is stored under `flagger.app` (all are dry runs), so that a controller that runs in the same cluster sees none of it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from e2e.kube import Kube, until_established
from flaggerpy.api import crds
from flaggerpy.api.names import FINALIZER, GROUP, VERSION
from tests.api.broken_specs import BROKEN, GOOD, Broken, patched
from tests.api.test_problems import ADMITTED

Obj = dict[str, Any]
Api = Any  # client.CustomObjectsApi, whose generated types do not know of plain dicts and of the content type of a patch

ROOT = Path(__file__).parent.parent.parent
PLURALS = {"Canary": "canaries", "MetricTemplate": "metrictemplates", "AlertProvider": "alertproviders"}
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SECONDS = 60.0
"""How long an API server on a busy machine may need until it serves a new CRD."""
OLD_GROUP = "old.flagger.test"
# what Flagger's own CRD admitted, and ours does not
FRACTIONS = [broken for broken in BROKEN if broken.name.startswith("fraction") and broken.field != "spec.service.port"]
STORED = [*FRACTIONS, *(b for b in BROKEN if b.name in ("equal stepWeights", "kubernetes by weight", "metric of nothing", "cookies alike"))]


def eventually(act: Callable[[], Any]) -> Any:
    """What `act` returns once it no longer fails, within the deadline."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return act()
        except (AssertionError, client.ApiException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def kubectl(*words: str) -> str:
    done = subprocess.run(["kubectl", *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(error: client.ApiException) -> str:
    assert error.status == 422, error.body
    message: str = json.loads(error.body or "")["message"]
    return message


@pytest.fixture(scope="module")
def api(kube: Kube) -> Iterator[Api]:
    load_config: Any = config.load_kube_config
    load_config()
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    for plural in PLURALS.values():
        until_established(kube, f"{plural}.{GROUP}", SECONDS)
    with client.ApiClient() as connection:
        objects: Api = client.CustomObjectsApi(connection)
        eventually(lambda: admit(objects, GOOD))
        yield objects


def admit(api: Api, obj: Obj) -> Obj:
    """What the API server would store. Raises ApiException with its refusal."""
    obj = deepcopy(obj)
    obj["metadata"] = {"name": obj["metadata"]["name"], "namespace": "default"}
    stored: Obj = api.create_namespaced_custom_object(
        GROUP, VERSION, "default", PLURALS[obj["kind"]], obj, dry_run="All", field_validation="Strict"
    )
    return stored


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example_is_admitted(api: Api, file: Path) -> None:
    admit(api, yaml.safe_load(file.read_text()))


@pytest.mark.parametrize("patch", ADMITTED, ids=str)
def test_what_runs_sensibly_is_admitted_as_it_is(api: Api, patch: Obj) -> None:
    obj = patched(GOOD, patch)
    stored = admit(api, obj)["spec"]
    for ref in stored.get("service", {}).get("gatewayRefs", []):
        ref.pop("group", None)
        ref.pop("kind", None)
    for ref in obj["spec"].get("service", {}).get("gatewayRefs", []):
        ref.pop("group", None)
        ref.pop("kind", None)
    assert stored == obj["spec"]


@pytest.mark.parametrize("broken", [broken for broken in BROKEN if broken.schema], ids=lambda broken: broken.name)
def test_a_broken_spec_is_refused_by_name(api: Api, broken: Broken) -> None:
    with pytest.raises(client.ApiException) as caught:
        admit(api, patched(GOOD, broken.patch))
    message = refusal(caught.value)
    assert broken.field in message
    assert (broken.server or broken.words) in message


@pytest.mark.parametrize("broken", [broken for broken in BROKEN if not broken.schema], ids=lambda broken: broken.name)
def test_what_only_the_controller_can_know_is_admitted(api: Api, broken: Broken) -> None:
    admit(api, patched(GOOD, broken.patch))


def test_an_unknown_field_is_refused(api: Api) -> None:
    with pytest.raises(client.ApiException) as caught:
        admit(api, patched(GOOD, {"analysis": {"stepWieght": 5}}))
    assert 'unknown field "spec.analysis.stepWieght"' in json.loads(caught.value.body or "")["message"]


def test_kubectl_explains_the_analysis(api: Api) -> None:
    def explained() -> str:
        text = kubectl("explain", "canary.spec.analysis")
        assert "stepWeights" in text
        return text

    text = eventually(explained)
    assert "How a new revision is tried before it is promoted." in text
    assert "stepWeight\t<integer>" in text
    assert "<no description>" not in kubectl("explain", "canary", "--recursive=false")
    assert "What is waited for." in kubectl("explain", "canary.status.progress")


def test_kubectl_get_shows_flaggers_columns(api: Api) -> None:
    resources = kubectl("api-resources", f"--api-group={GROUP}", "--categories=all", "--no-headers")
    assert {line.split()[0] for line in resources.splitlines()} == set(PLURALS.values())


@pytest.fixture(scope="module")
def old_objects(api: Api) -> Iterator[Api]:
    """Broken Canaries that were stored under a loose schema, which was then replaced by ours; in a group that nobody watches."""
    strict = crds.canary_crd()
    strict["metadata"]["name"] = f"canaries.{OLD_GROUP}"
    strict["spec"]["group"] = OLD_GROUP
    strict["spec"]["names"]["categories"] = []
    loose = deepcopy(strict)
    loose["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definitions: Any = client.ApiextensionsV1Api(api.api_client)
    # of an earlier try it may still be on its way out
    eventually(partial(definitions.create_custom_resource_definition, loose))
    try:
        for number, broken in enumerate(STORED):
            obj = patched(GOOD, broken.patch) | {"apiVersion": f"{OLD_GROUP}/{VERSION}"}
            obj["metadata"] = {"name": f"old-{number}", "finalizers": [FINALIZER]}
            eventually(partial(api.create_namespaced_custom_object, OLD_GROUP, VERSION, "default", "canaries", obj))
        definitions.patch_custom_resource_definition(strict["metadata"]["name"], {"spec": strict["spec"]})
        eventually(lambda: strict_now(api))
        yield api
    finally:
        with contextlib.suppress(client.ApiException):  # not served yet: nothing was stored
            for obj in api.list_namespaced_custom_object(OLD_GROUP, VERSION, "default", "canaries")["items"]:
                place = (OLD_GROUP, VERSION, "default", "canaries", obj["metadata"]["name"])
                api.patch_namespaced_custom_object(*place, {"metadata": {"finalizers": None}}, _content_type="application/merge-patch+json")
        definitions.delete_custom_resource_definition(strict["metadata"]["name"])


def strict_now(api: Api) -> None:
    obj = patched(GOOD, {"progressDeadlineSeconds": 0}) | {"apiVersion": f"{OLD_GROUP}/{VERSION}"}
    obj["metadata"] = {"name": "probe"}
    try:
        api.create_namespaced_custom_object(OLD_GROUP, VERSION, "default", "canaries", obj, dry_run="All")
    except client.ApiException:
        return
    raise AssertionError("the loose schema is still in force")  # pytest.raises would fail with what `eventually` does not wait out


@pytest.mark.parametrize("number", range(len(STORED)), ids=lambda number: STORED[number].name)
@pytest.mark.fault("Q-5")
def test_a_stored_old_object_can_still_be_explained_and_finalized(old_objects: Api, number: int) -> None:
    place = (OLD_GROUP, VERSION, "default", "canaries", f"old-{number}")
    stalled = {"type": "Stalled", "status": "True", "reason": "InvalidSpec", "message": "x"}
    status = {"phase": "Failed", "failedChecks": 0, "canaryWeight": 0, "iterations": 0, "conditions": [stalled]}
    merge = {"_content_type": "application/merge-patch+json"}
    written = old_objects.patch_namespaced_custom_object_status(*place, {"status": status}, **merge)
    assert written["status"]["conditions"] == [stalled]
    old_objects.patch_namespaced_custom_object(*place, {"metadata": {"annotations": {"flagger.app/abort": "*"}}}, **merge)
    old_objects.delete_namespaced_custom_object(*place)
    old_objects.patch_namespaced_custom_object(*place, {"metadata": {"finalizers": None}}, **merge)
    with pytest.raises(client.ApiException) as caught:
        old_objects.get_namespaced_custom_object(*place)
    assert caught.value.status == 404
