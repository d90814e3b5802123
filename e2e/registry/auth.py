"""Who may read what of a registry: Basic, and Bearer with a token service, as registries answer them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

REALM = "/token"


@dataclass(frozen=True)
class Basic:
    """Every request needs a user of `users` (name to password); who is known may read all but repositories that match `forbidden` (403)."""

    users: Mapping[str, str]
    forbidden: str = r"(?!)"

    def refusal(self, authorization: str, path: str, base: str, tokens: Mapping[str, str]) -> Refusal | None:
        user = user_of(authorization)
        if user is None or self.users.get(user[0]) != user[1]:
            return Refusal(401, "UNAUTHORIZED", "authentication required", 'Basic realm="registry"')
        return Refusal(403, "DENIED", "requested access to the resource is denied") if re.search(self.forbidden, path) else None


@dataclass(frozen=True)
class Bearer:
    """Every request needs a token, which `/token` gives to a user of `users` for his name and password.

    With `anonymous` it gives one to everybody, good for repositories that match `public` only: what public registries do, which answer
    "insufficient scope" for a private repository and for one that does not exist. `forbidden` is as with Basic.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = True
    public: str = r"(?!)"
    forbidden: str = r"(?!)"

    def refusal(self, authorization: str, path: str, base: str, tokens: Mapping[str, str]) -> Refusal | None:
        name = (re.match(r"/v2/(.+)/(?:manifests|blobs|tags)/", path) or [""] * 2)[1]
        scope = f',scope="repository:{name}:pull"' if name else ""
        challenge = f'Bearer realm="{base}{REALM}",service="registry"{scope}'
        word, _, token = authorization.partition(" ")
        if word.lower() != "bearer" or token not in tokens:
            return Refusal(401, "UNAUTHORIZED", "authentication required", challenge)
        if name and not tokens[token] and not re.search(self.public, name):
            return Refusal(401, "UNAUTHORIZED", "authentication required", f'{challenge},error="insufficient_scope"')
        return Refusal(403, "DENIED", "requested access to the resource is denied") if re.search(self.forbidden, path) else None

    def may_have_token(self, authorization: str) -> str | None:
        """The user that the token is for ("" for nobody in particular); None when none is given."""
        if not authorization:
            return "" if self.anonymous else None
        user = user_of(authorization)
        return user[0] if user and self.users.get(user[0]) == user[1] else None


@dataclass(frozen=True)
class Refusal:
    """A status, the code and message of its body, and the challenge that goes with a 401."""

    status: int
    code: str
    message: str
    challenge: str = ""


def user_of(authorization: str) -> tuple[str, str] | None:
    """Name and password of a Basic header; None for any other."""
    word, _, told = authorization.partition(" ")
    if word.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(told, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None
