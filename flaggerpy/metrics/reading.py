"""What a metric provider's answer says, before anybody compares it with a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from flaggerpy.http import HttpRequest, HttpResponse

NO_VALUES = "no values found"


@dataclass(frozen=True)
class Reading:
    """One answer.

    kind: "value" (a finite `value`, in the query's own unit); "no-data" (the server answered and had none); "error" (the server
    refused, or its answer cannot be used); "unreachable" (the server could not work just now). `text` words all but a value.
    """

    kind: Literal["value", "no-data", "error", "unreachable"]
    value: float = 0.0
    text: str = ""


@dataclass(frozen=True)
class Access:
    """How a metric server is reached. `secret` are the decoded entries of the Secret that belongs to it."""

    address: str
    headers: Mapping[str, tuple[str, ...]]
    secret: Mapping[str, str]
    insecure_skip_verify: bool = False
    trusted: bool = False
    """The address is the operator's own."""
    tenant: str = ""
    """The namespace that asks."""

    @property
    def server(self) -> str:
        """The address for people: without credentials, which stand before an @ or in a query."""
        scheme, mark, rest = self.address.partition("://") if "://" in self.address else ("", "", self.address)
        return f"{scheme}{mark}{rest.partition('?')[0].partition('#')[0].rpartition('@')[2]}"


class MetricProvider(Protocol):
    """One kind of metric server: a pure translation between queries and HTTP."""

    def request(self, access: Access, query: str) -> HttpRequest:
        """The request that asks for the query's value. Raises ValueError, with a sentence, when `access` lacks what it needs."""

    def parse(self, response: HttpResponse) -> Reading:
        """What the answer to it says; never raises, whatever the body."""

    def online_request(self, access: Access) -> HttpRequest:
        """A cheap request that tells whether the server is there and lets us in."""

    def online(self, response: HttpResponse) -> str:
        """"" when the answer to it is what it should be, else a sentence."""
