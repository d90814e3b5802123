"""The image's base: which packages are taken, where their files lie, what takes the place of their scripts."""

from __future__ import annotations

from release import trimming
from release.debian import BUNDLE, PACKAGES, PINS, Package, bundle, ground, lines, offers, pinned, trimmed, usr_merged
from release.tree import file

OFFERED = """Reading package lists...
'http://archive.example/pool/o/openssl/libssl3_3.0.22-1%7edeb12u2_amd64.deb' libssl3_3.0.22-1~deb12u2_amd64.deb 2038604 SHA256:{a}
'http://archive.example/pool/z/zlib/zlib1g_1.2.13.dfsg-1_amd64.deb' zlib1g_1%3a1.2.13.dfsg-1_amd64.deb 86728 SHA256:{b}
"""


def test_what_the_archive_offers_is_read_with_its_epochs() -> None:
    text = OFFERED.format(a="a" * 64, b="b" * 64)
    assert offers(text, "amd64") == {
        "libssl3": Package("amd64", "libssl3", "3.0.22-1~deb12u2", "a" * 64),
        "zlib1g": Package("amd64", "zlib1g", "1:1.2.13.dfsg-1", "b" * 64),
    }


def test_pins_are_read_as_they_are_written_and_per_architecture() -> None:
    one, other = Package("amd64", "libc6", "2.36", "a" * 64), Package("arm64", "libc6", "2.36", "b" * 64)
    assert pinned(lines([one, other]), "amd64") == (one,)


def test_every_package_is_pinned() -> None:
    assert {package.name for package in pinned(PINS.read_text(), "amd64")} == set(PACKAGES)


def test_files_lie_below_usr_as_in_debian_12() -> None:
    assert usr_merged("lib/x86_64-linux-gnu/libc.so.6") == "usr/lib/x86_64-linux-gnu/libc.so.6"
    assert usr_merged("lib64/ld-linux-x86-64.so.2") == "usr/lib64/ld-linux-x86-64.so.2"
    assert usr_merged("libexec/x") == "libexec/x"
    assert usr_merged("lib") == ""


def test_no_shell_and_no_package_manager_but_licences_and_time_zones() -> None:
    tree = {
        path: file("")
        for path in (
            "usr/bin/python3.11", "usr/bin/ldd", "usr/bin/dash", "usr/share/doc/libc6/copyright", "usr/share/doc/libc6/NEWS.gz",
            "usr/share/zoneinfo/Europe/Berlin", "usr/share/zoneinfo/right/Europe/Berlin", "usr/lib/python3.11/os.py",
            "usr/lib/python3.11/ensurepip/__init__.py", "usr/lib/x86_64-linux-gnu/gconv/BIG5.so", "usr/lib/x86_64-linux-gnu/libc.so.6",
        )
    }  # fmt: skip
    assert set(trimmed(tree)) == {
        "usr/bin/python3.11", "usr/share/doc/libc6/copyright", "usr/share/zoneinfo/Europe/Berlin", "usr/lib/python3.11/os.py",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
    }  # fmt: skip


def test_the_bundle_is_sorted_and_each_authority_ends_its_line() -> None:
    authorities = "usr/share/ca-certificates/mozilla"
    assert bundle({f"{authorities}/b.crt": file("B\n\n"), f"{authorities}/a.crt": file("A"), "etc/a.crt": file("no")}) == b"A\nB\n"


def test_openssl_finds_the_bundle_where_it_looks() -> None:
    assert ground()["usr/lib/ssl/cert.pem"].target == f"/{BUNDLE}"


def test_the_user_is_no_root_and_known_by_name() -> None:
    assert "nonroot:x:10001:10001:" in ground()["etc/passwd"].content.decode()


def test_each_cut_says_why() -> None:
    assert all(len(cut.why) > 10 for cut in (*trimming.DEBIAN, *trimming.WHEELS))
