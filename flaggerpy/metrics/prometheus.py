"""Prometheus and all that speak its HTTP API: an instant query, and what its answer says.

Rules: Flagger's (address with a path, `token` or `username` and `password` from the Secret, headers), but for these. Several series
are an error that names them, where Flagger takes the last. NaN is no data, an infinite value an error. A header given by the user
wins over ours, and nothing of the template is changed by a query.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from flaggerpy.http import HttpRequest, HttpResponse
from flaggerpy.metrics.reading import NO_VALUES, Access, Reading

TIMEOUT = 5.0
MAX_BODY = 2**20
SHOWN_SERIES = 3
SHOWN_BODY = 500


class Prometheus:
    """The provider `prometheus`."""

    def request(self, access: Access, query: str) -> HttpRequest:
        """GET `<address>/api/v1/query`. Raises ValueError when the address is none or the Secret lacks its entries."""
        return HttpRequest(
            method="GET",
            url=f"{_base(access.address)}/api/v1/query",
            params={"query": query.strip()},
            headers=headers(access),
            timeout=TIMEOUT,
            max_body=MAX_BODY,
            verify=not access.insecure_skip_verify,
            trusted=access.trusted,
            tenant=access.tenant,
        )

    def parse(self, response: HttpResponse) -> Reading:
        """The one value of an instant vector or a scalar."""
        body = response.text
        # the server, or what stands before it, cannot work just now: nothing is said about the query, and nothing about the canary
        if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Reading("unreachable", text=_status(response.status, body))
        if response.status >= 400:
            return Reading("error", text=_status(response.status, body))
        if response.truncated:
            return Reading("error", text=f"the answer is longer than {MAX_BODY} bytes, but one value is needed (aggregate, as with sum())")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            return Reading("error", text=f"the answer is not JSON: {_shown(body)}")
        return _reading(answer)

    def online_request(self, access: Access) -> HttpRequest:
        """The query `vector(1)`."""
        return self.request(access, "vector(1)")

    def online(self, response: HttpResponse) -> str:
        """`vector(1)` must be 1."""
        reading = self.parse(response)
        if reading.kind == "value":
            return "" if reading.value == 1 else f"the query vector(1) gave {reading.value}, which is not what Prometheus answers"
        return reading.text


def headers(access: Access) -> dict[str, str]:
    """The headers of a request: the Secret's credentials, then the template's own (several values are joined by a comma)."""
    # files and `echo` leave line ends behind, which no header may hold
    secret = {key: value.strip("\r\n") for key, value in access.secret.items()}
    result = dict[str, str]()
    if secret:
        if "token" in secret:
            result["Authorization"] = f"Bearer {secret['token']}"
        elif "username" in secret and "password" in secret:
            pair = f"{secret['username']}:{secret['password']}".encode()
            result["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        elif "username" in secret or "password" in secret:
            missing = "password" if "username" in secret else "username"
            raise ValueError(f"{missing} not found in the secret: it must hold a token, or username and password")
    for name, values in access.headers.items():
        canonical = "-".join(part.capitalize() for part in name.split("-"))
        result[canonical] = ", ".join(values)
    return result


def _base(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{Access(address, {}, {}).server!r} is not a valid address such as http://prometheus.monitoring:9090")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _status(status: int, body: str) -> str:
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    return f"error response: Status {status}{phrase}: {_shown(body)}"


def _shown(body: str) -> str:
    """An answer as a person should see it: Prometheus's own error where it is one, else the body, cut."""
    try:
        answer = json.loads(body)
        if isinstance(answer, dict) and isinstance(answer.get("error"), str):
            return str(answer["error"])
    except (ValueError, RecursionError):
        pass
    flat = " ".join(body.split())
    return flat if len(flat) <= SHOWN_BODY else f"{flat[:SHOWN_BODY]}..."


def _reading(answer: Any) -> Reading:
    if not isinstance(answer, dict):
        return Reading("error", text="the answer is not one of Prometheus")
    if answer.get("status") == "error":
        return Reading("error", text=str(answer.get("error") or "unknown error"))
    data = answer.get("data")
    result = data.get("result") if isinstance(data, dict) else None
    if isinstance(data, dict) and data.get("resultType") in ("scalar", "string"):
        return _value({"value": result})
    if result is None:
        return Reading("no-data", text=NO_VALUES)
    if not isinstance(result, list):
        return Reading("error", text="the answer is not one of Prometheus: its result is no list")
    if not result:
        return Reading("no-data", text=NO_VALUES)
    if len(result) > 1:
        return Reading("error", text=_several(result))
    return _value(result[0])


def _several(result: list[Any]) -> str:
    names = [_series(entry) for entry in result[:SHOWN_SERIES]]
    more = f" and {len(result) - SHOWN_SERIES} more" if len(result) > SHOWN_SERIES else ""
    return f"query returned {len(result)} series, but one value is needed (aggregate them, as with sum()): {', '.join(names)}{more}"


def _series(entry: Any) -> str:
    metric = entry.get("metric") if isinstance(entry, dict) else None
    if not isinstance(metric, dict):
        return "{}"
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(metric.items()) if name != "__name__")
    return f"{metric.get('__name__', '')}{{{labels}}}"


def _value(entry: Any) -> Reading:
    if isinstance(entry, Mapping) and "values" in entry:
        return Reading("error", text="query returned multiple values: it is a range, where one value is needed")
    if isinstance(entry, Mapping) and "histogram" in entry:
        return Reading("error", text="query returned a native histogram, where one value is needed (as with histogram_quantile())")
    sample = entry.get("value") if isinstance(entry, Mapping) else None
    if not isinstance(sample, list) or len(sample) != 2:
        return Reading("error", text="the answer is not one of Prometheus: a result without a value")
    try:
        value = float(sample[1])
    except (TypeError, ValueError):
        return Reading("error", text=f"query returned {str(sample[1])[:50]!r}, which is no number")
    if math.isnan(value):
        return Reading("no-data", text=f"{NO_VALUES} (NaN: nothing was counted in this time)")
    if math.isinf(value):
        return Reading("error", text=f"query returned {'+' if value > 0 else '-'}Inf: something is divided by zero")
    return Reading("value", value)
