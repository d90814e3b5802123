"""The API server asked as a person: their token and nothing of ours, and answers as plain values."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from flaggerpy.cluster.bearer import Bearer
from flaggerpy.cluster.errors import Forbidden, Unreachable


class Api:
    """Notes what it is asked and answers with `answers` by the end of the path."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[str, tuple[int, Any]] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path_qs, dict(request.headers), json.loads(await request.text())))
        status, body = next((answer for end, answer in self.answers.items() if request.path.endswith(end)), (404, {}))
        return web.json_response(body, status=status)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = str(site.name)
    yield made
    await runner.cleanup()


@pytest.fixture
async def bearer(api: Api) -> AsyncIterator[Bearer]:
    configuration = Configuration()
    configuration.host = api.url
    configuration.api_key = {"BearerToken": "the-controllers-own"}
    configuration.api_key_prefix = {"BearerToken": "Bearer"}
    made = Bearer(configuration)
    yield made
    await made.close()


def user(name: str, *groups: str) -> tuple[int, Any]:
    return 201, {"status": {"userInfo": {"username": name, "groups": list(groups)}}}


async def test_a_person_is_who_the_api_server_says(bearer: Bearer, api: Api) -> None:
    api.answers["/selfsubjectreviews"] = user("jane", "system:authenticated")
    assert await bearer.who("janes") == "jane"
    _, path, headers, _ = api.asked[0]
    assert path == "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    assert headers["Authorization"] == "Bearer janes"
    assert "the-controllers-own" not in str(api.asked)


@pytest.mark.parametrize(
    "answer",
    [(401, {"message": "Unauthorized"}), user("system:anonymous", "system:unauthenticated"), user(""), user("x", "system:unauthenticated")],
)
async def test_a_token_that_counts_for_nothing_is_nobody(bearer: Bearer, api: Api, answer: tuple[int, Any]) -> None:
    api.answers["/selfsubjectreviews"] = answer
    assert await bearer.who("bad") is None


@pytest.mark.parametrize("allowed", [True, False])
async def test_what_a_person_may_is_asked_by_their_token(bearer: Bearer, api: Api, allowed: bool) -> None:
    api.answers["/selfsubjectaccessreviews"] = 201, {"status": {"allowed": allowed}}
    assert await bearer.may("janes", "patch", "shop", "app") is allowed
    _, _, headers, body = api.asked[0]
    assert headers["Authorization"] == "Bearer janes"
    assert body["spec"]["resourceAttributes"] == {
        "verb": "patch", "group": "flagger.app", "resource": "canaries", "namespace": "shop", "name": "app",
    }  # fmt: skip


async def test_in_all_namespaces_means_none_named(bearer: Bearer, api: Api) -> None:
    api.answers["/selfsubjectaccessreviews"] = 201, {"status": {"allowed": True}}
    await bearer.may("janes", "list", None, None)
    assert api.asked[0][3]["spec"]["resourceAttributes"] == {"verb": "list", "group": "flagger.app", "resource": "canaries"}


async def test_a_command_is_a_merge_patch_of_annotations_signed_with_a_field_manager(bearer: Bearer, api: Api) -> None:
    api.answers["/canaries/app"] = 200, {}
    await bearer.annotate("janes", "shop", "app", {"flagger.app/abort": "v2"}, "flaggerpy-ui as jane")
    method, path, headers, body = api.asked[0]
    assert (method, path) == ("PATCH", "/apis/flagger.app/v1beta1/namespaces/shop/canaries/app?fieldManager=flaggerpy-ui+as+jane")
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer janes", "application/merge-patch+json")
    assert body == {"metadata": {"annotations": {"flagger.app/abort": "v2"}}}


async def test_a_refusal_is_the_api_servers_own_sentence(bearer: Bearer, api: Api) -> None:
    api.answers["/canaries/app"] = 403, {"kind": "Status", "message": "denied by policy no-friday", "reason": "Forbidden", "code": 403}
    with pytest.raises(Forbidden, match="no-friday"):
        await bearer.annotate("janes", "shop", "app", {}, "m")


async def test_an_api_server_that_is_away_is_told_without_the_token() -> None:
    configuration = Configuration()
    configuration.host = "http://127.0.0.1:9"
    bearer = Bearer(configuration)
    with pytest.raises(Unreachable) as caught:
        await bearer.who("janes-token")
    assert "janes-token" not in str(caught.value)
    await bearer.close()
