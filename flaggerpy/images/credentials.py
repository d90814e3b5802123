"""Pull secrets: which user and password a registry is asked with. The rules are the kubelet's, so that the answer is the kubelet's.

A secret is `kubernetes.io/dockerconfigjson` ({"auths": {KEY: ...}}) or the older `kubernetes.io/dockercfg` ({KEY: ...}). A KEY is a host
with an optional port and path, with or without a scheme; `*` stands for a part of one label of the host. The longest keys are tried
first, all that match are tried in turn, and a key for Docker Hub counts for every name without a host.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from re import match
from typing import Any
from urllib.parse import urlsplit

from flaggerpy.images.reference import DEFAULT_HOST, Reference

CONFIG_JSON = ".dockerconfigjson"
CONFIG = ".dockercfg"
HUB = "index.docker.io"
MOST_TRIED = 4
"""How many credentials are tried for one image; whoever has more of them for one repository has a mistake in them."""


class BadSecret(ValueError):
    """A secret that the kubelet could not read either; the text says why, without anything of its content."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and password of a registry."""

    user: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


Entries = tuple[tuple[str, Credential], ...]
"""Keys of a secret with what they open, as they are written."""


def of_secret(data: Mapping[str, str]) -> Entries:
    """The entries of a pull secret from its decoded data. Raises BadSecret; a secret of another type has none."""
    if CONFIG_JSON in data:
        return of_config(_loaded(data[CONFIG_JSON], CONFIG_JSON))
    if CONFIG in data:
        return _entries(_loaded(data[CONFIG], CONFIG))
    return ()


def of_config(config: Any) -> Entries:
    """The entries of a Docker configuration file, already parsed. Raises BadSecret."""
    auths = config.get("auths") if isinstance(config, dict) else None
    return _entries(auths or {})


def matching(entries: Iterable[tuple[str, Credential]], image: Reference) -> list[Credential]:
    """What the image is asked for with, in order; empty: without credentials."""
    by_key: dict[str, list[Credential]] = {}
    for key, credential in entries:
        place = _place(key)
        if place:
            by_key.setdefault(place, []).append(credential)
    found = [credential for key in sorted(by_key, reverse=True) if _matches(key, image.repository) for credential in by_key[key]]
    if image.host == DEFAULT_HOST:
        found += by_key.get(HUB, [])
    return list(dict.fromkeys(found))[:MOST_TRIED]


def _loaded(text: str, key: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadSecret(f"its {key} is not JSON") from None


def _entries(auths: Any) -> Entries:
    if not isinstance(auths, dict):
        raise BadSecret("it holds no table of registries")
    return tuple((str(key), _credential(key, entry)) for key, entry in auths.items() if isinstance(entry, dict) and _says_something(entry))


def _says_something(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("auth") or entry.get("username") or entry.get("password"))


def _credential(key: str, entry: Mapping[str, Any]) -> Credential:
    encoded = entry.get("auth")
    if not encoded:
        return Credential(str(entry.get("username") or ""), str(entry.get("password") or ""))
    text = str(encoded).strip()
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadSecret(f"the auth of {key} is not base64") from None
    user, colon, password = decoded.partition(":")
    if not colon:
        raise BadSecret(f"the auth of {key} is not user:password")
    return Credential(user, password)


def _place(key: str) -> str:
    """Host and path of a key, without its scheme and the /v1/ or /v2/ that docker once wrote; "" for what is no URL."""
    try:
        parts = urlsplit(key if key.startswith(("https://", "http://")) else f"https://{key}")
    except ValueError:
        return ""
    path = parts.path
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return parts.netloc + (path if path != "/" else "")


def _matches(key: str, repository: str) -> bool:
    host, slash, path = key.partition("/")
    wanted_host, _, wanted_path = repository.partition("/")
    if slash and not wanted_path.startswith(path):
        return False
    name, port = _host_and_port(host)
    wanted_name, wanted_port = _host_and_port(wanted_host)
    labels, wanted = name.split("."), wanted_name.split(".")
    return port == wanted_port and len(labels) == len(wanted) and all(
        match(translate(label), part) is not None for label, part in zip(labels, wanted, strict=True)
    )


def _host_and_port(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not host.endswith("]") else (host, "")
