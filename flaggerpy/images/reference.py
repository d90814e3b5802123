"""Image names as the kubelet reads them: defaults, ports, tags, digests, and which names are none.

Source of the rules: the grammar of the distribution project's `reference` package, which the kubelet, containerd and Docker share, and its
rule for names without a host (docker.io and library/ are added).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_HOST = "docker.io"
OFFICIAL = "library"
LONGEST_PATH = 255
DIGEST_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Algorithms that are accepted, with the number of hexadecimal digits of each."""

_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*\Z")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}\Z")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}\Z")


class InvalidName(ValueError):
    """Not a name of an image; the text says why in a few words."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A whole image name. `host` with its port, `path` without host; `tag` and `digest` ("sha256:...") are "" where not written."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Host and path, as pull secrets and node statuses write it."""
        return f"{self.host}/{self.path}"

    @property
    def pulled(self) -> str:
        """What is asked of the registry: the digest where there is one (the tag then counts for nothing), else the tag, else latest."""
        return self.digest or self.tag or "latest"

    @property
    def always_by_default(self) -> bool:
        """Whether the API server sets imagePullPolicy to Always where the pod says nothing: for `latest`, written or not."""
        return self.tag == "latest" or not (self.tag or self.digest)

    def same_image(self, other: Reference) -> bool:
        """True when pulling one gives the other by name: same repository, and same digest or tag."""
        return self.repository == other.repository and self.pulled == other.pulled

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def parse(image: str) -> Reference:
    """The parts of an image name. Raises InvalidName exactly where the kubelet reports InvalidImageName."""
    if not image:
        raise InvalidName("it is empty")
    if _IDENTIFIER.match(image):
        raise InvalidName("it is a bare image id")
    host, rest = _host_and_rest(image)
    rest, at, digest = rest.partition("@")
    path, colon, tag = rest.partition(":")
    if path != path.lower():
        raise InvalidName("the repository must be lower case")
    if not _PATH.match(path):
        raise InvalidName("it has no repository" if not path else f"{path!r} is not a repository")
    if not _HOST.match(host):
        raise InvalidName(f"{host!r} is not a host")
    if colon and not _TAG.match(tag):
        raise InvalidName(f"{tag!r} is not a tag" if tag else "the tag is empty")
    if at:
        _check_digest(digest)
    if len(path) > LONGEST_PATH:
        raise InvalidName(f"the repository is longer than {LONGEST_PATH} characters")
    return Reference(host, path, tag, digest)


def _host_and_rest(image: str) -> tuple[str, str]:
    first, slash, rest = image.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    host, rest = (first, rest) if named else (DEFAULT_HOST, image)
    if host == "index.docker.io":
        host = DEFAULT_HOST
    if host == DEFAULT_HOST and "/" not in rest:
        rest = f"{OFFICIAL}/{rest}"
    return host, rest


def _check_digest(digest: str) -> None:
    algorithm, _, encoded = digest.partition(":")
    length = DIGEST_LENGTH.get(algorithm)
    if length is None:
        raise InvalidName(f"{digest!r} is not a digest" if algorithm else "the digest is empty")
    if not re.fullmatch(rf"[a-f0-9]{{{length}}}", encoded):
        raise InvalidName(f"a {algorithm} digest has {length} hexadecimal digits")
