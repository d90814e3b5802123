"""The table of many releases, at all widths."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.cli.frames import Scene
from flaggerpy.cli.glyphs import ASCII, BLOCKS
from flaggerpy.cli.overview import overview
from flaggerpy.cli.scenes import scene
from tests.cli.objects import NOW, at, canary, ended
from tests.cli.showcase import release


def named(name: str, obj: Any) -> Scene:
    obj["metadata"] |= {"name": name, "uid": name}
    return scene(obj, NOW)


def scenes() -> list[Scene]:
    held = release(run={"closedGate": "confirm-promotion gate ask-ops"}, progress={"waitingFor": "gate ask-ops to open"}, canaryWeight=60)
    held["status"]["phase"] = "WaitingPromotion"
    missed = {"steps": ["20%"], "metrics": [{"name": "latency", "values": [620.0]}]}
    failing = release(run={"verdict": "container app crashed", "measured": missed, "drainSince": NOW}, canaryWeight=0)
    history = [ended("x", "r/podinfo:9.9", "Failed", started=-600, end=-500, cause="image podinfo:9.9 is not in the registry")]
    idle = canary("Failed", promotedImages=["podinfo:1"], history=history)
    return [named("podinfo", release()), named("frontend", held), named("checkout", failing), named("idle", idle)]


def drawn(width: int, height: int, *, running_only: bool = True, **more: Any) -> str:
    lines = overview(scenes(), width, height, BLOCKS, title="all namespaces", running_only=running_only, now=NOW, **more)
    return "\n".join(line.plain.rstrip() for line in lines) + "\n"


def test_what_fails_stands_above_what_waits_for_a_person_above_what_runs() -> None:
    assert drawn(0, 0) == dedent("""\
        all namespaces   3 of 4 in a release, 1 waits for a person, 1 rolled back

        NAMESPACE  NAME      PHASE             STAGE         CANARY              ENDS IN   WORST METRIC       WAITS FOR
        test       checkout  Progressing       rollback      ░░░░░░░░░░░░   0 %  ~6s       latency 620 ≤ 500  rolled back: container app crashed
        test       frontend  WaitingPromotion  gate ask-ops  ███████░░░░░  60 %  a person  latency 210 ≤ 500  gate ask-ops to open
        test       podinfo   Progressing       40 %  2/3     █████░░░░░░░  40 %  ~28s      latency 210 ≤ 500  the canary at weight 40% (8s left)
        """)  # noqa: E501


def test_a_narrow_terminal_keeps_name_stage_and_end() -> None:
    lines = drawn(60, 12).splitlines()
    assert lines[2] == "NAME      STAGE         ENDS IN   WAITS FOR"
    assert lines[3].startswith("checkout  rollback      ~6s       rolled back: contain")
    assert lines[3].endswith("…")


def test_below_the_table_stands_what_ended_lately() -> None:
    lines = drawn(100, 20).splitlines()
    assert lines[7] == "LATELY"
    assert lines[8] == " 8m20s ago  Failed      idle.test  podinfo:9.9  image podinfo:9.9 is not in the registry"


def test_all_canaries_can_be_shown() -> None:
    text = drawn(120, 20, running_only=False)
    assert "ended 8m20s ago" in text
    assert "image podinfo:9.9 is not in" in text


def test_no_release_at_all_is_a_sentence() -> None:
    lines = overview([], 80, 10, ASCII, title="namespace test", running_only=True, now=NOW)
    assert [line.plain for line in lines[:1]] == ["namespace test   0 of 0 in a release" + " " * 35 + "15:30:00Z"]
    assert lines[2].plain == "No release is under way."


def test_a_metric_is_worst_by_how_much_of_its_room_is_used() -> None:
    tight = release(run={"measured": {"steps": ["20%"], "metrics": [
        {"name": "request-success-rate", "values": [99.1]}, {"name": "latency", "values": [210.0]},
    ]}})  # fmt: skip
    text = overview([named("a", tight)], 0, 0, BLOCKS, title="t", running_only=True, now=NOW)[3].plain
    assert "request-success-rate 99.1 ≥ 99" in text


@given(st.integers(20, 220), st.integers(4, 40), st.booleans())
def test_the_table_fits_any_terminal(width: int, height: int, running_only: bool) -> None:
    lines = overview(scenes() * 5, width, height, BLOCKS, title="all", running_only=running_only, now=NOW, problem="x" * 300)
    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width
    assert at(0)
