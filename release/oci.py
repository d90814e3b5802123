"""OCI images as data: configuration, manifest, and the archive (a layout in a tar) that `podman load`, `docker load` and `ctr` take."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from release.tree import file, folder, tarred, with_parents

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Layer:
    """A packed layer: `diff_id` is the digest of the tar in it, `unpacked` the bytes of its files, `origin` a word for people."""

    content: bytes
    diff_id: str
    unpacked: int
    origin: str

    @property
    def digest(self) -> str:
        return digest(self.content)


@dataclass(frozen=True)
class Image:
    """All of an image. `manifest` and `config` are the bytes that registries store."""

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """What a reference by digest names."""
        return digest(self.manifest)

    @property
    def size(self) -> int:
        """Bytes to pull."""
        return sum(len(layer.content) for layer in self.layers)

    @property
    def unpacked(self) -> int:
        """Bytes of all files on a node."""
        return sum(layer.unpacked for layer in self.layers)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encoded(value: object) -> bytes:
    """JSON, the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def image(layers: Sequence[Layer], architecture: str, settings: Mapping[str, Any], created: str) -> Image:
    """An image of these layers, the lowest first. `settings` is the config's `config` (Entrypoint, Env, Labels ..), `created` RFC 3339."""
    config = encoded(
        {
            "architecture": architecture,
            "os": "linux",
            "created": created,
            "config": dict(settings),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": created, "created_by": "python -m release.image", "comment": layer.origin} for layer in layers],
        }
    )
    manifest = encoded(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": len(layer.content)} for layer in layers],
            "annotations": {key: value for key, value in settings.get("Labels", {}).items() if key.startswith("org.opencontainers.image.")},
        }
    )
    return Image(manifest, config, tuple(layers))


def archive(found: Image, name: str, tag: str) -> bytes:
    """The image in an image layout, tarred; the same bytes for the same image."""
    descriptor = {
        "mediaType": MANIFEST,
        "digest": found.digest,
        "size": len(found.manifest),
        "annotations": {"io.containerd.image.name": f"docker.io/library/{name}:{tag}", "org.opencontainers.image.ref.name": tag},
    }
    blobs = {digest(blob): blob for blob in (found.manifest, found.config, *(layer.content for layer in found.layers))}
    tree = {
        "oci-layout": file(encoded({"imageLayoutVersion": "1.0.0"})),
        "index.json": file(encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]})),
        "blobs/sha256": folder(),
        **{f"blobs/{key.replace(':', '/')}": file(blob) for key, blob in blobs.items()},
    }
    return tarred(with_parents(tree), 0)


class NoArchive(ValueError):
    """A file that is no image layout, or one whose content is not what it says."""


def opened(path: Path) -> Image:
    """The one image of an archive, each blob checked against its digest. Raises NoArchive."""
    try:
        with tarfile.open(path) as tar:

            def member(name: str) -> bytes:
                found = tar.extractfile(name)
                if found is None:
                    raise NoArchive(f"{path.name}: {name} is no file")
                return found.read()

            def blob(descriptor: Mapping[str, Any]) -> bytes:
                content = member(f"blobs/{descriptor['digest'].replace(':', '/')}")
                if digest(content) != descriptor["digest"]:
                    raise NoArchive(f"{path.name}: a blob is not {descriptor['digest']}")
                return content

            index = json.loads(member("index.json"))
            manifest = blob(index["manifests"][0])
            stated = json.loads(manifest)
            config = blob(stated["config"])
            diff_ids = json.loads(config)["rootfs"]["diff_ids"]
            layers = [Layer(blob(one), diff_id, 0, "") for one, diff_id in zip(stated["layers"], diff_ids, strict=True)]
    except (KeyError, IndexError, tarfile.TarError) as error:
        raise NoArchive(f"{path.name} is no OCI image archive: {error}") from None
    return Image(manifest, config, tuple(layers))
