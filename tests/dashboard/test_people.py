"""Tokens: what the API server is asked, how seldom, and what is refused without asking."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from flaggerpy.dashboard.people import BELIEVED_SECONDS, BURST, FORGOTTEN_SECONDS, REFUSED_SECONDS, Busy, People, Unknown


class Api:
    """An API server's answers: users by token, and what they may."""

    def __init__(self) -> None:
        self.users = {"good-token": "jane"}
        self.rights: set[tuple[str, str, str | None, str | None]] = set()
        self.asked: list[str] = []
        self.written: list[tuple[str, str, str, Mapping[str, str | None], str]] = []

    async def who(self, token: str) -> str | None:
        self.asked.append(token)
        return self.users.get(token)

    async def may(self, token: str, verb: str, namespace: str | None, name: str | None) -> bool:
        self.asked.append(f"{verb} {namespace} {name}")
        return (self.users[token], verb, namespace, name) in self.rights

    async def annotate(self, token: str, namespace: str, name: str, annotations: Mapping[str, str | None], manager: str) -> None:
        self.written.append((token, namespace, name, annotations, manager))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def people(api: Api, clock: Clock) -> People:
    return People(api, clock)


async def test_a_good_token_is_asked_for_once_a_minute(people: People, api: Api, clock: Clock) -> None:
    assert (await people.person("good-token")).name == "jane"
    await people.person("good-token")
    assert api.asked == ["good-token"]
    clock.now += BELIEVED_SECONDS + 1
    await people.person("good-token")
    assert len(api.asked) == 2


async def test_a_token_that_was_revoked_is_refused_within_a_minute(people: People, api: Api, clock: Clock) -> None:
    await people.person("good-token")
    api.users.clear()
    clock.now += BELIEVED_SECONDS + 1
    with pytest.raises(Unknown):
        await people.person("good-token")


async def test_a_token_that_nobody_came_with_for_ten_minutes_is_forgotten(people: People, api: Api, clock: Clock) -> None:
    api.users["other-token"] = "joe"
    await people.person("good-token")
    clock.now += FORGOTTEN_SECONDS + 1
    await people.person("other-token")
    assert [person.name for person in people._known.values()] == ["joe"]


async def test_a_bad_token_is_refused_without_asking_again_for_a_while(people: People, api: Api, clock: Clock) -> None:
    for _ in range(3):
        with pytest.raises(Unknown):
            await people.person("bad")
    assert api.asked == ["bad"]
    clock.now += REFUSED_SECONDS + 1
    with pytest.raises(Unknown):
        await people.person("bad")
    assert len(api.asked) == 2


@pytest.mark.parametrize("token", ["", " ", "a b", "a\r\nX-Evil: 1", "ä", "x" * 20_000])
async def test_what_is_no_token_is_not_sent_anywhere(people: People, api: Api, token: str) -> None:
    with pytest.raises(Unknown):
        await people.person(token)
    assert api.asked == []


async def test_guesses_do_not_become_a_flood_and_known_people_are_served_meanwhile(people: People, api: Api, clock: Clock) -> None:
    await people.person("good-token")
    refused = 0
    for number in range(200):
        try:
            await people.person(f"guess-{number}")
        except Busy:
            refused += 1
        except Unknown:
            pass
    assert len(api.asked) <= BURST + 1
    assert refused >= 180
    assert (await people.person("good-token")).name == "jane"
    clock.now += 5
    with pytest.raises(Unknown):
        await people.person("guess-later")


async def test_who_may_list_everything_sees_everything(people: People, api: Api) -> None:
    api.rights.add(("jane", "list", None, None))
    person = await people.person("good-token")
    assert await person.readable(["a", "b"]) is None
    assert api.asked == ["good-token", "list None None"]


async def test_a_tenant_sees_their_namespaces_and_is_asked_for_once_a_minute(people: People, api: Api) -> None:
    api.rights.add(("jane", "list", "a", None))
    person = await people.person("good-token")
    assert await person.readable(["a", "b"]) == frozenset({"a"})
    before = len(api.asked)
    assert await person.readable(["a", "b"]) == frozenset({"a"})
    assert len(api.asked) == before


async def test_commands_are_written_with_the_persons_own_token(people: People, api: Api) -> None:
    person = await people.person("good-token")
    await person.annotate("ns", "app", {"flagger.app/abort": "v2"}, "flaggerpy-ui as jane")
    assert api.written == [("good-token", "ns", "app", {"flagger.app/abort": "v2"}, "flaggerpy-ui as jane")]
