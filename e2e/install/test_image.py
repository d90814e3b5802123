"""The image: the same digest from two folders and two kinds of builders, what is in it and what is not, and that it runs in a pod."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from e2e.install.helm import ROOT
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from release import caching, image, oci, starting
from release.tree import Tree
from release.wheels import SOURCES

NAMESPACE = "image-test"
SMALL = 40e6
"""Bytes to pull: what the docs call small."""


@pytest.fixture(scope="module")
def built() -> image.Built:
    return image.build()


@pytest.fixture(scope="module")
def tree(built: image.Built) -> Tree:
    return image.tree_of(built.image)


def test_two_folders_two_umasks_and_two_seeds_give_one_digest(built: image.Built, tmp_path: Path) -> None:
    """All of it is made anew in a copy of the tree, with a cache that has the downloads only."""
    copy, cache = tmp_path / "elsewhere" / "tree", tmp_path / "cache" / "image"
    copy.mkdir(parents=True)
    cache.mkdir(parents=True)
    for name in (*SOURCES, "release", "constraints.txt", ".git", ".gitignore"):
        if (ROOT / name).exists():
            subprocess.run(["cp", "-r", str(ROOT / name), str(copy / name)], check=True)
    for kept in ("debs", *(path.name for path in caching.cache().glob("wheels-*"))):
        (cache / kept).symlink_to(caching.cache() / kept)
    env = {**os.environ, "FLAGGERPY_CACHE": str(cache.parent), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    command = ["sh", "-c", f"umask 077; exec {sys.executable} -m release.image --out out"]
    done = subprocess.run(command, cwd=copy, env={**env, **epoch(built)}, capture_output=True, text=True, check=True)
    found = oci.opened(next((copy / "out").glob("*.oci.tar")))
    layers = [[layer.digest for layer in one.layers] for one in (found, built.image)]
    assert layers[0] == layers[1], done.stdout
    labels = [json.loads(one.config)["config"].get("Labels", {}) for one in (found, built.image)]
    assert found.digest == built.image.digest, labels


def epoch(built: image.Built) -> dict[str, str]:
    return {"SOURCE_DATE_EPOCH": str(image.source(ROOT).epoch)}


def test_there_is_one_program_no_shell_and_nothing_that_installs(tree: Tree) -> None:
    programs = {path for path, entry in tree.items() if entry.kind == "file" and entry.mode & 0o111 and "/bin/" in f"/{path}"}
    assert "usr/bin/python3.11" in programs
    assert programs - {"usr/bin/python3.11"} == {path for path in programs if path.startswith("usr/local/bin/") and "flaggerpy" in path}
    shells = ("sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip")
    assert not [path for path, entry in tree.items() if path.rsplit("/", 1)[-1] in shells and entry.kind != "folder"]
    assert not [path for path in tree if "/pip/" in path or "/setuptools/" in path or "/ensurepip/" in path]


def test_nobody_but_root_may_write_anything_but_in_tmp(tree: Tree) -> None:
    assert {path for path, entry in tree.items() if entry.kind != "link" and entry.mode & 0o022} == {"tmp"}


def test_every_source_has_its_bytecode_and_names_no_folder_of_the_builder(tree: Tree) -> None:
    ours = [path for path in tree if path.endswith(".py") and "/flaggerpy/" in path]
    assert len(ours) > 100
    for path in ours:
        folder, _, name = path.rpartition("/")
        compiled = tree[f"{folder}/__pycache__/{name[:-3]}.cpython-311.pyc"].content
        assert compiled[4] == 1  # by hash, unchecked (PEP 552): never looked at, never stale
        assert str(ROOT).encode() not in compiled


def test_it_is_as_small_as_the_docs_say(built: image.Built) -> None:
    assert built.image.size < SMALL


def test_the_bill_names_every_distribution_that_is_in_it(tree: Tree, built: image.Built) -> None:
    named = {component["purl"].split("?")[0] for component in json.loads(built.sbom)["components"]}
    for path, entry in tree.items():
        if path.endswith(".dist-info/METADATA") and not path.split("/")[-2].startswith("flaggerpy-"):
            name, version = path.split("/")[-2].removesuffix(".dist-info").rsplit("-", 1)
            assert f"pkg:pypi/{name.replace('_', '-').replace('.', '-').lower()}@{version}" in named
        if path.startswith("var/lib/dpkg/status.d/") and entry.kind == "file":
            assert any(purl.startswith(f"pkg:deb/debian/{quote(path.rsplit('/', 1)[-1])}@") for purl in named)
    assert tree[image.SBOM].content == built.sbom


def test_every_module_of_ours_loads_and_what_lookups_need_is_there(built: image.Built) -> None:
    """On the trimmed packages, with the image's own Python, as its own user."""
    starting.here(built.image, built.version)
    script = (
        "import importlib, pkgutil, flaggerpy\n"
        "for found in pkgutil.walk_packages(flaggerpy.__path__, 'flaggerpy.'):\n"
        "    found.name.endswith('__main__') or importlib.import_module(found.name)\n"
        "from prometheus_api_client import PrometheusConnect\n"
        "import ssl, zoneinfo, opentelemetry.sdk.trace.export, opentelemetry.exporter.otlp.proto.http.trace_exporter\n"
        "assert len(ssl.create_default_context().get_ca_certs()) > 100\n"
        "zoneinfo.ZoneInfo('Europe/Berlin')\n"
    )
    with starting.opened(built.image) as said:
        said("/usr/bin/python3.11", "-c", script)


def test_a_pod_of_it_starts_under_the_strictest_rules(built: image.Built, sandbox: Sandbox, kube: Kube, tmp_path: Path) -> None:
    archive = image.written(built, tmp_path)
    reference = sandbox.load_image(f"{image.NAME}:{built.version}", archive).rpartition(":")[0] + f"@{built.image.digest}"
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": RESTRICTED}})
    try:
        pod = starting.pod(reference)
        pod["metadata"]["namespace"] = NAMESPACE
        begun = time.monotonic()
        kube.apply(pod)
        until(lambda: kube.get("Pod", starting.POD, NAMESPACE)["status"].get("phase") == "Succeeded", 60, "the pod to say its version")
        print(f"{time.monotonic() - begun:.1f} s from the pod's creation to the end of `flaggerpy version`")
        assert kube.logs(starting.POD, NAMESPACE).split() == ["flaggerpy", built.version]
    finally:
        kube.delete("Namespace", NAMESPACE)


RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
