"""`flaggerpy version --check`: what fits together is told, what does not is told with what to do, and Flagger is known by its image."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from rich.console import Console

from flaggerpy import __version__
from flaggerpy.cli import crds, installed
from flaggerpy.cli.installed import Controller, controller, of_controllers
from flaggerpy.cli.main import main, parser
from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import Exit
from flaggerpy.cli.words import about
from tests.cluster.fake_apiserver import FakeApiServer

Obj = dict[str, Any]
DIGEST = f"ghcr.io/flaggerpy/flaggerpy@sha256:{'a' * 64}"


def deployment(image: str, *, ready: int = 1, replicas: int = 1, name: str = "flagger", **labels: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "flagger-system", "labels": labels, "generation": 1},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "flagger", "image": image, "args": ["run"]}]}}},
        "status": {"readyReplicas": ready, "updatedReplicas": replicas, "observedGeneration": 1},
    }


def labels(version: str, chart: str = "") -> dict[str, Any]:
    return {"app.kubernetes.io/version": version, "helm.sh/chart": f"flaggerpy-{chart or version}"}


@pytest.mark.parametrize(
    ("image", "known"),
    [
        ("ghcr.io/flaggerpy/flaggerpy:0.1.0", True),
        (DIGEST, True),
        ("10.0.0.1:5000/flaggerpy", True),
        ("ghcr.io/fluxcd/flagger:1.44.0", True),
        ("ghcr.io/stefanprodan/podinfo:6.0.0", False),
        ("ghcr.io/fluxcd/flagger-loadtester:0.36.0", False),
    ],
)
def test_a_controller_is_known_by_its_image(image: str, known: bool) -> None:
    assert bool(controller(deployment(image))) is known


def test_an_image_of_another_name_is_known_by_the_charts_label() -> None:
    assert controller(deployment("mirror/progressive:1", **labels("0.1.0"))) is not None


def test_a_registrys_port_is_no_tag() -> None:
    assert [Controller("x", image).tag for image in ("h:5000/flaggerpy", "h:5000/flaggerpy:0.1.0", DIGEST)] == ["", "0.1.0", ""]


def wrong(image: str, **more: Any) -> list[str]:
    found = controller(deployment(image, **more))
    assert found is not None
    return of_controllers("0.2.0", [found]).wrong


def test_what_fits_is_told_as_such() -> None:
    found = controller(deployment(DIGEST, **labels("0.2.0")))
    assert found is not None
    told = of_controllers("0.2.0", [found])
    assert (told.wrong, told.well) == ([], ["flagger-system/flagger is 0.2.0, image named by digest; 1 of 1 pods are ready."])


@pytest.mark.parametrize(
    ("image", "more", "said"),
    [
        (DIGEST, labels("0.1.0"), "is 0.1.0, and this program is 0.2.0: upgrade the chart."),
        (DIGEST, labels("0.10.0"), "is 0.10.0, and this program is 0.2.0: update this program."),
        ("x.io/flaggerpy:0.1.0", labels("0.2.0"), "is labelled 0.2.0, but its image is x.io/flaggerpy:0.1.0: remove `image.tag`"),
        ("x.io/flaggerpy:0.1.0", {}, "is 0.1.0, and this program is 0.2.0"),
        (DIGEST, labels("0.2.0", "0.1.0"), "comes from the chart 0.1.0, which is for 0.1.0, and is labelled 0.2.0."),
        (DIGEST, {**labels("0.2.0"), "ready": 0}, "has 0 of 1 pods ready: kubectl describe deployment -n flagger-system flagger"),
        (DIGEST, {**labels("0.2.0"), "replicas": 0, "ready": 0}, "is scaled to zero: nobody minds the Canaries."),
    ],
)
def test_what_does_not_fit_is_told_with_what_to_do(image: str, more: dict[str, Any], said: str) -> None:
    (sentence,) = wrong(image, **more)
    assert sentence.startswith("flagger-system/flagger ")
    assert said in sentence


def test_flagger_beside_flaggerpy_is_wrong_and_alone_it_is_only_not_us() -> None:
    flagger = Controller("a/flagger", "ghcr.io/fluxcd/flagger:1.44.0", flaggers=True)
    ours = Controller("b/flagger", DIGEST, version="0.2.0")
    assert "two controllers must not share Canaries" in of_controllers("0.2.0", [flagger, ours]).wrong[0]
    assert of_controllers("0.2.0", [flagger]).wrong == ["No Deployment of flaggerpy is there: see docs/install.md."]


def test_a_deployment_that_is_being_changed_is_not_called_sound() -> None:
    obj = deployment(DIGEST, **labels("0.2.0"))
    obj["metadata"]["generation"] = 2
    found = controller(obj)
    assert found is not None
    assert "is being changed" in of_controllers("0.2.0", [found]).wrong[0]


async def run(server: FakeApiServer) -> tuple[int, str]:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=200, highlight=False, soft_wrap=True))
    async with server.client() as client:
        code = await about.perform(parser().parse_args(["version", "--check"]), client, screen)
    return code, out.getvalue()


async def test_all_is_looked_at_and_the_exit_code_says_whether_it_fits() -> None:
    async with FakeApiServer() as server:
        for crd in crds.ours():
            server.add(copy.deepcopy(crd))
        server.add(deployment(DIGEST, **labels(__version__)))
        code, said = await run(server)
        assert code == Exit.OK
        assert said.splitlines()[0] == f"flaggerpy {__version__}"
        assert said.count("✓") == 4
        server.add(deployment("ghcr.io/fluxcd/flagger:1.44.0", name="other"))
        code, said = await run(server)
        assert code == Exit.FAILED
        assert "✗ flagger-system/other is Flagger" in said


async def test_older_and_missing_crds_are_told() -> None:
    canary, *_, last = crds.ours()
    older = copy.deepcopy(canary)
    del older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["run"]
    async with FakeApiServer() as server:
        server.add(older)
        server.add(copy.deepcopy(last))
        async with server.client() as client:
            told = await installed.of_crds(client)
    assert any("canaries.flagger.app is older than this program, it lacks status.run" in sentence for sentence in told.wrong)
    assert sum("is not installed" in sentence for sentence in told.wrong) == 1
    assert len(told.well) == 1


async def test_what_may_not_be_seen_is_not_called_wrong() -> None:
    async with FakeApiServer() as server:
        server.fault = lambda request: 403
        code, said = await run(server)
    assert code == Exit.UNTOLD
    assert "Name their namespace with -n" in said


def test_the_version_alone_needs_no_cluster(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    assert main(["version"]) == Exit.OK
    assert capsys.readouterr().out == f"flaggerpy {__version__}\n"
