"""A registry by the OCI distribution API: images and charts pushed, and read back. Loopback is spoken to in plain HTTP, all else by TLS.

Credentials are those of REGISTRY_USER and REGISTRY_PASSWORD, given as Basic or for a token, as the registry asks.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from release import oci

HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
SECONDS = 60.0


class RegistryError(RuntimeError):
    """The registry refused, gave something else than was asked for, or cannot be reached; the text says what and why."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def split(repository: str) -> tuple[str, str]:
    """`HOST[:PORT]` and path of a repository's name. Raises ValueError where no host is named."""
    host, _, path = repository.partition("/")
    if not path or not ("." in host or ":" in host or host == "localhost"):
        raise ValueError(f"{repository} names no registry: give HOST/PATH, as in ghcr.io/flaggerpy/flaggerpy")
    return host, path


def is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0]
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


@dataclass
class Registry:
    """One repository of a registry, e.g. `ghcr.io/flaggerpy/flaggerpy`. All methods raise RegistryError."""

    repository: str
    _authorization: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        return split(self.repository)[0]

    @property
    def path(self) -> str:
        return split(self.repository)[1]

    def push_image(self, image: oci.Image) -> str:
        """Stores an image under its digest, and no tag; answers `REPOSITORY@DIGEST`."""
        for layer in image.layers:
            self._blob(layer.content)
        self._blob(image.config)
        self._manifest(image.digest, image.manifest)
        return f"{self.repository}@{image.digest}"

    def pull_image(self, digest: str) -> oci.Image:
        """The image of that digest, each part checked against its own."""
        manifest = self._get(f"manifests/{digest}", digest)
        stated = json.loads(manifest)
        config = self._get(f"blobs/{stated['config']['digest']}", stated["config"]["digest"])
        diff_ids = json.loads(config)["rootfs"]["diff_ids"]
        layers = [
            oci.Layer(self._get(f"blobs/{one['digest']}", one["digest"]), diff_id, 0, "")
            for one, diff_id in zip(stated["layers"], diff_ids, strict=True)
        ]
        return oci.Image(manifest, config, tuple(layers))

    def push_chart(self, version: str, archive: bytes, described: Mapping[str, Any]) -> str:
        """Stores a packaged chart as `helm push` does; `described` is its Chart.yaml. Answers its digest."""
        config = oci.encoded(described)
        manifest = oci.encoded(
            {
                "schemaVersion": 2,
                "config": {"mediaType": HELM_CONFIG, "digest": oci.digest(config), "size": len(config)},
                "layers": [{"mediaType": HELM_CHART, "digest": oci.digest(archive), "size": len(archive)}],
            }
        )
        self._blob(archive)
        self._blob(config)
        self._manifest(version, manifest)
        return oci.digest(manifest)

    def pull_chart(self, version: str) -> bytes:
        manifest = json.loads(self._get(f"manifests/{version}", ""))
        (layer,) = manifest["layers"]
        return self._get(f"blobs/{layer['digest']}", layer["digest"])

    def tag(self, tag: str, image: oci.Image) -> None:
        self._manifest(tag, image.manifest)

    def digest_of(self, reference: str) -> str:
        """What a tag or digest leads to; "" where there is nothing."""
        answer = self._ask("HEAD", f"manifests/{reference}", {200, 404}, headers={"Accept": oci.MANIFEST})
        if answer.status == 404:
            return ""
        return answer.headers.get("docker-content-digest", "") or oci.digest(self._get(f"manifests/{reference}", ""))

    def _blob(self, content: bytes) -> None:
        name = oci.digest(content)
        if self._ask("HEAD", f"blobs/{name}", {200, 404}).status == 200:
            return
        begun = self._ask("POST", "blobs/uploads/", {202}, body=b"")
        parts = urlsplit(begun.headers.get("location", ""))
        if parts.netloc and parts.netloc != self.host:
            raise RegistryError(f"{self.host} wants the upload of {name} to go to {parts.netloc}")
        query = "&".join(filter(None, [parts.query, urlencode({"digest": name})]))
        self._ask("PUT", f"{parts.path}?{query}", {201}, body=content, headers={"Content-Type": "application/octet-stream"})

    def _manifest(self, reference: str, content: bytes) -> None:
        kind = json.loads(content).get("mediaType", oci.MANIFEST)
        self._ask("PUT", f"manifests/{reference}", {201}, body=content, headers={"Content-Type": kind})

    def _get(self, what: str, digest: str) -> bytes:
        body = self._ask("GET", what, {200}, headers={"Accept": f"{oci.MANIFEST}, */*"}).body
        if digest and oci.digest(body) != digest:
            raise RegistryError(f"{self.host} gave something else than {digest}")
        return body

    def _ask(
        self, method: str, what: str, expected: set[int], body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        path = what if what.startswith("/") else f"/v2/{self.path}/{what}"
        answer = self._send(method, path, body, headers or {})
        if answer.status == 401:
            # also where there was a token: they live for minutes, and an image is started in between
            self._authorization = self._authorized(answer.headers.get("www-authenticate", ""))
            answer = self._send(method, path, body, headers or {})
        if answer.status in (301, 302, 307, 308) and method == "GET":
            return self._elsewhere(answer.headers.get("location", ""), expected)
        if answer.status not in expected:
            said = answer.body.decode(errors="replace").strip()[:300]
            raise RegistryError(f"{method} {path.split('?')[0]} at {self.host} was answered by {answer.status} {said}".strip())
        return answer

    def _elsewhere(self, location: str, expected: set[int]) -> Answer:
        """A blob that a registry keeps in a store of its own; without our credentials, which are none of the store's business."""
        parts = urlsplit(location)
        answer = send(parts.netloc or self.host, "GET", f"{parts.path}?{parts.query}", None, {})
        if answer.status not in expected:
            raise RegistryError(f"{parts.netloc}, where {self.host} keeps its blobs, answered {answer.status}")
        return answer

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        more = {"Authorization": self._authorization} if self._authorization else {}
        return send(self.host, method, path, body, {**headers, **more})

    def _authorized(self, challenge: str) -> str:
        user, password = os.environ.get("REGISTRY_USER", ""), os.environ.get("REGISTRY_PASSWORD", "")
        basic = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else ""
        if challenge.lower().startswith("bearer"):
            asked = parameters(challenge)
            realm = urlsplit(asked.pop("realm", ""))
            scope = {"scope": f"repository:{self.path}:pull,push"}
            path = f"{realm.path}?{urlencode({**asked, **scope})}"
            answer = send(realm.netloc, "GET", path, None, {"Authorization": basic} if basic else {})
            if answer.status != 200:
                raise RegistryError(f"{realm.netloc} gives no token for {self.repository}: {answer.status}")
            given = json.loads(answer.body)
            return f"Bearer {given.get('token') or given.get('access_token')}"
        if not basic:
            raise RegistryError(f"{self.host} wants credentials: set REGISTRY_USER and REGISTRY_PASSWORD")
        return basic


def parameters(challenge: str) -> dict[str, str]:
    """Those of a `WWW-Authenticate` header."""
    return dict(re.findall(r'(\w+)="([^"]*)"', challenge))


def send(host: str, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
    """One request, with a connection of its own. Raises RegistryError where nobody answers."""
    plain = is_loopback(host)
    connection: http.client.HTTPConnection
    if plain:
        connection = http.client.HTTPConnection(host, timeout=SECONDS)
    else:
        connection = http.client.HTTPSConnection(host, timeout=SECONDS, context=ssl.create_default_context())
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise RegistryError(f"{host} cannot be reached: {error}") from None
    finally:
        connection.close()
