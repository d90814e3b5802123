"""Pictures of the command: `flaggerpy watch`, `top`, `get`, `describe` and `history` while three shops release."""

from __future__ import annotations

from pathlib import Path

from e2e.kube import KubeError, until
from e2e.pictures import svg
from e2e.pictures.scenes import analysis, serves_bad_answers
from e2e.pictures.theatre import Theatre
from e2e.terminal.panes import Pane

SMALL, LARGE = (60, 15), (120, 31)


def play(theatre: Theatre, folder: Path) -> None:
    """One release that goes well, one that is held by a gate, one that answers with errors."""
    theatre.receiver.answers["/gate"] = 403
    checkout = theatre.shop("shop", "checkout", analysis=analysis())
    frontend = theatre.shop("web", "frontend", analysis=analysis(interval="3s", step=25, gate=f"{theatre.receiver.url}/gate"))
    search = theatre.shop("find", "search", analysis=analysis(interval="6s"))
    top = theatre.pane(140, 14)
    top.type("clear; flaggerpy top")
    large, small, failing = theatre.pane(*LARGE), theatre.pane(*SMALL), theatre.pane(*LARGE)
    large.type("clear; flaggerpy watch checkout -n shop")
    small.type("clear; flaggerpy watch checkout -n shop")
    failing.type("clear; flaggerpy watch search -n find")
    for pane in (large, small, failing):
        pane.until(lambda text: "Nothing is under way" in text, 60, "the idle view")
    for shop in (frontend, checkout, search):
        shop.release("1.0.1")
    search.until_status(lambda status: status.get("canaryWeight", 0) >= 20, 90, "the second step of search")
    try:
        serves_bad_answers(search, 8)
    except KubeError as error:
        raise SystemExit(f"search could not be told to fail: {error}") from error
    checkout.until_status(lambda status: status.get("canaryWeight", 0) >= 30, 120, "the third step of checkout")
    large.until(lambda text: "30 %" in text and "left" in text, 30, "the third step")
    shoot(large, folder / "watch.svg", "flaggerpy watch checkout -n shop")
    shoot(small, folder / "watch-small.svg", "flaggerpy watch checkout -n shop")
    frontend.phase("WaitingPromotion", seconds=90)
    failing.until(lambda text: "2 of 3 checks failed" in text, 90, "a metric that missed twice")
    top.until(lambda text: "a person" in text, 60, "the gate in the table")
    shoot(top, folder / "top.svg", "flaggerpy top")
    shoot(failing, folder / "watch-failing.svg", "flaggerpy watch search -n find")
    search.phase("Failed", seconds=120)
    page = theatre.pane(120, 60)
    page.type("clear; flaggerpy describe search -n find")
    page.until(lambda text: "History" in text and text.rstrip().endswith(("$", "#")), 60, "the page of describe")
    shoot(page, folder / "describe.svg", "flaggerpy describe search -n find", command=True)
    theatre.receiver.answers["/gate"] = 200
    frontend.phase("Succeeded", seconds=90)
    for pane in (large, small, failing, top):
        pane.keys("q")
        until(pane.cursor, 20, "the terminal as it was", pane.text)


def shoot(pane: Pane, path: Path, title: str, *, command: bool = False) -> None:
    """Write a picture of a pane; of a `command` its output alone, without the prompts."""
    screen = pane.ansi()
    if command:
        lines = screen.rstrip("\n").split("\n")
        while not lines[-1].strip():
            lines.pop()
        lines.pop()  # the prompt
        screen = "\n".join(lines)
    width = max(map(len, pane.lines())) if command else pane.size[0]
    svg.write(screen, path, title, width)
