"""Where rows about pulls get their images: registries of their own that misbehave, before the sandbox's, and the names that lead there."""

from __future__ import annotations

import base64
import json
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from e2e.catalogue.row import UNPULLED, Row, Step, Verdict, app
from e2e.core.stage import Stage
from e2e.kube import Object
from e2e.registry import PLAIN, Authority, Basic, Bearer, Fault, FaultyRegistry, Speech, Store
from e2e.registry.names import NameServer
from e2e.registry.store import digest, layer
from e2e.sandbox import Sandbox, images
from e2e.sandbox.layout import NODE_IP, REGISTRY

ZONE = "registry.test"
AARCH64 = 183
"""The machine in an ELF header (elf.h, EM_AARCH64)."""
CONFIG: Object = {"Entrypoint": ["/toggle"], "User": images.NOBODY}
SALT = 256_000
"""Bytes of the layer that no other image has, so that every pull fetches something."""
ALICE = {"alice": "secret"}
AUTHORITY = Authority()
"""Whom the node trusts, as far as a site's `trusts` says so."""
NAMES: dict[str, str | None] = {}
"""What the name server of the node knows."""

_ports = count(5101)


@dataclass(frozen=True)
class Site:
    """A registry of one row, on a port of its own.

    By loopback the node speaks plain HTTP to it; a `named` one it finds by a name and speaks HTTPS to. `speech` and `auth` are how it
    begins, `faults` what it does wrong until they are healed. `trusts` gives the node `AUTHORITY`'s certificate for it. `filled` puts the
    image in (default: the application itself, into the sandbox's registry behind it).
    """

    id: str
    named: bool = False
    speech: Callable[[Site], Speech] | Speech = PLAIN
    auth: Basic | Bearer | None = None
    faults: Callable[[str], Sequence[Fault]] = lambda _: ()
    """Given the digest of the layer that no other image has."""
    trusts: bool = False
    plain: bool = False
    """The node is told that this name's registry speaks plain HTTP."""
    filled: Callable[[Site, Store], str] | None = None
    resolved: str | None = NODE_IP
    """What the name server says: an address, None for silence, "" for no such host."""
    listens: bool = True
    user: tuple[str, str] | None = None
    """Name and password in the pull secret, which has the site's id as its name; None for no such secret."""
    port: int = field(default_factory=lambda: next(_ports))

    @property
    def name(self) -> str:
        """Host name or address."""
        return f"{self.id}.{ZONE}" if self.named else "127.0.0.1"

    @property
    def host(self) -> str:
        """As it stands in the image's name."""
        return f"{self.name}:{self.port}"

    @property
    def image(self) -> str:
        return f"{self.host}/{self.id}:1.0.0"

    @contextmanager
    def opened(self, stage: Stage) -> Iterator[Open]:
        """The registry with a fresh image, as long as the row is played."""
        forget(stage.sandbox, self.image)
        speech = self.speech if isinstance(self.speech, Speech) else self.speech(self)
        address = NODE_IP if self.named else "127.0.0.1"
        made = FaultyRegistry(upstream=REGISTRY, address=address, port=self.port, speech=speech, auth=self.auth)
        with made as registry, self._told(stage):
            own = (self.filled or application)(self, registry.store)
            registry.inject(*self.faults(own))
            if not self.listens:
                registry.refuse()
            if self.user:
                stage.kube.apply(secret(self.id, self.host, *self.user), namespace=stage.namespace)
            yield Open(self, registry)

    @contextmanager
    def _told(self, stage: Stage) -> Iterator[None]:
        """What name server and node know of it."""
        folder = hosts_folder(stage.sandbox, self.host)
        if self.named and self.resolved != "":
            NAMES[self.name] = self.resolved
        if self.trusts:
            trust(stage.sandbox, self.host)
        if self.plain:
            folder.mkdir(parents=True, exist_ok=True)
            url = f"http://{self.host}"
            (folder / "hosts.toml").write_text(f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n')
        try:
            yield
        finally:
            NAMES.pop(self.name, None)
            with suppress(OSError):
                (folder / "hosts.toml").unlink()


@dataclass(frozen=True)
class Open:
    """A site while its row is played."""

    site: Site
    registry: FaultyRegistry


def hosts_folder(sandbox: Sandbox, host: str) -> Path:
    """Where containerd looks, at each pull, for what it should know of a registry."""
    return sandbox.layout.conf / "certs.d" / host


def trust(sandbox: Sandbox, host: str) -> None:
    """Give the node the authority's certificate for a registry."""
    folder = hosts_folder(sandbox, host)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(AUTHORITY.pem)
    (folder / "hosts.toml").write_text(f'server = "https://{host}"\n[host."https://{host}"]\n  ca = "{folder / "ca.pem"}"\n')


def forget(sandbox: Sandbox, image: str) -> None:
    """The node has this image no more, or the row would not pull anything when it is played again."""
    sandbox.run("ctr", "-a", str(sandbox.layout.containerd_socket), "-n", "k8s.io", "images", "rm", image, check=False)


def application(site: Site, _: Store, tag: str = "1.0.0") -> str:
    """The application with a layer that was never pulled before; answers the layer's digest."""
    own = layer({"salt": os.urandom(SALT)})
    config = CONFIG | {"Env": [f"VERSION={tag}"]}
    images.push_layers(site.id, tag, [images.layer_of(images.app("toggle").files), own], config)
    return digest(own)


def nothing(_: Site, __: Store) -> str:
    """The registry is empty."""
    return ""


@contextmanager
def ground(sandbox: Sandbox) -> Iterator[None]:
    """What all these rows share: the name server of the node, which it asks more than once, as a busy machine may be late to answer."""
    file = sandbox.layout.conf / "resolv.conf"
    before = file.read_text()
    file.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:5\n")
    try:
        with NameServer(NAMES):
            yield
    finally:
        file.write_text(before)


def secret(name: str, host: str, user: str, password: str) -> Object:
    """What `kubectl create secret docker-registry` makes."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    config = {"auths": {host: {"username": user, "password": password, "auth": auth}}}
    data = {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson", "data": data}


def pulling(site: Site, cause: Sequence[str], verdict: Verdict, **fields: Any) -> Row:
    """A row whose release pulls from a site; `{image}`, `{host}`, `{name}` and `{id}` in its words are the site's."""
    known = {"{image}": site.image, "{host}": site.host, "{name}": site.name, "{id}": site.id}
    words = tuple(re.sub(r"\{\w+\}", lambda found: known[found.group(0)], text) for text in cause)
    given: Object = {"container": "app", "reasons": UNPULLED, "around": site.opened} | fields
    pod: Object = {"containers": [app(site.image)]}
    if given.pop("secret", site.user is not None):
        pod["imagePullSecrets"] = [{"name": site.id}]
    return Row(site.id, pod, cause=words, verdict=verdict, **given)


def pair(site: Site, cause: Sequence[str], verdict: Verdict, heal: Step, healed: Object | None = None, **fields: Any) -> list[Row]:
    """A row and the same fault that ends in time, on a site of its own. `healed` changes the fields of the second."""
    other = replace(site, id=f"{site.id}-heals", port=next(_ports))
    end = fields | {"deadline": 0, "heal": heal} | (healed or {})
    return [pulling(site, cause, verdict, **fields), pulling(other, cause, Verdict.PROMOTED, **end)]


def foreign(site: Site, store: Store) -> str:
    """A manifest list with an image for another architecture only."""
    return store.add(site.id, "1.0.0", platforms=["linux/arm64"], listed=True)


def foreign_alone(site: Site, store: Store) -> str:
    """The same without a list: the node does not look at the architecture, and finds out when it starts the program."""
    program = bytearray(images.app("toggle").files["toggle"].read_bytes())
    program[18:20] = struct.pack("<H", AARCH64)
    return store.add(site.id, "1.0.0", platforms=["linux/arm64"], layers=[layer({"toggle": bytes(program)})], config=CONFIG)


def unpackable(site: Site, _: Store) -> str:
    """An image whose digests are right, but whose layer is no archive: it was pushed broken."""
    broken = os.urandom(SALT)
    images.push_layers(site.id, "1.0.0", [broken], CONFIG)
    return digest(broken)
