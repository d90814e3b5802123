"""Root file systems as values: the same tree is the same tar, wherever and by whomever it is written."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.tree import Entry, file, folder, link, merged, plain, program, read, read_tar, tarred, with_parents, without, write

NAMES = st.lists(st.sampled_from(["a", "b", "usr", "lib", "x.py"]), min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(NAMES, st.binary(max_size=20).map(file), max_size=6).map(
    lambda tree: {path: entry for path, entry in tree.items() if not any(other.startswith(f"{path}/") for other in tree)}
)


@given(TREES)
def test_a_tar_gives_back_the_tree_and_does_not_depend_on_its_order(tree: dict[str, Entry]) -> None:
    content = tarred(with_parents(tree), 7)
    assert {path: entry for path, entry in read_tar(content).items() if entry.kind != "folder"} == tree
    assert tarred(with_parents(dict(reversed(tree.items()))), 7) == content


def test_a_tar_holds_no_owner_no_time_and_no_umask_of_its_builder(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write({"usr/bin/x": program("x"), "usr/y": file("y"), "lib": link("usr/lib")}, tmp_path / "one")
    finally:
        os.umask(old)
    with tarfile.open(fileobj=io.BytesIO(tarred(with_parents(read(tmp_path / "one")), 99))) as tar:
        seen = {member.name: (oct(member.mode), member.uid, member.gid, member.uname, member.mtime) for member in tar}
    assert seen == {
        "lib": ("0o777", 0, 0, "", 99),
        "usr": ("0o755", 0, 0, "", 99),
        "usr/bin": ("0o755", 0, 0, "", 99),
        "usr/bin/x": ("0o755", 0, 0, "", 99),
        "usr/y": ("0o644", 0, 0, "", 99),
    }


def test_a_path_that_leads_outside_is_refused() -> None:
    assert plain("./usr//bin/x") == "usr/bin/x"
    with pytest.raises(ValueError, match="leads outside"):
        plain("usr/../../etc/passwd")


def test_a_device_is_refused() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        device = tarfile.TarInfo("dev/sda")
        device.type = tarfile.BLKTYPE
        tar.addfile(device)
    with pytest.raises(ValueError, match="dev/sda is neither"):
        read_tar(buffer.getvalue())


def test_a_hard_link_is_a_file_of_its_own() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        first = tarfile.TarInfo("./a")
        first.size = 1
        tar.addfile(first, io.BytesIO(b"x"))
        second = tarfile.TarInfo("./b")
        second.type, second.linkname = tarfile.LNKTYPE, "./a"
        tar.addfile(second)
    assert read_tar(buffer.getvalue()) == {"a": file("x"), "b": file("x")}


def test_two_different_files_at_one_path_are_an_error() -> None:
    assert merged({"a": file("x")}, {"a": file("x"), "b": file("y")}) == {"a": file("x"), "b": file("y")}
    with pytest.raises(ValueError, match="/a"):
        merged({"a": file("x")}, {"a": file("y")})


def test_folders_that_a_layer_below_has_are_not_repeated() -> None:
    assert with_parents({"usr/lib/x": file("")}, ["usr"]) == {"usr/lib": folder(), "usr/lib/x": file("")}


def test_what_is_kept_is_stronger_than_what_is_left_out() -> None:
    tree = {"doc/a/copyright": file(""), "doc/a/README": file(""), "lib/a": file("")}
    assert set(without(tree, ["doc/*"], ["doc/*/copyright"])) == {"doc/a/copyright", "lib/a"}
