"""Log lines: one line each, Flagger's fields, with what is known of the canary, and without other people's secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flaggerpy.telemetry import logs


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hushed = {name: logging.getLogger(name).level for name in logs.HUSHED}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name, before in hushed.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_with_flaggers_fields(out: io.StringIO) -> None:
    logs.configure("info", "json", out)
    with logs.about(canary="podinfo.test", revision="abc"):
        logging.getLogger("flaggerpy.x").info("Advance %s weight %d\nüber", "podinfo.test", 10)
    (line,) = lines(out)
    assert line["level"] == "info"
    assert line["msg"] == "Advance podinfo.test weight 10\nüber"
    assert line["canary"] == "podinfo.test"
    assert line["revision"] == "abc"
    assert line["ts"].endswith("Z")
    assert line["caller"].startswith("telemetry/test_logs.py:")


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warn", "error", "fatal"]),
        ("info", ["info", "warn", "error", "fatal"]),
        ("warn", ["warn", "error", "fatal"]),
        ("warning", ["warn", "error", "fatal"]),
        ("error", ["error", "fatal"]),
        ("fatal", ["fatal"]),
        ("panic", ["fatal"]),
    ],
)
@pytest.mark.fault("Q-53")
def test_levels_are_those_of_flaggers_flag(out: io.StringIO, level: str, written: list[str]) -> None:
    logs.configure(level, "json", out)
    for say in (logging.debug, logging.info, logging.warning, logging.error, logging.critical):
        say("x")
    assert [line["level"] for line in lines(out)] == written


def test_what_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"unknown log level 'loud'; one of debug, info"):
        logs.configure("loud")
    with pytest.raises(ValueError, match="unknown log encoding"):
        logs.configure("info", "xml")


def test_an_exception_is_told_in_the_same_line(out: io.StringIO) -> None:
    logs.configure("info", "json", out)
    try:
        raise KeyError("gone")
    except KeyError:
        logging.exception("failed")
    (line,) = lines(out)
    assert line["error"] == "'gone'"
    assert "KeyError: 'gone'" in line["stacktrace"]


def test_text_is_one_line_with_the_fields_at_its_end(out: io.StringIO) -> None:
    logs.configure("info", "console", out)
    with logs.about(canary="podinfo.test", phase="Progressing"):
        logging.info("two\nlines")
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().rstrip().endswith("two\\nlines  canary=podinfo.test  phase=Progressing")


async def test_fields_stay_with_their_task_and_nest(out: io.StringIO) -> None:
    logs.configure("info", "json", out)
    ready = asyncio.Barrier(2)

    async def work(name: str) -> None:
        with logs.about(canary=name):
            await ready.wait()
            with logs.about(phase="Progressing"):
                logging.info(name)
            logging.info("outside")

    await asyncio.gather(work("a"), work("b"))
    logging.info("nobody's")
    found = lines(out)
    assert all(line["canary"] == line["msg"] and line["phase"] == "Progressing" for line in found if line["msg"] in ("a", "b"))
    assert all("phase" not in line for line in found if line["msg"] == "outside")
    assert "canary" not in found[-1]


def test_libraries_that_log_urls_and_bodies_are_hushed_even_at_debug(out: io.StringIO) -> None:
    logs.configure("debug", "json", out)
    logging.getLogger("httpx").info("HTTP Request: POST https://chat.example/secret")
    logging.getLogger("kubernetes.aio.client.rest").debug("response body: secret")
    assert out.getvalue() == ""
