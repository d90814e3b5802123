"""What ingress-nginx understands of the canary Ingress, by its own parsers, with its validation of annotations switched on.

Slow, and skipped where there is no Go: its module is fetched and a program of a few lines (reads/nginx.go) built inside a copy of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.nginx import Nginx
from tests.routers.contract import HEADER_OR_COOKIE, INGRESS, canary_of, percents
from tests.routers.test_nginx import ab, nginx, with_annotations

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("go"), reason="ingress-nginx's own parser is a Go program")]

MODULE = "k8s.io/ingress-nginx@v0.0.0-20240708192948-52c50467d67d"
ROUTER = Nginx()
OFF = {"Header": "", "HeaderValue": "", "HeaderPattern": "", "Cookie": ""}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parsers of ingress-nginx as a program."""
    room = tmp_path_factory.mktemp("ingress-nginx")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}

    def go(*command: str, cwd: Path) -> str:
        done = subprocess.run(["go", *command], cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    source = Path(json.loads(go("mod", "download", "-json", MODULE, cwd=room))["Dir"])
    copy = room / "source"
    shutil.copytree(source, copy, copy_function=shutil.copyfile)
    for folder in (copy, *copy.rglob("*/")):
        folder.chmod(0o755)
    (copy / "cmd" / "reads").mkdir()
    shutil.copyfile(Path(__file__).parent / "reads" / "nginx.go", copy / "cmd" / "reads" / "main.go")
    go("build", "-o", str(room / "reads"), "./cmd/reads", cwd=copy)
    return room / "reads"


def understood(program: Path, *ingresses: Obj, prefix: str = "") -> list[dict[str, Any]]:
    command = [str(program), prefix] if prefix else [str(program)]
    done = subprocess.run(command, input=json.dumps(ingresses), capture_output=True, text=True, check=True)
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    assert all(answer["Error"] == "" for answer in answers)
    return answers


def made(canary: Any, split: RouteSplit, *current: Obj, settings: Settings = Settings()) -> Obj:  # noqa: B008
    [ingress] = ROUTER.desired(canary, split, current or (INGRESS,), settings)
    return ingress


@settings(max_examples=20, deadline=None)
@given(weight=percents)
def test_the_weight_is_understood(program: Path, weight: int) -> None:
    [answer] = understood(program, made(nginx(), RouteSplit(weight)))
    assert answer["Canary"] == {"Enabled": True, "Weight": weight, "WeightTotal": 100, **OFF}


@settings(max_examples=40, deadline=None)
@given(match=HEADER_OR_COOKIE, asks=st.booleans())
def test_header_and_cookie_are_understood(program: Path, match: list[Obj], asks: bool) -> None:
    canary = canary_of("nginx", analysis={"interval": "10s", "threshold": 5, "iterations": 3, "match": match})
    [answer] = understood(program, made(canary, RouteSplit(0, match=asks)))
    found = answer["Canary"]
    assert (found["Enabled"], found["Weight"]) == (True, 0)
    wanted = {name: test for each in match for name, test in each["headers"].items()} if asks else {}
    cookie = wanted.pop("cookie", {}).get("exact", "")
    assert found["Cookie"] == cookie
    assert found["Header"] == next(iter(wanted), "")
    assert found["HeaderValue"] == next((test.get("exact", "") for test in wanted.values()), "")
    assert found["HeaderPattern"] == next((test.get("regex", "") for test in wanted.values()), "")


@pytest.mark.parametrize("kind", ["exact", "prefix", "suffix"])
def test_a_text_that_validation_would_drop_passes_as_a_pattern(program: Path, kind: str) -> None:
    text = "me, (you) & ü@a.com;'\"<>!%#"
    [answer] = understood(program, made(ab({"x-user": {kind: text}}), RouteSplit(0, match=True)))
    assert answer["Canary"]["Header"] == "x-user"
    assert answer["Canary"]["HeaderPattern"]


def test_a_pattern_that_is_warned_of_is_passed_over(program: Path) -> None:
    canary = ab({"x-user": {"regex": "a{1,2}"}})
    [answer] = understood(program, made(canary, RouteSplit(0, match=True)))
    assert answer["Canary"]["HeaderPattern"] == ""
    assert ROUTER.warnings(canary)


def test_another_prefix_is_understood(program: Path) -> None:
    [answer] = understood(
        program, made(nginx(), RouteSplit(5), settings=Settings(ingress_annotations_prefix="example.com")), prefix="example.com"
    )
    assert answer["Canary"]["Weight"] == 5


def test_pinned_visitors_are_let_go_at_weight_nought(program: Path) -> None:
    sticky = with_annotations(INGRESS, affinity="cookie")
    answers = understood(program, made(nginx(), RouteSplit(0), sticky), made(nginx(), RouteSplit(10), sticky))
    assert [answer["Affinity"]["canaryBehavior"] for answer in answers] == ["legacy", ""]
    assert [answer["Affinity"]["type"] for answer in answers] == ["cookie", "cookie"]
