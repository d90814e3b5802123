"""A release played on a real registry, the chart pulled as a user would; wheel and sdist as PyPI would take them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.install.helm import ROOT, Helm
from e2e.sandbox.checks import http_ok
from release import wheels
from release.registry import Registry

PORT = 5678
NEXT = "98.7.6"
IMAGE = f"127.0.0.1:{PORT}/team/flaggerpy"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{PORT}"
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"version": "0.1", "storage": {"filesystem": {"rootdirectory": str(folder / "data")}}, "http": {"addr": address}})
    )
    with (folder / "log").open("wb") as log:
        served = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yaml")], stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                if http_ok(PORT, "/v2/"):
                    break
            except OSError:
                assert served.poll() is None, (folder / "log").read_text()
        yield address
    finally:
        served.terminate()
        served.wait()


def dry_run(out: Path, version: str = NEXT, to: str = IMAGE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "release", "dry-run", version, "--to", to, "--out", str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))


@pytest.fixture(scope="module")
def played(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("release") / NEXT
    done = dry_run(out)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = ["built", "image built", "pushed", "pulled back", "started", "tagged", "chart pushed"]
    places = [done.stdout.index(f"✓ {word}") for word in steps]
    assert places == sorted(places)
    return out


def test_the_chart_that_helm_pulls_installs_the_image_that_was_started(played: Path, offline: Helm, tmp_path: Path) -> None:
    offline.run("pull", f"oci://127.0.0.1:{PORT}/team/charts/flaggerpy", "--version", NEXT, "--plain-http", "--destination", str(tmp_path))
    (archive,) = tmp_path.glob("*.tgz")
    assert archive.read_bytes() == (played / archive.name).read_bytes()
    facts = json.loads((played / "release.json").read_text())
    named = {
        container["image"]
        for obj in offline.template(chart=str(archive))
        for container in ((obj.get("spec") or {}).get("template") or {}).get("spec", {}).get("containers", ())
    }
    assert named == {facts["image"]}
    repository, _, digest = facts["image"].partition("@")
    assert Registry(repository).digest_of(digest) == digest == Registry(repository).digest_of(NEXT)


def test_the_manifests_name_the_same_image(played: Path) -> None:
    facts = json.loads((played / "release.json").read_text())
    [controller] = [obj for obj in yaml.safe_load_all((played / "install.yaml").read_text()) if obj and obj["kind"] == "Deployment"]
    assert controller["spec"]["template"]["spec"]["containers"][0]["image"] == facts["image"]


def test_the_sums_are_right(played: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=played, check=True)


def test_without_a_registry_there_is_no_release(tmp_path: Path) -> None:
    done = dry_run(tmp_path / "out", to="127.0.0.1:9/team/flaggerpy")
    assert done.returncode == 1
    assert "release: stopped. 127.0.0.1:9 cannot be reached" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_dry_run_pushes_to_this_machine_only(tmp_path: Path) -> None:
    done = dry_run(tmp_path / "out", to="ghcr.io/team/flaggerpy")
    assert (done.returncode, "is not on this machine" in done.stderr) == (1, True)


def test_wheel_and_sdist_hold_all_that_the_program_needs_and_nothing_else(played: Path) -> None:
    wheel, sdist = next(played.glob("python/*.whl")), next(played.glob("python/*.tar.gz"))
    listed = subprocess.run(["git", "ls-files", "flaggerpy"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        told = archive.read(f"flaggerpy-{NEXT}.dist-info/METADATA").decode()
    assert held == set(listed)
    assert "License-Expression: Apache-2.0" in told
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {*listed, "pyproject.toml", "README.md", "LICENSE"} <= names
    assert not [name for name in names if name.startswith(("tests", "e2e", "release"))]


def test_an_empty_environment_with_the_wheel_has_the_commands(played: Path, tmp_path: Path) -> None:
    """From the wheels that the image was made of, so that no network is needed."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(tmp_path / "venv/bin/pip"), "install", "-q", "--disable-pip-version-check", "--no-index"]
    folder = wheels.fetched("amd64")
    whole = [*pip, "--find-links", str(folder), str(next(played.glob("python/*.whl")))]
    subprocess.run(whole, check=True, env={**os.environ, "PIP_FIND_LINKS": ""})
    for name in ("flaggerpy", "kubectl-flaggerpy"):
        done = subprocess.run([str(tmp_path / "venv/bin" / name), "version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"flaggerpy {NEXT}\n"
    path = f"{tmp_path / 'venv/bin'}:{os.environ['PATH']}"
    done = subprocess.run(["kubectl", "flaggerpy", "version"], capture_output=True, text=True, env={**os.environ, "PATH": path}, check=True)
    assert done.stdout == f"flaggerpy {NEXT}\n"


def test_pypi_would_take_both(played: Path) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, played.glob("python/*"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
