"""Image names are read as the kubelet reads them, and refused where it reports InvalidImageName."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.images.reference import InvalidName, Reference, parse

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("nginx", ("docker.io", "library/nginx", "", "")),
        ("nginx:1.27", ("docker.io", "library/nginx", "1.27", "")),
        ("stefanprodan/podinfo:6.1.0", ("docker.io", "stefanprodan/podinfo", "6.1.0", "")),
        ("docker.io/nginx", ("docker.io", "library/nginx", "", "")),
        ("index.docker.io/nginx:1", ("docker.io", "library/nginx", "1", "")),
        ("ghcr.io/org/app:v1", ("ghcr.io", "org/app", "v1", "")),
        ("localhost/app", ("localhost", "app", "", "")),
        ("localhost:5000/app:1", ("localhost:5000", "app", "1", "")),
        ("registry:5000/a/b/c", ("registry:5000", "a/b/c", "", "")),
        ("[::1]:5000/app:1", ("[::1]:5000", "app", "1", "")),
        ("Registry/app", ("Registry", "app", "", "")),
        (f"nginx@{DIGEST}", ("docker.io", "library/nginx", "", DIGEST)),
        (f"r.example/app:1.2@{DIGEST}", ("r.example", "app", "1.2", DIGEST)),
        ("a.b/c__d/e--f/g.h_i", ("a.b", "c__d/e--f/g.h_i", "", "")),
        ("app:_1.2-x", ("docker.io", "library/app", "_1.2-x", "")),
    ],
)
def test_a_name_is_read_with_the_defaults_of_container_runtimes(image: str, parts: tuple[str, str, str, str]) -> None:
    assert parse(image) == Reference(*parts)


@pytest.mark.parametrize(
    "image",
    [
        "",
        " nginx",
        "nginx ",
        "nginx\n",
        "Nginx",
        "r.example/App:1",
        "app::1",
        "app:",
        "app:1:2",
        "r.example/",
        "r.example/app/",
        "/app",
        "r.example//app",
        "-r.example/app",
        "r.example-:5000/app",
        "r.example:port/app",
        "app:.1",
        "app:" + "x" * 129,
        "a___b",
        "a..b",
        "_app",
        "app_",
        "app:1@",
        "app@sha256:abc",
        "app@md5:" + "0" * 32,
        f"app@{DIGEST.upper()}",
        "app@sha256:" + "0A" * 32,
        "https://r.example/app",
        "r.example/app?x",
        "a" * 64,
        "r.example/" + "x" * 256,
        "ñ/app",
    ],
)
def test_what_the_kubelet_refuses_is_refused(image: str) -> None:
    with pytest.raises(InvalidName):
        parse(image)


def test_a_name_of_64_hexadecimal_digits_is_an_image_id_and_no_name() -> None:
    with pytest.raises(InvalidName, match="image id"):
        parse("0a" * 32)
    assert parse("0a" * 32 + ":1").tag == "1"


def test_a_digest_is_what_is_pulled_whatever_tag_stands_beside_it() -> None:
    assert parse(f"app:1@{DIGEST}").pulled == DIGEST
    assert parse("app:1").pulled == "1"
    assert parse("app").pulled == "latest"
    assert parse(f"app:1@{DIGEST}").same_image(parse(f"docker.io/library/app@{DIGEST}"))
    assert not parse("app:1").same_image(parse("app:2"))
    assert not parse("app:1").same_image(parse("r.example/app:1"))


@pytest.mark.parametrize(
    ("image", "always"), [("app", True), ("app:latest", True), ("app:1", False), (f"app@{DIGEST}", False), (f"app:latest@{DIGEST}", True)]
)
def test_latest_is_pulled_always_unless_the_pod_says_otherwise(image: str, always: bool) -> None:
    assert parse(image).always_by_default is always


word = st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True)
separator = st.sampled_from(["-", "--", ".", "_", "__"])
component = st.builds(lambda words, between: between.join(words), st.lists(word, min_size=1, max_size=3), separator)
path = st.lists(component, min_size=1, max_size=4)
host = st.one_of(
    st.just("docker.io"),
    st.just("localhost"),
    st.builds("{}.{}".format, word, word),
    st.builds("{}:{}".format, word, st.integers(1, 65535)),
)
tag = st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True))
digest = st.one_of(st.just(""), st.binary(min_size=32, max_size=32).map(lambda b: f"sha256:{b.hex()}"))


@given(host, path, tag, digest)
def test_what_is_written_out_in_full_reads_back_the_same(host: str, path: list[str], tag: str, digest: str) -> None:
    written = Reference(host, "/".join(["x", *path]), tag, digest)
    assert parse(str(written)) == written


@given(path.map(lambda parts: ["x", *parts]), tag, digest)
def test_a_name_without_a_host_is_docker_hubs(path: list[str], tag: str, digest: str) -> None:
    name = "/".join(path)
    ends = (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    if len(name) == 64:
        return
    bare, full = parse(name + ends), parse(f"docker.io/{name}{ends}")
    assert bare == full
    assert parse(f"index.docker.io/{name}{ends}") == full


@given(st.text(max_size=80))
def test_any_text_is_a_whole_name_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except InvalidName:
        return
    assert parse(str(found)) == found
    assert found.host
    assert found.path
    assert found.path == found.path.lower()
