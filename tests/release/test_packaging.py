"""Chart and manifests of a release: both name the image by digest, and nothing else of them is changed."""

from __future__ import annotations

import gzip

import pytest
import yaml

from release.packaging import NotPackaged, by_digest, chart, default_image, described, manifests, packed, references
from release.tree import read, read_tar
from release.wheels import ROOT

REPOSITORY = "registry.example:5000/team/flaggerpy"
DIGEST = f"sha256:{'a' * 64}"
WHOLE = f"{REPOSITORY}@{DIGEST}"


def test_the_chart_installs_the_image_by_digest_where_no_value_says_otherwise() -> None:
    archive = packed(chart(ROOT, REPOSITORY, DIGEST), 315532800)
    assert default_image(archive) == WHOLE
    assert described(archive)["name"] == "flaggerpy"


def test_nothing_else_of_the_chart_is_changed() -> None:
    plain, made = read(ROOT / "charts/flaggerpy", "flaggerpy"), chart(ROOT, REPOSITORY, DIGEST)
    assert {path for path in made if made[path] != plain[path]} == {"flaggerpy/Chart.yaml", "flaggerpy/values.yaml"}
    assert plain.keys() - made.keys() == {"flaggerpy/.helmignore"}
    values = yaml.safe_load(made["flaggerpy/values.yaml"].content)
    assert values.pop("image")["digest"] == DIGEST
    assert values == {k: v for k, v in yaml.safe_load(plain["flaggerpy/values.yaml"].content).items() if k != "image"}


def test_a_packaged_chart_is_the_same_each_time() -> None:
    made = chart(ROOT, REPOSITORY, DIGEST)
    assert packed(made, 1) == packed(dict(reversed(made.items())), 1)
    assert all(path.startswith("flaggerpy") for path in read_tar(gzip.decompress(packed(made, 1))))


def test_the_manifests_name_the_image_by_digest_and_no_other() -> None:
    made = manifests(ROOT, REPOSITORY, DIGEST)
    assert references(entry.content.decode() for entry in made.values()) == {WHOLE}
    assert {"install.yaml", "kustomize/controller.yaml", "kustomize/kustomization.yaml", "kustomize/crds.yaml"} <= made.keys()
    before = [obj for obj in yaml.safe_load_all((ROOT / "deploy/install.yaml").read_text()) if obj]
    after = [obj for obj in yaml.safe_load_all(made["install.yaml"].content) if obj]
    assert [obj["kind"] for obj, other in zip(before, after, strict=True) if obj != other] == ["Deployment"]


def test_manifests_without_our_image_are_an_error() -> None:
    with pytest.raises(NotPackaged, match="x names no image"):
        by_digest("        image: nginx:1\n", REPOSITORY, DIGEST, "x")


@pytest.mark.parametrize("image", ["ghcr.io/flaggerpy/flaggerpy:0.1.0", f"x.io/flaggerpy@{DIGEST}", '"ghcr.io/flaggerpy/flaggerpy:0.1.0"'])
def test_the_image_is_found_however_it_is_written(image: str) -> None:
    text = by_digest(f"      - image: {image}\n", REPOSITORY, DIGEST, "x")
    assert yaml.safe_load(text) == [{"image": WHOLE}]
