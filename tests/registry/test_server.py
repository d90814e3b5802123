"""The faulty registry over real sockets: what it serves when sound, and how each fault looks from outside."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from e2e.registry import RESETS, SILENT, Authority, Basic, Bearer, FaultyRegistry, faults, tls
from e2e.registry.certificates import self_signed
from e2e.registry.store import OCI_INDEX, OCI_MANIFEST

TAG = "/v2/team/app/manifests/1.0.0"
WHOLE = {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}"}
ALICE = httpx.BasicAuth("alice", "secret")


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as opened:
        opened.store.add("team/app", "1.0.0", layers=[b"x" * 1000])
        yield opened


def get(registry: FaultyRegistry, path: str = TAG, *, method: str = "GET", timeout: float = 5.0, **options: object) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=timeout, verify=options.pop("verify", True)) as client:  # type: ignore[arg-type]
        return client.request(method, f"{registry.url}{path}", **options)  # type: ignore[arg-type]


def layer_path(registry: FaultyRegistry) -> str:
    return f"/v2/team/app/blobs/{get(registry).json()['layers'][0]['digest']}"


def test_an_image_is_served_as_the_distribution_api_says(registry: FaultyRegistry) -> None:
    assert get(registry, "/v2/").status_code == 200
    head, found = get(registry, method="HEAD"), get(registry)
    told = f"sha256:{hashlib.sha256(found.content).hexdigest()}"
    assert found.headers["Docker-Content-Digest"] == told == head.headers["Docker-Content-Digest"]
    assert int(head.headers["Content-Length"]) == len(found.content)
    assert head.content == b""
    assert get(registry, f"/v2/team/app/manifests/{told}").content == found.content
    assert get(registry, layer_path(registry)).content == b"x" * 1000
    assert get(registry, layer_path(registry), headers={"Range": "bytes=990-"}).content == b"x" * 10
    assert get(registry, "/v2/team/app/tags/list").json() == {"name": "team/app", "tags": ["1.0.0"]}
    missing = get(registry, "/v2/team/app/manifests/2.0.0")
    assert (missing.status_code, missing.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


def test_a_manifest_list_is_given_to_who_accepts_one(registry: FaultyRegistry) -> None:
    registry.store.add("many", "1", platforms=("linux/amd64", "linux/arm/v7"))
    listed = get(registry, "/v2/many/manifests/1", headers=WHOLE)
    assert listed.headers["Content-Type"] == OCI_INDEX
    platforms = [entry["platform"] for entry in listed.json()["manifests"]]
    assert platforms == [{"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm", "variant": "v7"}]
    assert get(registry, "/v2/many/manifests/1", headers={"Accept": OCI_MANIFEST}).status_code == 404


@pytest.mark.parametrize(("fault", "after"), [(faults.rate_limited(7), "7"), (faults.rate_limited(), None)])
def test_a_rate_limit_is_answered_until_it_is_healed(registry: FaultyRegistry, fault: faults.Fault, after: str | None) -> None:
    registry.inject(fault)
    refused = get(registry)
    assert (refused.status_code, refused.headers.get("Retry-After")) == (429, after)
    assert refused.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert get(registry, "/v2/").status_code == 200
    registry.heal()
    assert get(registry).status_code == 200


def test_faults_are_told_by_path_host_and_number(registry: FaultyRegistry) -> None:
    by_host = faults.Fault(host=r"^other", status=500)
    registry.inject(by_host, faults.failing(503, path="/team/app/", times=2))
    assert [get(registry).status_code for _ in range(3)] == [503, 503, 200]
    assert get(registry, headers={"Host": "other:5000"}).status_code == 500
    registry.heal(by_host)
    assert get(registry, headers={"Host": "other:5000"}).status_code == 200


def test_an_altered_body_has_its_length_but_not_its_digest(registry: FaultyRegistry) -> None:
    path, sound = layer_path(registry), get(registry)
    with registry.faulty(faults.altered(path=faults.MANIFESTS)):
        broken = get(registry)
        assert len(broken.content) == len(sound.content)
        assert broken.headers["Docker-Content-Digest"] == sound.headers["Docker-Content-Digest"]
        assert broken.content != sound.content
    with registry.faulty(faults.altered()):
        assert get(registry).content == sound.content
        assert get(registry, path).content != b"x" * 1000
    assert get(registry, path).content == b"x" * 1000


def test_a_cut_body_breaks_the_connection(registry: FaultyRegistry) -> None:
    path = layer_path(registry)
    with registry.faulty(faults.cut(10)), pytest.raises(httpx.TransportError):
        get(registry, path)


def test_a_slow_answer_comes_late_and_a_hanging_one_when_healed(registry: FaultyRegistry) -> None:
    slow = faults.slow(0.3)
    began = time.monotonic()
    with registry.faulty(slow):
        assert get(registry).status_code == 200
    assert time.monotonic() - began >= 0.3
    registry.inject(faults.hanging())
    with pytest.raises(httpx.ReadTimeout):
        get(registry, timeout=0.3)
    healer = threading.Timer(0.2, registry.heal)
    healer.start()
    assert get(registry).status_code == 200
    healer.join()


def test_a_trickling_body_takes_its_time_until_it_is_healed(registry: FaultyRegistry) -> None:
    path = layer_path(registry)
    registry.inject(faults.trickling(2000))
    began = time.monotonic()
    assert get(registry, path).content == b"x" * 1000
    assert time.monotonic() - began >= 0.4
    registry.heal()
    registry.inject(faults.trickling(10))
    healer = threading.Timer(0.2, registry.heal)
    healer.start()
    assert get(registry, path).content == b"x" * 1000
    healer.join()


def test_basic_credentials_are_asked_for_and_checked(registry: FaultyRegistry) -> None:
    registry.auth = Basic({"alice": "secret"}, forbidden="/team/")
    registry.store.add("open", "1")
    nobody = get(registry, "/v2/")
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, 'Basic realm="registry"')
    assert get(registry, "/v2/", auth=httpx.BasicAuth("alice", "wrong")).status_code == 401
    assert get(registry, "/v2/open/manifests/1", auth=ALICE).status_code == 200
    assert get(registry, auth=ALICE).status_code == 403
    assert [asked.authorization for asked in registry.asked[-2:]] == ["Basic", "Basic"]


def test_bearer_tokens_open_what_their_holder_may_read(registry: FaultyRegistry) -> None:
    registry.auth = Bearer({"alice": "secret"}, public="^open$")
    registry.store.add("open", "1")
    challenge = get(registry).headers["WWW-Authenticate"]
    assert challenge == f'Bearer realm="{registry.url}/token",service="registry",scope="repository:team/app:pull"'

    def answer(path: str, auth: httpx.BasicAuth | None) -> httpx.Response:
        token = get(registry, "/token", auth=auth).json()["token"]
        return get(registry, path, headers={"Authorization": f"Bearer {token}"})

    assert answer("/v2/open/manifests/1", None).status_code == 200
    private = answer(TAG, None)
    assert (private.status_code, 'error="insufficient_scope"' in private.headers["WWW-Authenticate"]) == (401, True)
    assert answer(TAG, ALICE).status_code == 200
    assert get(registry, "/token", auth=httpx.BasicAuth("alice", "wrong")).status_code == 401
    registry.auth = Bearer(anonymous=False)
    assert get(registry, "/token").status_code == 401
    assert get(registry, "/token", method="POST").status_code == 405


def test_each_certificate_is_refused_for_its_own_reason(registry: FaultyRegistry) -> None:
    authority = Authority()
    trusting = ssl.create_default_context(cadata=authority.pem.decode())
    registry.speech = tls(authority.certificate("127.0.0.1"))
    assert get(registry, verify=trusting).status_code == 200
    for certificate, words in [
        (authority.expired("127.0.0.1"), "certificate has expired"),
        (authority.certificate("elsewhere.test"), "IP address mismatch"),
        (self_signed("127.0.0.1"), "self-signed certificate"),
        (Authority().certificate("127.0.0.1"), "unable to get local issuer certificate|signature failure"),
    ]:
        registry.speech = tls(certificate)
        with pytest.raises(httpx.ConnectError) as told:
            get(registry, verify=trusting)
        assert re.search(words, str(told.value)), told.value


def test_a_client_of_the_wrong_protocol_is_told_so(registry: FaultyRegistry) -> None:
    with pytest.raises(httpx.ConnectError, match=r"WRONG_VERSION_NUMBER|wrong version number|record layer"):
        httpx.get(registry.url.replace("http:", "https:"), trust_env=False)
    registry.speech = tls(self_signed("127.0.0.1"))
    plain = httpx.get(f"http://{registry.host}/v2/", trust_env=False)
    assert (plain.status_code, plain.text) == (400, "Client sent an HTTP request to an HTTPS server.\n")


def test_connections_are_refused_reset_or_left_unanswered(registry: FaultyRegistry) -> None:
    kept = httpx.Client(trust_env=False, timeout=10)
    assert kept.get(f"{registry.url}/v2/").status_code == 200
    registry.refuse()
    with pytest.raises(httpx.ConnectError):
        kept.get(f"{registry.url}/v2/")
    registry.listen()
    assert kept.get(f"{registry.url}/v2/").status_code == 200
    plain, registry.speech = registry.speech, RESETS
    with pytest.raises((httpx.ReadError, httpx.ConnectError)):
        get(registry)
    registry.speech = SILENT
    with pytest.raises(httpx.ReadTimeout):
        get(registry, timeout=0.3)
    registry.speech = plain
    assert get(registry).status_code == 200


def test_what_is_not_in_memory_is_asked_of_the_registry_behind(registry: FaultyRegistry) -> None:
    with FaultyRegistry(upstream=registry.host) as front:
        assert get(front).content == get(registry).content
        head = get(front, method="HEAD")
        assert int(head.headers["Content-Length"]) == len(get(registry).content)
        front.inject(faults.altered(path=faults.MANIFESTS))
        assert get(front).content != get(registry).content
        registry.refuse()
        assert get(front).status_code == 502
