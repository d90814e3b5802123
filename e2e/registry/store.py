"""Images in memory, as a registry keeps them: manifests by name and tag or digest, blobs by digest."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
LISTS = (OCI_INDEX, DOCKER_LIST)


@dataclass(frozen=True)
class Platform:
    """An entry of a manifest list, as OCI names it; `parse` reads linux/arm64 or linux/arm/v7."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        os, architecture, *variant = text.split("/")
        return cls(os, architecture, "".join(variant))

    def fields(self) -> dict[str, str]:
        found = {"os": self.os, "architecture": self.architecture}
        return found | ({"variant": self.variant} if self.variant else {})


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer(files: Mapping[str, bytes]) -> bytes:
    """A layer with these files, executable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Store:
    """`manifests` maps (repository, tag or digest) to (media type, bytes); `blobs` maps a digest to its bytes."""

    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def add(
        self,
        name: str,
        tag: str,
        *,
        platforms: Sequence[str] = ("linux/amd64",),
        listed: bool | None = None,
        layers: Sequence[bytes] = (),
        config: Mapping[str, object] | None = None,
        docker: bool = False,
    ) -> str:
        """Make an image and keep it; answers the digest of what the tag names.

        One manifest per platform; they stand in a manifest list when there are several or `listed` says so. `layers` are tars (one small
        one, unlike any other image's, where none is given), `config` the image's own (Cmd, Entrypoint, Env, ...); `docker` uses Docker's
        media types instead of OCI's.
        """
        entries = []
        for text in platforms:
            platform = Platform.parse(text)
            own = layers or [layer({"which": f"{name}:{tag} {text}".encode()})]
            made = self._manifest(name, platform, own, dict(config or {}), docker)
            entries.append((made, platform))
        if not (len(platforms) > 1 if listed is None else listed):
            return self.tag(name, tag, *self.manifests[name, entries[0][0]])
        manifests = [
            {"mediaType": media, "size": len(body), "digest": made, "platform": platform.fields()}
            for made, platform in entries
            for media, body in [self.manifests[name, made]]
        ]
        kind = DOCKER_LIST if docker else OCI_INDEX
        return self.tag(name, tag, kind, _json({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}))

    def tag(self, name: str, tag: str, media: str, body: bytes) -> str:
        """Keep any manifest, sound or not, under a tag and its digest; answers the digest."""
        found = digest(body)
        for reference in {tag, found}:
            self.manifests[name, reference] = media, body
        return found

    def blob(self, content: bytes) -> str:
        found = digest(content)
        self.blobs[found] = content
        return found

    def tags(self, name: str) -> list[str]:
        return sorted(reference for repository, reference in self.manifests if repository == name and ":" not in reference)

    def _manifest(self, name: str, platform: Platform, layers: Sequence[bytes], config: dict[str, object], docker: bool) -> str:
        rootfs = {"type": "layers", "diff_ids": [digest(one) for one in layers]}
        image = _json({**platform.fields(), "config": config, "rootfs": rootfs})
        body = _json(
            {
                "schemaVersion": 2,
                "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
                "config": {"mediaType": DOCKER_CONFIG if docker else OCI_CONFIG, "size": len(image), "digest": self.blob(image)},
                "layers": [
                    {"mediaType": DOCKER_LAYER if docker else OCI_LAYER, "size": len(one), "digest": self.blob(one)} for one in layers
                ],
            }
        )
        found = digest(body)
        self.manifests[name, found] = DOCKER_MANIFEST if docker else OCI_MANIFEST, body
        return found


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
