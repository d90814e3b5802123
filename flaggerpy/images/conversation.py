"""The conversation with a registry about one image, as data: requests go out, answers come in, the end is what was found.

A conversation is a generator: it yields an `HttpRequest`, is sent the answer or the error, and returns a `Found`. It is what containerd
says before a pull: HEAD of the manifest, a token where the registry asks for one (or Basic), and then, to learn the platforms, the manifest
itself. Source: the OCI distribution specification 1.1 and the token authentication of Docker's registry.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from flaggerpy.api.texts import mask, one_line
from flaggerpy.http import HttpError, HttpRequest, HttpResponse, TimedOut, Unreachable
from flaggerpy.images.credentials import Credential
from flaggerpy.images.platforms import Platform, of_descriptor
from flaggerpy.images.reference import DEFAULT_HOST, Reference

Outcome = HttpResponse | HttpError
Conversation = Generator[HttpRequest, Outcome, "Found"]

HUB_HOST = "registry-1.docker.io"
REQUEST_SECONDS = 5.0
FEW_LEFT = 10
"""Reading a manifest counts as a pull with Docker Hub: at so few that are left it is not read, and the platforms stay unknown."""
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
ACCEPT = ", ".join((*INDEXES, *MANIFESTS, "*/*"))
MAX_MANIFEST = 2**20
"""Bytes that are read of an answer; the specification asks registries for 4 MiB at most, but a manifest of more than 1 is none of ours."""
LONGEST_DETAIL = 300
UNKNOWN_CODES = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND", "MANIFEST_BLOB_UNKNOWN"})

_CODE = re.compile(r"[A-Za-z0-9_]{1,40}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,128}")

_CAUSES = {
    "DNS": "pull-dns",
    "TLS": "pull-tls",
    "connection refused": "pull-refused",
    "connection broken": "pull-refused",
}
_NOT_TLS = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|record layer failure|HTTP_REQUEST|UNKNOWN_PROTOCOL|PACKET_LENGTH", re.I)
_SCHEME = re.compile(r"(?:^|,)\s*(bearer|basic)\b(?!\s*=)", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True)
class Found:
    """What a registry said of an image.

    `cause` is a row of `rollout.causes.table.TABLE` where it is not there or cannot be told, `detail` what was said. `platforms`: None
    where they were not asked for or cannot be told; `index`: they are those of an index, of which a node takes the one that suits it.
    """

    kind: Literal["exists", "missing", "doubt"]
    cause: str = ""
    detail: str = ""
    digest: str = ""
    platforms: tuple[Platform, ...] | None = None
    index: bool = False


def conversation(image: Reference, credentials: Sequence[Credential] = (), *, with_platforms: bool = True) -> Conversation:
    """Ask the image's registry, with each credential in turn until one opens it, as the kubelet does."""
    worst = Found("missing")
    for credential in credentials or (None,):
        found = yield from _Talk(image, credential, with_platforms).whole()
        if found.kind == "exists":
            return found
        worst = found if worst.kind == "missing" else worst
    return worst


def address(host: str) -> str:
    """The URL of a registry: HTTPS, but plain HTTP for one on the machine itself, as containerd has it."""
    return f"{'http' if is_local(host) else 'https'}://{HUB_HOST if host == DEFAULT_HOST else host}"


def is_local(host: str) -> bool:
    """Whether a registry's host is the loopback of whoever asks."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class _Ended(Exception):
    """The conversation is over before its end."""

    def __init__(self, found: Found) -> None:
        super().__init__(found.detail)
        self.found = found


class _Talk:
    """The conversation with one credential, or with none."""

    def __init__(self, image: Reference, credential: Credential | None, with_platforms: bool) -> None:
        self.image = image
        self.credential = credential
        self.with_platforms = with_platforms
        self.authorization = ""
        self.base = f"{address(image.host)}/v2/{image.path}"

    def whole(self) -> Generator[HttpRequest, Outcome, Found]:
        try:
            found = yield from self._manifest()
        except _Ended as ended:
            found = ended.found
        # a registry may say what it was told
        secrets = [self.authorization.partition(" ")[2]]
        if self.credential is not None:
            secrets += [self.credential.password, self.credential.basic.partition(" ")[2]]
        return replace(found, detail=one_line(mask(found.detail, secrets), LONGEST_DETAIL))

    def _manifest(self) -> Generator[HttpRequest, Outcome, Found]:
        path = f"/manifests/{self.image.pulled}"
        head = yield from self._ask("HEAD", path)
        if not head.ok:
            # a refusal of HEAD carries no body, and some registries do not know HEAD at all
            head = yield from self._ask("GET", path)
            if not head.ok:
                raise _Ended(self._refused(head))
        digest = _digest(head)
        found = Found("exists", digest=digest or self.image.digest)
        if not self.with_platforms or (not head.body and _few_left(head)):
            return found
        try:
            return (yield from self._platforms(found, head))
        except _Ended as ended:
            # that it is there was said already; a digest that is not kept is the one thing that takes it back
            return ended.found if ended.found.cause == "pull-digest" else found

    def _platforms(self, found: Found, head: HttpResponse) -> Generator[HttpRequest, Outcome, Found]:
        body = head if head.body else (yield from self._ask("GET", f"/manifests/{found.digest or self.image.pulled}"))
        if not body.ok or body.truncated:
            return found
        _check(body, found.digest)
        manifest = _object(body)
        if isinstance(manifest.get("manifests"), list):
            entries = [entry for entry in manifest["manifests"] if isinstance(entry, dict)]
            told = [of_descriptor(entry.get("platform")) for entry in entries]
            # an entry that names no platform is taken by every node, so nothing can be said against any
            known = None if None in told else tuple(dict.fromkeys(item for item in told if item and item.os != "unknown"))
            return replace(found, platforms=known, index=True)
        config = manifest.get("config")
        if isinstance(config, dict) and isinstance(config.get("digest"), str) and _DIGEST.fullmatch(config["digest"]):
            blob = yield from self._ask("GET", f"/blobs/{config['digest']}")
            own = of_descriptor(_object(blob)) if blob.ok and not blob.truncated else None
            return replace(found, platforms=(own,) if own else None)
        return found

    def _ask(self, method: str, path: str) -> Generator[HttpRequest, Outcome, HttpResponse]:
        """One request of the registry, repeated once with what it asks for."""
        answer = yield from self._once(method, path)
        if answer.status == 401:
            self.authorization = yield from self._authorize(answer)
            if self.authorization:
                answer = yield from self._once(method, path)
        return answer

    def _once(self, method: str, path: str) -> Generator[HttpRequest, Outcome, HttpResponse]:
        headers = {"Accept": ACCEPT} | ({"Authorization": self.authorization} if self.authorization else {})
        outcome = yield HttpRequest(
            method, self.base + path, headers, timeout=REQUEST_SECONDS, max_body=MAX_MANIFEST, peer=("registry", "oci")
        )
        if isinstance(outcome, HttpError):
            raise _Ended(_no_answer(outcome))
        return outcome

    def _authorize(self, refusal: HttpResponse) -> Generator[HttpRequest, Outcome, str]:
        """The Authorization that a challenge asks for; "" when nothing can be given."""
        already = self.authorization
        for scheme, parameters in challenges(refusal.headers.get("WWW-Authenticate") or ""):
            if scheme == "bearer" and parameters.get("realm") and not already.startswith("Bearer "):
                return (yield from self._token(parameters))
            if scheme == "basic" and self.credential is not None and not already:
                return self.credential.basic
        return ""

    def _token(self, parameters: Mapping[str, str]) -> Generator[HttpRequest, Outcome, str]:
        realm = parameters["realm"]
        wanted = {"scope": parameters.get("scope") or f"repository:{self.image.path}:pull"}
        if parameters.get("service"):
            wanted["service"] = parameters["service"]
        headers: dict[str, str] = {}
        if self.credential is not None:
            if not realm.startswith("https://") and self.base.startswith("https://"):
                raise _Ended(Found("doubt", "pull-tls", f"its {_token_server(realm)} has no TLS: the credentials are not given to it"))
            headers["Authorization"] = self.credential.basic
        outcome = yield HttpRequest(
            "GET", realm, headers, params=wanted, timeout=REQUEST_SECONDS, max_body=MAX_MANIFEST, peer=("registry", "oci")
        )
        if isinstance(outcome, HttpError):
            raise _Ended(_no_answer(outcome))
        if not outcome.ok:
            raise _Ended(self._refused(outcome, at=f"the {_token_server(realm)}"))
        told = _object(outcome)
        token = told.get("token") or told.get("access_token")
        if not isinstance(token, str) or not token:
            raise _Ended(Found("doubt", "pull-unknown", f"the {_token_server(realm)} answers without a token"))
        return f"Bearer {token}"

    def _refused(self, answer: HttpResponse, at: str = "") -> Found:
        """What a status other than 2xx means."""
        status, codes = answer.status, error_codes(answer)
        detail = f"{at + ' answers ' if at else ''}{status}{f' ({codes[0]})' if codes else ''}"
        if status == 429 or "TOOMANYREQUESTS" in codes:
            again = answer.headers.get("Retry-After")
            return Found("doubt", "pull-rate-limit", f"{detail}{f', try again in {again} s' if again and again.isdecimal() else ''}")
        if status >= 500:
            return Found("doubt", "pull-server-error", detail)
        if status in (401, 403) or {"DENIED", "UNAUTHORIZED"} & set(codes):
            denied = "insufficient_scope" in (answer.headers.get("WWW-Authenticate") or "") or self.credential is None
            asked = "with the pull secret" if self.credential else "without credentials"
            return Found("doubt", "image-denied" if denied else "pull-credentials", f"{detail}, asked {asked}")
        if status == 404 and not at:
            if UNKNOWN_CODES & set(codes):
                return Found("missing", "image-missing", f"it answers {detail}")
            if not codes and _is_registry(answer):
                return Found("missing", "image-missing", f"it answers {detail}")
            return Found("doubt", "pull-unknown", f"{detail}, but not in the words of a registry: is {self.image.host} one?")
        return Found("doubt", "pull-bad-request" if status == 400 else "pull-unknown", detail)


def challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """The challenges of a WWW-Authenticate header: scheme in lower case, and its parameters."""
    found: list[tuple[str, dict[str, str]]] = []
    starts = [part for part in _SCHEME.finditer(header) if header.count('"', 0, part.start()) % 2 == 0]
    ends = [*(part.start() for part in starts[1:]), len(header)]
    for here, end in zip(starts, ends, strict=False):
        text = header[here.end() : end]
        parameters = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in _PARAMETER.findall(text)}
        found.append((here.group(1).lower(), parameters))
    return found


def error_codes(answer: HttpResponse) -> list[str]:
    """The codes in the body of a refusal, as the specification words them; none where the body is anything else."""
    errors = _object(answer).get("errors")
    if not isinstance(errors, list):
        return []
    # what a registry writes ends up in events: a code is a word
    codes = [str(error["code"]) for error in errors if isinstance(error, dict) and error.get("code")]
    return [code.upper() for code in codes if _CODE.fullmatch(code)]


def _no_answer(error: HttpError) -> Found:
    # the place before the first colon is told by the image's name already
    detail = error.message.partition(": ")[2] or error.message
    if isinstance(error, TimedOut):
        return Found("doubt", "pull-timeout", detail)
    if isinstance(error, Unreachable):
        plain = error.cause == "TLS" and _NOT_TLS.search(detail)
        return Found("doubt", "pull-plain-http" if plain else _CAUSES.get(error.cause, "pull-unreachable"), detail)
    return Found("doubt", "pull-unknown", detail)


def _token_server(realm: str) -> str:
    try:
        return f"token server {urlsplit(realm).hostname or 'without a name'}"
    except ValueError:
        return "token server, whose URL cannot be read,"


def _object(answer: HttpResponse) -> dict[str, Any]:
    try:
        value = answer.json()
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _digest(answer: HttpResponse) -> str:
    said = str(answer.headers.get("Docker-Content-Digest") or "")
    return said if _DIGEST.fullmatch(said) else ""


def _check(answer: HttpResponse, digest: str) -> None:
    algorithm, _, encoded = digest.partition(":")
    if algorithm in ("sha256", "sha384", "sha512") and hashlib.new(algorithm, answer.body).hexdigest() != encoded:
        raise _Ended(Found("doubt", "pull-digest", f"its manifest is not {digest}"))


def _is_registry(answer: HttpResponse) -> bool:
    return str(answer.headers.get("Docker-Distribution-Api-Version") or "").startswith("registry/2")


def _few_left(answer: HttpResponse) -> bool:
    left = str(answer.headers.get("RateLimit-Remaining") or "").partition(";")[0].strip()
    return left.isdecimal() and int(left) < FEW_LEFT
