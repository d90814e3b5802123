"""Images as data: what their digests depend on, and archives that give back the image."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from release.oci import Image, Layer, NoArchive, archive, digest, image, opened
from release.tree import file, read_tar, tarred

SETTINGS = {"User": "10001:10001", "Labels": {"org.opencontainers.image.version": "1.2.3", "mine": "x"}}


def made(content: bytes = b"x", created: str = "2026-01-02T03:04:05Z") -> Image:
    plain = tarred({"a": file(content)}, 0)
    return image([Layer(gzip.compress(plain, mtime=0), digest(plain), len(content), "a file")], "amd64", SETTINGS, created)


def test_equal_content_is_one_digest_and_any_difference_another() -> None:
    assert made().digest == made().digest
    assert len({made().digest, made(b"y").digest, made(created="2026-01-02T03:04:06Z").digest}) == 3


def test_the_configuration_names_the_layers_by_what_is_in_them() -> None:
    found = made()
    config, manifest = json.loads(found.config), json.loads(found.manifest)
    assert [digest(gzip.decompress(layer.content)) for layer in found.layers] == config["rootfs"]["diff_ids"]
    assert manifest["config"]["digest"] == digest(found.config)
    assert manifest["layers"][0] == {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": found.layers[0].digest,
        "size": len(found.layers[0].content),
    }
    assert manifest["annotations"] == {"org.opencontainers.image.version": "1.2.3"}


def test_an_archive_gives_back_the_image(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(archive(made(), "flaggerpy", "1.2.3"))
    found = opened(path)
    assert (found.digest, found.config, found.layers[0].content) == (made().digest, made().config, made().layers[0].content)
    index = json.loads(read_tar(path.read_bytes())["index.json"].content)
    assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == "1.2.3"


def test_an_archive_whose_blob_was_changed_is_refused(tmp_path: Path) -> None:
    tree = read_tar(archive(made(), "flaggerpy", "1.2.3"))
    blob = f"blobs/{made().layers[0].digest.replace(':', '/')}"
    path = tmp_path / "image.tar"
    path.write_bytes(tarred({**tree, blob: file(b"else")}, 0))
    with pytest.raises(NoArchive, match=r"image\.tar: a blob is not sha256:"):
        opened(path)


def test_a_tar_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "else.tar"
    path.write_bytes(tarred({"a": file("x")}, 0))
    with pytest.raises(NoArchive, match="no OCI image archive"):
        opened(path)
