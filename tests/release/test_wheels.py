"""Wheels: where their files lie in the image, what of them is left out, and that everything is pinned."""

from __future__ import annotations

import re
import tomllib
import zipfile
from pathlib import Path

import pytest

from release import trimming
from release.pins import BUILDER, merged, pinned, requirements
from release.trimming import SITE
from release.wheels import REQUIREMENTS, ROOT, NoWheel, dependencies, normal, platforms, read, scripts, trimmed


def wheel(folder: Path, name: str = "thing", **files: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "")
        archive.writestr(f"{info}/METADATA", f"Name: {name}\nVersion: 1.0\nLicense-Expression: MIT\n")
        for member, text in files.items():
            archive.writestr(member.replace("INFO", info), text)
    return path


def test_files_lie_where_debians_python_looks(tmp_path: Path) -> None:
    found = read(wheel(tmp_path, **{"thing-1.0.data/purelib/thing/more.py": "", "thing-1.0.data/scripts/thing": "#!python"}))
    assert {path.removeprefix(f"{SITE}/") for path in found.tree} == {"thing/__init__.py", "thing/more.py", "thing-1.0.dist-info/METADATA"}
    assert (found.name, found.version, found.metadata["License-Expression"]) == ("thing", "1.0", "MIT")


def test_a_wheel_cannot_write_outside_its_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads outside"):
        read(wheel(tmp_path, **{"../../../etc/passwd": ""}))


def test_programs_are_made_of_console_scripts(tmp_path: Path) -> None:
    found = scripts(read(wheel(tmp_path, **{"INFO/entry_points.txt": "[console_scripts]\nthing = thing.main:run\n\n[other]\na = b\n"})))
    assert set(found) == {"usr/local/bin/thing"}
    program = found["usr/local/bin/thing"]
    assert program.mode == 0o755
    assert program.content.startswith(b"#!/usr/bin/python3.11\n")
    assert b"from thing.main import run" in program.content


def test_sources_of_extensions_and_tests_are_left_out(tmp_path: Path) -> None:
    found = trimmed(read(wheel(tmp_path, **{"thing/_x.pyx": "", "thing/tests/test_a.py": "", "thing/attest.py": "", "INFO/RECORD": ""})))
    left = {path.removeprefix(f"{SITE}/") for path in found.tree}
    assert left == {"thing/__init__.py", "thing/attest.py", "thing-1.0.dist-info/METADATA"}


def test_a_cut_distribution_that_nobody_requires_any_more_is_an_error(tmp_path: Path) -> None:
    wheel(tmp_path)
    with pytest.raises(NoWheel, match="leaves out what is not in requirements"):
        dependencies(tmp_path)


def test_the_newest_platform_that_debian_12_runs_comes_first() -> None:
    tags = platforms("amd64")
    assert tags[0] == "manylinux_2_36_x86_64"
    assert tags.index("manylinux_2_17_x86_64") + 1 == tags.index("manylinux2014_x86_64")


def pins() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE))


def test_every_requirement_has_a_hash_and_the_version_of_constraints() -> None:
    constraints = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    known = {normal(name): version for name, version in constraints.items()}
    assert {name: known.get(name) for name in pins()} == pins()
    blocks = re.split(r"\n(?=[a-z])", REQUIREMENTS.read_text())[1:]
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_build_backend_has_a_hash_and_the_version_of_constraints() -> None:
    (row,) = re.findall(r"^([a-z-]+==\S+) \\\n    --hash=sha256:[0-9a-f]{64}$", BUILDER.read_text(), re.MULTILINE)
    assert row in (ROOT / "constraints.txt").read_text().splitlines()
    assert row.startswith(f"{tomllib.loads((ROOT / 'pyproject.toml').read_text())['build-system']['build-backend'].partition('.')[0]}==")


def test_no_address_is_in_what_is_pinned() -> None:
    assert "://" not in "".join(path.read_text() for path in (REQUIREMENTS, BUILDER, ROOT / "release/debian.txt"))


def test_what_the_program_depends_on_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {normal(re.split(r"[<>=!~\[; ]", one)[0]) for one in project["dependencies"]}
    assert wanted <= pins().keys()
    assert trimming.DISTRIBUTIONS.keys() <= pins().keys() - wanted


def test_hashes_of_all_architectures_stand_under_one_version() -> None:
    one, other = {"yarl": ("1.0", {"a"})}, {"yarl": ("1.0", {"b"})}
    assert requirements(merged([one, other])).endswith("yarl==1.0 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\n")
    with pytest.raises(ValueError, match=r"yarl is 1\.0"):
        merged([one, {"yarl": ("1.1", {"b"})}])


def test_pips_report_gives_versions_and_hashes() -> None:
    item = {"metadata": {"name": "Py_YAML", "version": "6"}, "download_info": {"archive_info": {"hashes": {"sha256": "abc"}}}}
    assert pinned({"install": [item]}) == {"py-yaml": ("6", {"abc"})}

