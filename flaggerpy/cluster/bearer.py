"""The API server asked with a person's own token: who that is, what they may do with Canaries, and their commands as annotations.

Nothing of the controller's own credentials goes along: a client certificate would count before the token, and make everybody the
controller. Connections are made when somebody comes with a token, and kept out of the controller's own requests and their limits.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp

from flaggerpy.cluster.aio import Configuration
from flaggerpy.cluster.client import JSON, MERGE_PATCH
from flaggerpy.cluster.configured import environment_proxy
from flaggerpy.cluster.errors import Unauthorized, Unreachable, error_from
from flaggerpy.cluster.kinds import CANARY

SECONDS = 10.0
CONNECTIONS = 8


class Bearer:
    """Made from the configuration of the controller's client, of which it takes server, authority and proxy."""

    def __init__(self, configuration: Configuration) -> None:
        self._host = configuration.host.rstrip("/")
        self._proxy = configuration.proxy or environment_proxy(configuration.host)
        self._server_name = configuration.tls_server_name
        self._tls = _tls(configuration) if self._host.startswith("https:") else None
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session:
            await session.close()

    async def who(self, token: str) -> str | None:
        """The name of the token's user (SelfSubjectReview, Kubernetes 1.28); None when the API server refuses the token."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            review = await self._ask(token, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
        except Unauthorized:
            return None
        user = (review.get("status") or {}).get("userInfo") or {}
        name = str(user.get("username") or "")
        # a token that counts for nothing must not read as somebody
        return None if name == "system:anonymous" or "system:unauthenticated" in (user.get("groups") or ()) else name or None

    async def may(self, token: str, verb: str, namespace: str | None, name: str | None) -> bool:
        """Whether that user may do this with Canaries (SelfSubjectAccessReview); namespace None: in all of them."""
        attributes = {"verb": verb, "group": CANARY.group, "resource": CANARY.plural, "namespace": namespace, "name": name}
        review = await self._ask(
            token,
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
            },
        )
        return bool((review.get("status") or {}).get("allowed"))

    async def annotate(self, token: str, namespace: str, name: str, annotations: Mapping[str, str | None], manager: str) -> None:
        """Write annotations of a Canary as that user; None takes one off."""
        body = {"metadata": {"annotations": dict(annotations)}}
        await self._ask(token, "PATCH", CANARY.path(namespace, name), body, MERGE_PATCH, {"fieldManager": manager})

    async def _ask(
        self, token: str, method: str, path: str, body: Any, content_type: str = JSON, query: Mapping[str, str] | None = None
    ) -> Any:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type, "Accept": JSON, "User-Agent": "flaggerpy"}
        try:
            async with self._session.request(
                method, self._host + path, params=dict(query or {}), data=json.dumps(body), headers=headers, allow_redirects=False,
                proxy=self._proxy, server_hostname=self._server_name or None, timeout=aiohttp.ClientTimeout(total=SECONDS),
            ) as response:  # fmt: skip
                data = await response.read()
                if response.status >= 300:
                    raise error_from(response.status, data, response.headers)
                return json.loads(data)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # the text of an error of aiohttp can name the request, never its headers
            raise Unreachable(f"the API server cannot be asked: {type(error).__name__}", sent=True) from error


def _tls(configuration: Configuration) -> ssl.SSLContext:
    """As the controller's own connections check the server, but without its client certificate."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None, cadata=configuration.ca_cert_data)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
