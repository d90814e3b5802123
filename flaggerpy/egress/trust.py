"""Whose certificates are trusted."""

from __future__ import annotations

import os
import ssl


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """The rules of trust: False trusts everybody, a string is a bundle of authorities, else the system's and $SSL_CERT_FILE's.

    Raises OSError for authorities that cannot be read. Takes some 100 ms.
    """
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    # certificates that curl and Go accept are accepted: Python 3.13 began to demand more of them
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    bundle = os.environ.get("SSL_CERT_FILE")
    if bundle and verify is True:
        context.load_verify_locations(cafile=bundle)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
