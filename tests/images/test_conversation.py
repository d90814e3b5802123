"""The conversation with a registry, over real sockets: each way in which one can answer, and each in which it cannot."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.registry import RESETS, SILENT, Authority, Basic, Bearer, FaultyRegistry, faults, tls
from e2e.registry.certificates import self_signed
from e2e.registry.store import OCI_INDEX
from flaggerpy.http import Http, HttpRequest, HttpResponse, Send
from flaggerpy.images.asking import ask
from flaggerpy.images.conversation import Found, address, challenges, conversation, is_local
from flaggerpy.images.credentials import Credential
from flaggerpy.images.reference import parse
from flaggerpy.rollout.causes.table import BY_ID

ALICE = Credential("alice", "hunter2")
WRONG = Credential("alice", "wrong")
PATIENT = 60.0
"""Seconds that a busy machine does not use up, where no time-out is meant."""


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as opened:
        opened.store.add("team/app", "1.0.0")
        yield opened


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http() as opened:
        yield opened


def leading_to(registry: FaultyRegistry, http: Http, *, verify: bool | str = True, timeout: float = PATIENT) -> Send:
    """Questions to r.example are asked of this registry: an address of the machine itself would be asked by plain HTTP."""

    async def send(request: HttpRequest) -> HttpResponse:
        url = request.url.replace("https://r.example", f"https://{registry.host}")
        return await http.send(replace(request, url=url, verify=verify, timeout=timeout))

    return send


async def found(
    http: Http, registry: FaultyRegistry, image: str = "team/app:1.0.0", *credentials: Credential, platforms: bool = True
) -> Found:
    said = await ask(http.send, conversation(parse(f"{registry.host}/{image}"), credentials, with_platforms=platforms))
    assert not said.cause or said.cause in BY_ID
    return said


def asked(registry: FaultyRegistry) -> list[tuple[str, str, int]]:
    return [(request.method, request.path.rpartition("/")[2].partition(":")[0], request.status) for request in registry.asked]


async def test_an_image_that_is_there_is_found_with_its_digest_and_platform(registry: FaultyRegistry, http: Http) -> None:
    said = await found(http, registry)
    assert (said.kind, said.digest) == ("exists", registry.store.add("team/app", "1.0.0"))
    assert [str(each) for each in said.platforms or ()] == ["linux/amd64"]
    assert not said.index


async def test_without_a_question_for_platforms_one_head_is_all(registry: FaultyRegistry, http: Http) -> None:
    assert (await found(http, registry, platforms=False)).kind == "exists"
    assert asked(registry) == [("HEAD", "1.0.0", 200)]


async def test_an_index_tells_all_its_platforms(registry: FaultyRegistry, http: Http) -> None:
    registry.store.add("many", "1", platforms=("linux/amd64", "linux/arm/v7"))
    said = await found(http, registry, "many:1")
    assert (said.kind, said.index, [str(each) for each in said.platforms or ()]) == ("exists", True, ["linux/amd64", "linux/arm/v7"])


@pytest.mark.parametrize(
    ("entries", "platforms"),
    [
        ([{"digest": "d", "platform": {"os": "linux", "architecture": "amd64"}}, {"digest": "e"}], None),
        ([{"platform": {"os": "unknown", "architecture": "unknown"}}], []),
        ([], []),
        ([7], []),
    ],
)
async def test_an_entry_that_names_no_platform_suits_every_node_and_an_attestation_none(
    registry: FaultyRegistry, http: Http, entries: list[object], platforms: list[str] | None
) -> None:
    registry.store.tag("odd", "1", OCI_INDEX, json.dumps({"manifests": entries}).encode())
    said = await found(http, registry, "odd:1")
    assert said.kind == "exists"
    assert (None if said.platforms is None else list(map(str, said.platforms))) == platforms


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'{"config": 7}', b"{" * 5000])
async def test_a_manifest_that_cannot_be_read_is_there_all_the_same(registry: FaultyRegistry, http: Http, body: bytes) -> None:
    registry.store.tag("odd", "1", OCI_INDEX, body)
    said = await found(http, registry, "odd:1")
    assert (said.kind, said.platforms) == ("exists", None)


async def test_a_pinned_image_is_asked_for_by_its_digest_whatever_its_tag(registry: FaultyRegistry, http: Http) -> None:
    digest = registry.store.add("team/app", "1.0.0")
    assert (await found(http, registry, f"team/app:9@{digest}")).kind == "exists"
    absent = f"team/app:1.0.0@sha256:{'0' * 64}"
    assert (await found(http, registry, absent)).kind == "missing"


@pytest.mark.parametrize("image", ["team/app:2.0.0", "team/ap:1.0.0"])
async def test_a_tag_or_repository_that_is_not_there_is_a_certain_no(registry: FaultyRegistry, http: Http, image: str) -> None:
    said = await found(http, registry, image)
    assert (said.kind, said.cause) == ("missing", "image-missing")
    assert "404 (MANIFEST_UNKNOWN)" in said.detail


async def test_a_404_that_no_registry_words_is_a_doubt(registry: FaultyRegistry, http: Http) -> None:
    async def send(request: HttpRequest) -> HttpResponse:
        return HttpResponse(404, {}, b"<html>nginx</html>")

    said = await ask(send, conversation(parse("r.example/app:1")))
    assert (said.kind, said.cause) == ("doubt", "pull-unknown")
    assert "is r.example one?" in said.detail


async def test_a_404_without_a_body_counts_where_the_answer_names_the_api() -> None:
    async def send(request: HttpRequest) -> HttpResponse:
        return HttpResponse(404, {"Docker-Distribution-Api-Version": "registry/2.0"})

    assert (await ask(send, conversation(parse("r.example/app:1")))).kind == "missing"


# ---- who may read it


@pytest.mark.parametrize("auth", [Basic({"alice": "hunter2"}), Bearer({"alice": "hunter2"}), Bearer({"alice": "hunter2"}, anonymous=False)])
async def test_credentials_open_what_they_open(registry: FaultyRegistry, http: Http, auth: Basic | Bearer) -> None:
    registry.auth = auth
    assert (await found(http, registry, "team/app:1.0.0", ALICE)).kind == "exists"
    assert (await found(http, registry, "team/app:2.0.0", ALICE)).kind == "missing"
    for credentials in ((), (WRONG,)):
        said = await found(http, registry, "team/app:1.0.0", *credentials)
        assert (said.kind, said.cause) in (("doubt", "image-denied"), ("doubt", "pull-credentials"))
        assert "hunter2" not in said.detail


async def test_a_public_image_is_found_with_a_token_for_nobody(registry: FaultyRegistry, http: Http) -> None:
    registry.auth = Bearer(public="^team/")
    assert (await found(http, registry)).kind == "exists"
    assert asked(registry)[:3] == [("HEAD", "1.0.0", 401), ("GET", "token", 200), ("HEAD", "1.0.0", 200)]


async def test_one_token_is_enough_for_the_whole_conversation(registry: FaultyRegistry, http: Http) -> None:
    registry.auth = Bearer({"alice": "hunter2"})
    await found(http, registry, "team/app:1.0.0", ALICE)
    assert [path for _, path, _ in asked(registry)].count("token") == 1


async def test_the_credentials_are_tried_in_turn_until_one_opens_it(registry: FaultyRegistry, http: Http) -> None:
    registry.auth = Basic({"alice": "hunter2"})
    assert (await found(http, registry, "team/app:1.0.0", WRONG, ALICE)).kind == "exists"


async def test_a_no_to_one_credential_is_none_while_another_could_not_ask(registry: FaultyRegistry, http: Http) -> None:
    registry.auth = Basic({"alice": "hunter2"})
    assert (await found(http, registry, "team/app:2.0.0", ALICE, WRONG)).kind == "doubt"
    assert (await found(http, registry, "team/app:2.0.0", WRONG, ALICE)).kind == "doubt"


async def test_who_is_known_but_may_not_read_is_told_apart_from_nobody(registry: FaultyRegistry, http: Http) -> None:
    registry.auth = Basic({"alice": "hunter2"}, forbidden="team/app")
    said = await found(http, registry, "team/app:1.0.0", ALICE)
    assert (said.kind, said.cause) == ("doubt", "pull-credentials")
    assert "403 (DENIED), asked with the pull secret" in said.detail


async def test_credentials_are_not_given_to_a_token_server_without_tls() -> None:
    sent: list[HttpRequest] = []

    async def send(request: HttpRequest) -> HttpResponse:
        sent.append(request)
        return HttpResponse(401, {"WWW-Authenticate": 'Bearer realm="http://auth.example/token",service="r"'})

    said = await ask(send, conversation(parse("r.example/app:1"), (ALICE,)))
    assert (said.kind, len(sent)) == ("doubt", 1)
    assert "has no TLS" in said.detail


@pytest.mark.parametrize("realm", ["https://[bad", "nonsense", "https:///token", "file:///etc/passwd"])
async def test_a_token_server_that_cannot_be_asked_is_a_doubt(http: Http, realm: str) -> None:
    async def send(request: HttpRequest) -> HttpResponse:
        if request.url.startswith("https://r.example/"):
            return HttpResponse(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="r"'})
        return await http.send(request)

    for credentials in ((), (ALICE,)):
        said = await ask(send, conversation(parse("r.example/app:1"), credentials))
        assert said.kind == "doubt"
        assert "internal" not in said.detail


async def test_what_a_registry_writes_is_no_longer_than_a_word() -> None:
    async def send(request: HttpRequest) -> HttpResponse:
        return HttpResponse(418, {}, json.dumps({"errors": [{"code": "x" * 10_000}]}).encode())

    assert len((await ask(send, conversation(parse("r.example/app:1")))).detail) < 60


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("", []),
        ('Basic realm="r"', [("basic", {"realm": "r"})]),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:basic, bearer:pull"',
            [("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:basic, bearer:pull"})],
        ),
        ('bearer realm="a", error="x", Basic realm="b"', [("bearer", {"realm": "a", "error": "x"}), ("basic", {"realm": "b"})]),
        ("Negotiate", []),
        (r'Basic realm="a\"b"', [("basic", {"realm": 'a"b'})]),
        ("Bearer realm=plain", [("bearer", {"realm": "plain"})]),
    ],
)
def test_challenges_are_read_as_they_are_written(header: str, read: list[tuple[str, dict[str, str]]]) -> None:
    assert challenges(header) == read


# ---- what goes wrong


@pytest.mark.parametrize(
    ("fault", "cause", "words"),
    [
        (faults.rate_limited(), "pull-rate-limit", "429 (TOOMANYREQUESTS)"),
        (faults.rate_limited(retry_after=90), "pull-rate-limit", "try again in 90 s"),
        (faults.failing(503), "pull-server-error", "503"),
        (faults.failing(500), "pull-server-error", "500"),
        (faults.failing(400), "pull-bad-request", "400"),
        (faults.failing(418), "pull-unknown", "418"),
        (faults.failing(403), "image-denied", "403"),
    ],
)
async def test_what_a_registry_answers_in_trouble_is_a_doubt_with_its_cause(
    registry: FaultyRegistry, http: Http, fault: faults.Fault, cause: str, words: str
) -> None:
    with registry.faulty(fault):
        said = await found(http, registry)
    assert (said.kind, said.cause) == ("doubt", cause)
    assert words in said.detail
    assert (await found(http, registry)).kind == "exists"


async def test_a_manifest_that_is_not_its_digest_is_a_doubt(registry: FaultyRegistry, http: Http) -> None:
    registry.inject(faults.altered(path=faults.MANIFESTS))
    said = await found(http, registry)
    assert (said.kind, said.cause) == ("doubt", "pull-digest")


@pytest.mark.parametrize("fault", [faults.cut(path=faults.BLOBS), faults.failing(500, path=faults.BLOBS)])
async def test_a_configuration_that_cannot_be_had_leaves_the_platform_open(
    registry: FaultyRegistry, http: Http, fault: faults.Fault
) -> None:
    registry.inject(fault)
    said = await found(http, registry)
    assert (said.kind, said.platforms) == ("exists", None)


async def test_a_registry_that_does_not_know_head_is_asked_by_get(http: Http, registry: FaultyRegistry) -> None:
    async def send(request: HttpRequest) -> HttpResponse:
        return HttpResponse(405) if request.method == "HEAD" else await http.send(request)

    assert (await ask(send, conversation(parse(registry.image("team/app"))))).kind == "exists"


async def test_a_registry_that_counts_pulls_is_not_asked_for_platforms_when_few_are_left() -> None:
    sent: list[str] = []

    async def send(request: HttpRequest) -> HttpResponse:
        sent.append(request.method)
        return HttpResponse(200, {"RateLimit-Remaining": "3;w=21600", "Docker-Content-Digest": "sha256:0"})

    said = await ask(send, conversation(parse("app:1")))
    assert (said.kind, said.platforms, sent) == ("exists", None, ["HEAD"])


async def test_nobody_listens(registry: FaultyRegistry, http: Http) -> None:
    registry.refuse()
    said = await found(http, registry)
    assert (said.kind, said.cause) == ("doubt", "pull-refused")


async def test_a_registry_that_hangs_is_a_time_out(registry: FaultyRegistry, http: Http) -> None:
    registry.inject(faults.hanging())
    said = await ask(leading_to(registry, http, timeout=0.2), conversation(parse(registry.image("team/app"))))
    assert (said.kind, said.cause) == ("doubt", "pull-timeout")


async def test_a_host_that_no_name_server_knows(http: Http) -> None:
    said = await ask(http.send, conversation(parse("registry.invalid/app:1")))
    assert (said.kind, said.cause) == ("doubt", "pull-dns")


@pytest.fixture
def trusted(tmp_path: Path) -> tuple[Authority, str]:
    authority = Authority()
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.pem)
    return authority, str(file)


async def test_a_certificate_of_a_known_authority_is_trusted(registry: FaultyRegistry, http: Http, trusted: tuple[Authority, str]) -> None:
    authority, file = trusted
    registry.speech = tls(authority.certificate("127.0.0.1"))
    said = await ask(leading_to(registry, http, verify=file), conversation(parse("r.example/team/app:1.0.0")))
    assert said.kind == "exists"


@pytest.mark.parametrize(
    ("speech", "within", "cause", "words"),
    [
        (lambda authority: tls(self_signed("127.0.0.1")), PATIENT, "pull-tls", "self-signed"),
        (lambda authority: tls(Authority("other").certificate("127.0.0.1")), PATIENT, "pull-tls", "local issuer"),
        (lambda authority: tls(authority.certificate("other.example")), PATIENT, "pull-tls", "not valid for '127.0.0.1'"),
        (lambda authority: tls(authority.expired("127.0.0.1")), PATIENT, "pull-tls", "expired"),
        (lambda authority: RESETS, PATIENT, "pull-refused", "broken"),
        (lambda authority: SILENT, 0.2, "pull-timeout", "no answer within"),
    ],
)
async def test_a_connection_that_comes_to_nothing_is_a_doubt_with_its_cause(
    registry: FaultyRegistry,
    http: Http,
    trusted: tuple[Authority, str],
    speech: Callable[[Authority], object],
    within: float,
    cause: str,
    words: str,
) -> None:
    authority, file = trusted
    registry.speech = speech(authority)  # type: ignore[assignment]
    said = await ask(leading_to(registry, http, verify=file, timeout=within), conversation(parse("r.example/team/app:1.0.0")))
    assert (said.kind, said.cause) == ("doubt", cause)
    assert words in said.detail


async def test_a_registry_without_tls_is_told_apart_from_one_that_is_not_trusted(registry: FaultyRegistry, http: Http) -> None:
    said = await ask(leading_to(registry, http), conversation(parse("r.example/team/app:1.0.0")))
    assert (said.kind, said.cause) == ("doubt", "pull-plain-http")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("r.example:5000", "https://r.example:5000"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.1.2.3", "http://127.1.2.3"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
    ],
)
def test_plain_http_is_for_the_machine_itself_alone(host: str, url: str) -> None:
    assert address(host) == url
    assert is_local(host) is url.startswith("http://")
