"""What can go wrong when talking to Kubernetes, as one typed tree; statuses and reasons are those of the API conventions.

    ApiError                   status, reason, message, causes
    ├── NotConfigured          no kubeconfig and not in a cluster, or one that cannot be read
    ├── Unreachable            no answer: DNS, refused, reset, TLS, time-out            (status 0; `sent`: it may have been carried out)
    │   └── Silent         a watch that was open and said nothing for too long
    ├── BadRequest       400
    ├── Unauthorized     401
    ├── Forbidden        403
    ├── NotFound         404
    ├── AlreadyExists    409   a create of a name that is taken
    ├── Conflict         409   resourceVersion or uid precondition, or a field owned by another manager
    ├── Gone             410   a resourceVersion or continue token that the server has forgotten
    ├── Invalid          422   validation; `causes` name fields
    ├── TooManyRequests  429   priority and fairness; `retry_after` seconds
    └── ServerError      5xx   `retry_after` seconds where the server gave it
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of `status.details.causes`: the field (JSON path, may be empty), the message and the machine-readable reason."""

    field: str
    message: str
    reason: str = ""


class ApiError(Exception):
    """An answer of the API server that is not a success, or no answer at all (status 0)."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.causes = causes
        self.retry_after = retry_after

    def __str__(self) -> str:
        head = " ".join(part for part in (str(self.status or ""), self.reason) if part)
        return f"{head}: {self.message}" if head else self.message


class NotConfigured(ApiError):
    """There is no cluster to talk to: no kubeconfig, not in a pod, or the configuration cannot be used."""


class Unreachable(ApiError):
    """No answer came. `sent` is true when the request may have been received and carried out all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message, reason="Unreachable")
        self.sent = sent


class Silent(Unreachable):
    """An open watch on which nothing came for too long: a dead connection, or a kind of which nothing happened."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=True)


class BadRequest(ApiError):
    """400."""


class Unauthorized(ApiError):
    """401: the credentials are refused."""


class Forbidden(ApiError):
    """403: RBAC, an admission policy, or a namespace that is being terminated."""


class NotFound(ApiError):
    """404: the object, or the whole kind, is not there."""


class AlreadyExists(ApiError):
    """409 on create."""


class Conflict(ApiError):
    """409 on update, patch or delete: what was read is no longer true; read again."""


class Gone(ApiError):
    """410: list again."""


class Invalid(ApiError):
    """422: the object is refused by validation; the same request will never succeed."""


class TooManyRequests(ApiError):
    """429: ask again after `retry_after` seconds."""


class ServerError(ApiError):
    """5xx."""


BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def error_from(status: int, body: bytes | str | Mapping[str, Any] | None, headers: Mapping[str, str] | None = None) -> ApiError:
    """The typed error for an answer; `body` is a Status object where the API server made it, plain text where a proxy did."""
    details: Mapping[str, Any] = {}
    text = ""
    if isinstance(body, Mapping):
        details = body
    elif body:
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        try:
            parsed = json.loads(text)
            details = parsed if isinstance(parsed, dict) else {}
        except ValueError:
            details = {}
    reason = str(details.get("reason") or "")
    message = str(details.get("message") or text.strip()[:1024] or f"HTTP {status}")
    more = details.get("details") or {}
    causes = tuple(
        Cause(str(cause.get("field") or ""), str(cause.get("message") or ""), str(cause.get("reason") or ""))
        for cause in more.get("causes") or ()
    )
    kind = BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    if status == 409 and reason == "AlreadyExists":
        kind = AlreadyExists
    return kind(message, status=status, reason=reason, causes=causes, retry_after=_retry_after(headers, more))


def _retry_after(headers: Mapping[str, str] | None, details: Mapping[str, Any]) -> float | None:
    raw = (headers or {}).get("Retry-After") or details.get("retryAfterSeconds")
    try:
        # the API server sends seconds only; a date would come from a proxy and is not worth trusting
        return max(0.0, float(raw)) if raw else None
    except (TypeError, ValueError):
        return None


def transient(error: BaseException) -> bool:
    """True when going through the step again with fresh facts may succeed though nobody changes anything.

    A refusal that stands until a person acts (forbidden, invalid, not found) is not transient.
    """
    return isinstance(error, (Unreachable, Conflict, AlreadyExists, Gone, TooManyRequests, ServerError, TimeoutError))
