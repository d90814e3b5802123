"""Images: made from static programs, pushed into the sandbox's registry over its HTTP API, pulled from there by containerd."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import platform
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from e2e.sandbox.build import program
from e2e.sandbox.layout import REGISTRY
from e2e.sandbox.versions import PODINFO_TAGS
from release import oci

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"
NOBODY = "65532:65532"


class PushError(RuntimeError):
    """The registry refused; the message says what and why."""


@dataclass(frozen=True)
class Image:
    """An image of one layer. `files` maps a path in the image to a program of the host; `config` is the image's own (Cmd, Env, User ..)."""

    name: str
    tag: str
    files: dict[str, Path]
    config: dict[str, object] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        return f"{REGISTRY}/{self.name}:{self.tag}"


def app(name: str, tag: str = "1.0.0", **config: object) -> Image:
    return Image(name, tag, {name: program(name, "apps")}, {"Entrypoint": [f"/{name}"], "User": NOBODY, **config})


def podinfo(tag: str) -> Image:
    """Laid out as podinfo's own image is, so that manifests written for that one run unchanged."""
    files = {"home/app/podinfo": program(f"podinfo-{tag}", "podinfo"), "usr/local/bin/podcli": program("podcli", "podinfo")}
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return Image("podinfo", tag, files, {"Cmd": ["./podinfo"], "WorkingDir": "/home/app", "User": "100:101", "Env": [path]})


def standard() -> list[Image]:
    """What every sandbox has. `pause` comes first: no pod starts without it."""
    return [
        app("pause", "1"),
        *(app("toggle", tag, Env=[f"VERSION={tag}"], ExposedPorts={"9898/tcp": {}}) for tag in PODINFO_TAGS),
        *(podinfo(tag) for tag in PODINFO_TAGS),
        app("crasher"),
        app("load"),
    ]


def layer_of(files: dict[str, Path]) -> bytes:
    """A layer with these files, the folders above them and a /tmp; the same bytes for the same programs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folders = {"tmp"} | {str(parent) for path in files for parent in Path(path).parents if str(parent) != "."}
        for folder in sorted(folders):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(info)
        for path, source in sorted(files.items()):
            content = source.read_bytes()
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def push(image: Image) -> None:
    """Pushes an image; ask inside the network namespace. Raises PushError."""
    layer = layer_of(image.files)
    push_layers(image.name, image.tag, [layer], image.config)


def push_layers(name: str, tag: str, layers: list[bytes], image_config: dict[str, object]) -> None:
    config = json.dumps(
        {
            "architecture": "arm64" if platform.machine() == "aarch64" else "amd64",
            "os": "linux",
            "config": image_config,
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": len(config), "digest": digest(config)},
        "layers": [{"mediaType": LAYER, "size": len(layer), "digest": digest(layer)} for layer in layers],
    }
    host, port = REGISTRY.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        for blob in [*layers, config]:
            push_blob(connection, name, blob)
        body = json.dumps(manifest).encode()
        ask(connection, "PUT", f"/v2/{name}/manifests/{tag}", {201}, body, {"Content-Type": MANIFEST})
    finally:
        connection.close()


def push_oci(name: str, tag: str, image: oci.Image) -> None:
    """Pushes an image as it is, so that its digest is the same here as anywhere; ask inside the network namespace. Raises PushError."""
    host, port = REGISTRY.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        for blob in [*(layer.content for layer in image.layers), image.config]:
            push_blob(connection, name, blob)
        ask(connection, "PUT", f"/v2/{name}/manifests/{tag}", {201}, image.manifest, {"Content-Type": oci.MANIFEST})
    finally:
        connection.close()


def names_in(file: Path) -> list[str]:
    with tarfile.open(file) as archive:
        return archive.getnames()


def push_blob(connection: http.client.HTTPConnection, name: str, blob: bytes) -> None:
    if ask(connection, "HEAD", f"/v2/{name}/blobs/{digest(blob)}", {200, 404})[0] == 200:
        return
    _, location = ask(connection, "POST", f"/v2/{name}/blobs/uploads/", {202})
    where = location.split(REGISTRY, 1)[-1]
    url = f"{where}{'&' if '?' in where else '?'}digest={digest(blob)}"
    ask(connection, "PUT", url, {201}, blob, {"Content-Type": "application/octet-stream"})


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    expected: set[int],
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read()
    if response.status not in expected:
        raise PushError(f"{method} {path.split('?')[0]} answered {response.status}: {text.decode(errors='replace')[:300]}")
    return response.status, response.headers.get("Location", "")


def load(reference: str, file: Path) -> str:
    """Pushes NAME:TAG from a static program, a docker archive (`docker save`) or an OCI archive (`python -m release.image`).

    Returns the reference that pods use.
    """
    name, _, tag = reference.removeprefix(f"{REGISTRY}/").partition(":")
    tag = tag or "1.0.0"
    if tarfile.is_tarfile(file) and "oci-layout" in names_in(file):
        push_oci(name, tag, oci.opened(file))
    elif tarfile.is_tarfile(file):
        with tarfile.open(file) as archive:

            def member(path: str) -> bytes:
                opened = archive.extractfile(path)
                if opened is None:
                    raise PushError(f"{file} is no docker archive: {path} is not a file in it")
                return opened.read()

            try:
                (entry, *_) = json.loads(member("manifest.json"))
            except KeyError:
                raise PushError(f"{file} is a tar but no docker archive: it has no manifest.json") from None
            layers = [member(layer) for layer in entry["Layers"]]
            push_layers(name, tag, layers, json.loads(member(entry["Config"])).get("config", {}))
    else:
        base = name.rsplit("/", 1)[-1]
        push(Image(name, tag, {base: file}, {"Entrypoint": [f"/{base}"], "User": NOBODY}))
    return f"{REGISTRY}/{name}:{tag}"
