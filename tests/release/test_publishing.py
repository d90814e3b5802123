"""A release's order, on a registry in memory: whatever goes wrong before the image was started, there is no chart, no tag and no file."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from release import image, oci, version, wheels
from release.packaging import default_image
from release.publishing import Plan, Refused, publish
from release.registry import Registry
from release.starting import DoesNotStart
from release.tree import file, tarred
from release.wheels import ROOT
from tests.release.memory_registry import Memory, memory_registry

NEXT = "99.0.0"


def tiny(text: str = "x") -> image.Built:
    plain = tarred({"a": file(text)}, 0)
    layer = oci.Layer(gzip.compress(plain, mtime=0), oci.digest(plain), 1, "")
    return image.Built(oci.image([layer], "amd64", {}, "2026-01-01T00:00:00Z"), b"{}", NEXT, ())


@pytest.fixture
def memory() -> Iterator[Memory]:
    with memory_registry() as found:
        yield found


@pytest.fixture
def plan(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A prepared copy of what a release reads of this tree; building is left to the suites that have the time."""
    root = tmp_path / "tree"
    for name in ("charts", "deploy"):
        shutil.copytree(ROOT / name, root / name)
    for name, text in version.prepared(version.texts(ROOT), NEXT, "2026-12-01").items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setattr(image, "build", lambda root, *, pinned_only: tiny())

    def built(root: Path, room: Path, out: Path, epoch: int, kinds: object) -> list[Path]:
        room.mkdir(parents=True)
        out.mkdir(parents=True)
        (out / "flaggerpy.whl").write_bytes(b"wheel")
        return [out / "flaggerpy.whl"]

    monkeypatch.setattr(wheels, "built", built)
    return Plan(root, NEXT, f"{memory.address}/o/flaggerpy", f"{memory.address}/o/charts/flaggerpy", tmp_path / "out")


def well(reference: str, found: oci.Image, wanted: str) -> None:
    """It starts."""


def quiet(sentence: str) -> None:
    """Nobody listens."""


def test_a_release_ends_with_a_chart_that_names_what_was_started(plan: Plan, memory: Memory) -> None:
    seen: list[str] = []

    def start(reference: str, found: oci.Image, wanted: str) -> None:
        seen.append(reference)
        assert memory.tags == []  # nobody can have it by its version yet
        assert (found.digest, wanted) == (tiny().image.digest, NEXT)

    out = publish(plan, start, quiet)
    assert seen == [f"{plan.repository}@{tiny().image.digest}"]
    assert memory.tags == [f"o/charts/flaggerpy:{NEXT}", f"o/flaggerpy:{NEXT}"]
    assert default_image((out / f"flaggerpy-{NEXT}.tgz").read_bytes()) == seen[0]
    assert seen[0] in (out / "install.yaml").read_text()
    assert json.loads((out / "release.json").read_text())["image"] == seen[0]
    assert "python/flaggerpy.whl" in (out / "SHA256SUMS").read_text()
    assert len((out / "notes.md").read_text()) > 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"refuse": "PUT /v2/o/flaggerpy/blobs"},
        {"refuse": "PUT /v2/o/flaggerpy/manifests/sha256"},
        {"refuse": "GET /v2/o/flaggerpy/manifests/sha256"},
        {"refuse": "GET /v2/o/flaggerpy/blobs"},
        {"swap": "GET /v2/o/flaggerpy/blobs"},
        {"swap": "GET /v2/o/flaggerpy/manifests"},
    ],
    ids=str,
)
def test_an_image_that_cannot_be_pushed_or_pulled_has_no_chart_and_no_tag(plan: Plan, memory: Memory, wrong: dict[str, str]) -> None:
    vars(memory).update(wrong)
    with pytest.raises(Refused):
        publish(plan, well, quiet)
    assert memory.tags == []
    assert not [what for what in memory.asked if "charts" in what]
    assert [path.name for path in plan.out.parent.iterdir()] == ["tree"]


def test_an_image_that_does_not_start_has_no_chart_and_no_tag(plan: Plan, memory: Memory) -> None:
    def start(reference: str, found: oci.Image, wanted: str) -> None:
        raise DoesNotStart("it says that it is flaggerpy 0.0.0")

    with pytest.raises(Refused, match="says that it is flaggerpy 0"):
        publish(plan, start, quiet)
    assert memory.tags == []
    assert [path.name for path in plan.out.parent.iterdir()] == ["tree"]


def test_a_version_is_never_given_to_another_image(plan: Plan, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(plan, well, quiet)
    monkeypatch.setattr(image, "build", lambda root, *, pinned_only: tiny("y"))
    again = replace(plan, out=plan.out.with_name("again"))
    with pytest.raises(Refused, match="published already, as sha256:"):
        publish(again, well, quiet)
    assert memory.manifests[f"o/flaggerpy:{NEXT}"] == tiny().image.manifest


def test_a_version_is_never_given_to_another_chart(plan: Plan, memory: Memory) -> None:
    charts = Registry(plan.charts)
    charts.push_chart(NEXT, b"somebody's", {"name": "flaggerpy", "version": NEXT})
    with pytest.raises(Refused, match="published already, as another chart"):
        publish(plan, well, quiet)
    assert charts.pull_chart(NEXT) == b"somebody's"
    assert memory.tags == [f"o/charts/flaggerpy:{NEXT}"]


def test_the_same_release_can_be_gone_on_with_after_an_accident(plan: Plan, memory: Memory) -> None:
    memory.refuse = "/charts/"
    with pytest.raises(Refused):
        publish(plan, well, quiet)
    assert not plan.out.exists()
    memory.refuse = ""
    assert publish(plan, well, quiet) == plan.out


def test_a_tree_of_another_version_is_not_even_built(plan: Plan, memory: Memory) -> None:
    with pytest.raises(Refused, match=r"pyproject\.toml names 99\.0\.0, not 99\.0\.1"):
        publish(replace(plan, version="99.0.1"), well, quiet)
    assert memory.asked == []


def test_a_release_that_is_there_is_not_made_again(plan: Plan) -> None:
    plan.out.mkdir()
    with pytest.raises(Refused, match="is there already"):
        publish(plan, well, quiet)


