"""Images made from programs: their layers are the same bytes for the same files, and complete."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from e2e.sandbox import images
from e2e.sandbox.layout import Layout


def test_a_layer_is_the_same_for_the_same_programs_and_has_its_folders(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"binary")
    layer = images.layer_of({"home/app/program": program})
    program.touch()
    assert images.layer_of({"home/app/program": program}) == layer
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert {member.name: (member.mode, member.isdir()) for member in tar} == {
            "home": (0o755, True),
            "home/app": (0o755, True),
            "tmp": (0o1777, True),
            "home/app/program": (0o755, False),
        }


def test_a_tar_that_is_no_docker_archive_is_refused_by_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "some.tar", "w"):
        pass
    with pytest.raises(images.PushError, match=r"no docker archive: it has no manifest\.json"):
        images.load("app:1", tmp_path / "some.tar")


@pytest.mark.parametrize("name", ["Upper", "a_b", "-a", "a-", "", "a" * 31])
def test_a_name_that_could_not_be_a_namespace_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters"):
        Layout(name)
