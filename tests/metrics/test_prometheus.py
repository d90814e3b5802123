"""What is asked of Prometheus, and what its answers mean: value, NaN, empty, several series and refusals told apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.metrics.prometheus import Prometheus
from flaggerpy.metrics.reading import Access, Reading
from tests.fake_http import answer
from tests.metrics.canaries import vector

SERVER = Access("https://prometheus.example:9090/prefix/", {}, {})
PROMETHEUS = Prometheus()


def access(secret: dict[str, str] | None = None, headers: dict[str, tuple[str, ...]] | None = None, **more: Any) -> Access:
    return Access("http://prometheus:9090", headers or {}, secret or {}, **more)


def test_the_path_of_the_address_is_kept() -> None:
    request = PROMETHEUS.request(SERVER, "  up{job='x'} \n")
    assert (request.method, request.url) == ("GET", "https://prometheus.example:9090/prefix/api/v1/query")
    assert dict(request.params) == {"query": "up{job='x'}"}
    assert request.verify is True
    assert request.timeout == 5.0


def test_comments_survive_because_lines_are_kept() -> None:
    assert dict(PROMETHEUS.request(SERVER, "a # why\n+ b").params) == {"query": "a # why\n+ b"}


@pytest.mark.parametrize(
    ("secret", "header"),
    [
        ({"token": "abc\n"}, "Bearer abc"),
        ({"username": "me\n", "password": "pass\n"}, "Basic bWU6cGFzcw=="),
        ({"token": "abc", "username": "me", "password": "pass"}, "Bearer abc"),
        ({}, None),
        ({"other": "x"}, None),
    ],
)
def test_credentials_come_from_the_secret(secret: dict[str, str], header: str | None) -> None:
    assert dict(PROMETHEUS.request(access(secret), "up").headers).get("Authorization") == header


def test_half_of_a_pair_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="password not found"):
        PROMETHEUS.request(access({"username": "me"}), "up")


@pytest.mark.fault("Q-37")
def test_headers_are_canonical_and_win_and_do_not_pile_up() -> None:
    given_headers = {"x-scope-orgid": ("a", "b"), "authorization": ("Custom x",)}
    where = access({"token": "abc"}, given_headers)
    first, second = PROMETHEUS.request(where, "up"), PROMETHEUS.request(where, "up")
    assert dict(first.headers) == dict(second.headers) == {"X-Scope-Orgid": "a, b", "Authorization": "Custom x"}
    assert given_headers == {"x-scope-orgid": ("a", "b"), "authorization": ("Custom x",)}


def test_certificates_are_checked_unless_told_otherwise() -> None:
    assert PROMETHEUS.request(access(insecure_skip_verify=True), "up").verify is False


@pytest.mark.parametrize("address", ["", "prometheus:9090", "ftp://prometheus", "http://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="not a valid address"):
        PROMETHEUS.request(Access(address, {}, {}), "up")


def test_credentials_in_an_address_are_not_shown() -> None:
    assert Access("https://me:secret@prometheus:9090/x", {}, {}).server == "https://prometheus:9090/x"


@pytest.mark.parametrize("text", ["100", "1e2", "1E+2"])
def test_a_value(text: str) -> None:
    assert PROMETHEUS.parse(vector(text)) == Reading("value", 100.0)


def test_a_scalar_is_a_value() -> None:
    assert PROMETHEUS.parse(answer({"data": {"resultType": "scalar", "result": [1, "7"]}})) == Reading("value", 7.0)


def test_nothing_is_no_data() -> None:
    assert PROMETHEUS.parse(vector()) == Reading("no-data", text="no values found")


def test_nan_is_no_data_and_says_so() -> None:
    reading = PROMETHEUS.parse(vector("NaN"))
    assert reading.kind == "no-data"
    assert "NaN" in reading.text


@pytest.mark.parametrize("text", ["+Inf", "-Inf"])
@pytest.mark.fault("Q-36")
def test_infinity_is_no_value(text: str) -> None:
    reading = PROMETHEUS.parse(vector(text))
    assert reading.kind == "error"
    assert text in reading.text


@pytest.mark.fault("Q-36")
def test_several_series_are_an_error_that_names_them() -> None:
    reading = PROMETHEUS.parse(vector("1", "2", "3", "4", labels={"__name__": "up", "job": "web"}))
    assert reading.kind == "error"
    assert reading.text.startswith("query returned 4 series, but one value is needed")
    assert reading.text.endswith('up{job="web", n="0"}, up{job="web", n="1"}, up{job="web", n="2"} and 1 more')


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"metric": {}, "values": [[1, "1"]]}, "query returned multiple values"),
        ({"metric": {}, "histogram": [1, {}]}, "native histogram"),
        ({"metric": {}}, "without a value"),
        ({"metric": {}, "value": [1]}, "without a value"),
        ({"metric": {}, "value": [1, "x"]}, "no number"),
        ({"metric": {}, "value": [1, None]}, "no number"),
        ("x", "without a value"),
    ],
)
@pytest.mark.fault("Q-29")
def test_what_is_no_single_value_is_an_error(entry: object, reason: str) -> None:
    reading = PROMETHEUS.parse(answer({"status": "success", "data": {"resultType": "vector", "result": [entry]}}))
    assert reading.kind == "error"
    assert reason in reading.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_an_error_with_the_servers_words(status: int) -> None:
    reading = PROMETHEUS.parse(answer({"status": "error", "errorType": "bad_data", "error": "parse error: unexpected }"}, status))
    assert reading.kind == "error"
    assert reading.text.startswith(f"error response: Status {status} ")
    assert reading.text.endswith(": parse error: unexpected }")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_cannot_work_just_now_is_unreachable(status: int) -> None:
    assert PROMETHEUS.parse(answer(b"<html>busy</html>", status)).kind == "unreachable"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3", b'{"status":"success","data":{"result":3}}', b"\xff"])
def test_an_answer_of_somebody_else_is_an_error(body: bytes) -> None:
    assert PROMETHEUS.parse(answer(body)).kind == "error"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@pytest.mark.fault("Q-29")
def test_no_answer_crashes_the_parser(body: object) -> None:
    for wrapped in (body, {"data": body}, {"data": {"result": body}}, {"data": {"result": [body]}}):
        assert PROMETHEUS.parse(answer(wrapped)).kind in ("value", "no-data", "error")


def test_a_server_is_there_when_it_counts_to_one() -> None:
    assert dict(PROMETHEUS.online_request(SERVER).params) == {"query": "vector(1)"}
    assert PROMETHEUS.online(vector("1")) == ""
    assert "vector(1)" in PROMETHEUS.online(vector("2"))
    assert "401 Unauthorized" in PROMETHEUS.online(answer(b"who are you", 401))
