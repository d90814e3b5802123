"""The sandbox's builder: what is built once, under which key, and what an interruption leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.sandbox import build as builder
from e2e.sandbox.versions import PARTS, GoModule, PythonWheel

WHEEL = PythonWheel("thing", "thing-server", "1.2.3", "thing/_bin/thing", seconds=1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGGERPY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(builder, "PARTS", (WHEEL,))
    monkeypatch.setattr(builder, "absent_packages", list)


def test_a_part_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def unpack(part: PythonWheel, room: Path, out: Path) -> None:
        built.append(part.name)
        (out / "thing").write_text("program")

    monkeypatch.setattr(builder, "unpack_wheel", unpack)
    builder.build()
    builder.build()
    assert built == ["thing"]
    assert builder.program("thing", "thing").read_text() == "program"


def test_an_interrupted_build_leaves_no_part_and_the_next_one_clears_its_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(part: PythonWheel, room: Path, out: Path) -> None:
        (out / "thing").write_text("half")
        raise KeyboardInterrupt

    left = builder.cache() / ".tmp-killed"  # what SIGKILL leaves: no clean-up of its own ran
    left.mkdir(parents=True)
    monkeypatch.setattr(builder, "unpack_wheel", interrupted)
    with pytest.raises(KeyboardInterrupt):
        builder.build()
    assert builder.missing() == [WHEEL]
    assert [path.name for path in builder.cache().iterdir()] == [".lock"]


def test_another_version_or_recipe_is_another_folder() -> None:
    folders = {builder.part_dir(part) for part in PARTS} | {builder.part_dir(WHEEL)}
    other = PythonWheel("thing", "thing-server", "1.2.3", "thing/_bin/other", seconds=1)
    assert len(folders) == len(PARTS) + 1
    assert builder.part_dir(other) not in folders


def test_parts_that_are_built_on_demand_are_missed_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "PARTS", PARTS)
    assert "flagger" not in {part.name for part in builder.missing()}
    assert "flagger" in {part.name for part in builder.missing(("flagger",))}
    with pytest.raises(builder.BuildError, match="there are: apps, envoy"):
        builder.build(("flager",))


@pytest.mark.parametrize(
    ("package", "name"),
    [("k8s.io/kubernetes/cmd/kubelet", "kubelet"), ("go.etcd.io/etcd/server/v3", "server"), ("example.com/vx", "vx")],
)
def test_programs_are_found_under_the_name_that_go_gives_them(package: str, name: str) -> None:
    assert builder.program_of(package) == name


def test_replace_lines_of_a_module_are_carried_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = """{"Go": "1.24.0", "Godebug": [{"Key": "default", "Value": "go1.24"}], "Replace": [
      {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
      {"Old": {"Path": "a.example/x", "Version": "v1.8.0"}, "New": {"Path": "a.example/x", "Version": "v1.7.0"}},
      {"Old": {"Path": "a.example/local"}, "New": {"Path": "../local"}}]}"""
    monkeypatch.setattr(builder, "run", lambda *_: answer)
    part = GoModule("kubernetes", "k8s.io/kubernetes", "v1.34.4", 1, staging="v0.34.4")
    assert builder.go_mod(part, tmp_path, tmp_path).splitlines() == [
        "module sandbox",
        "go 1.24.0",
        "require k8s.io/kubernetes v1.34.4",
        "godebug default=go1.24",
        "replace k8s.io/api => k8s.io/api v0.34.4",
        "replace a.example/x v1.8.0 => a.example/x v1.7.0",
    ]
