"""A registry of images that can be told to misbehave: TLS, auth, status codes, delays, broken bodies, while a test runs.

    with FaultyRegistry() as registry:
        registry.store.add("app", "1.0.0")
        registry.inject(faults.rate_limited(retry_after=1))
        ...
        registry.heal()
"""

from e2e.registry.auth import Basic, Bearer
from e2e.registry.certificates import Authority, Certificate
from e2e.registry.faults import Fault
from e2e.registry.server import Asked, FaultyRegistry
from e2e.registry.speech import PLAIN, RESETS, SILENT, Speech, tls
from e2e.registry.store import Platform, Store

__all__ = [
    "PLAIN",
    "RESETS",
    "SILENT",
    "Asked",
    "Authority",
    "Basic",
    "Bearer",
    "Certificate",
    "Fault",
    "FaultyRegistry",
    "Platform",
    "Speech",
    "Store",
    "tls",
]
