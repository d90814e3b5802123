"""Writes docs/troubleshooting.md from the table of causes; with --check it says whether the page is stale.

Run it as `python -m flaggerpy.cli.troubleshooting` after a change of the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flaggerpy.rollout.causes.cause import Cause, Class
from flaggerpy.rollout.causes.table import TABLE

PAGE = Path(__file__).parent.parent.parent / "docs" / "troubleshooting.md"

HEAD = """# What a failing pod means, and what to do

This page is generated from the table that the controller itself diagnoses with (`flaggerpy/rollout/causes/`); the same words stand in
a Canary's `status.podFailures`, its conditions, events and alerts, and in `flaggerpy describe`.

While a release runs, every container of its pods is watched, init containers and sidecars included. What is found belongs to one of four
classes:

| class | when it ends the release |
|---|---|
| certain | after 5 s (`spec.podHealth.certainGrace`): it will not heal by itself |
| doubtful | after 30 s (`spec.podHealth.doubtfulGrace`): it may heal |
| crash | at the third crash of a container within ten minutes (`spec.podHealth.maxRestarts` + 1) |
| waiting | never by itself: it is named, and `progressDeadlineSeconds` judges it |

A grace runs for each pod, container and class from the first report on, and ends only when the container runs. A failure must stand on more
pods than `canaryReadyThreshold` lets be missing, and on two nodes where the pods are on more than one. Containers named in
`spec.podHealth.ignoredContainers` are not judged; `spec.podHealth.enabled: false` leaves all to the deadline.

Every cause that can be brought about was, on a real kubelet: how the release ended and in how many seconds is in
[failures.md](failures.md). Words in capitals stand for your own names.
"""

TITLES: dict[Class, str] = {
    "certain": "Certain: it will not heal by itself",
    "doubtful": "Doubtful: it may heal",
    "crash": "Crashes: the program ran and ended",
    "waiting": "Waiting: the deadline judges",
}
_WORDS = {
    "who": "container NAME",
    "name": "NAME",
    "pod": "POD",
    "node": "NODE",
    "image": "IMAGE",
    "host": "HOST",
    "address": "HOST:443",
    "secrets": "with pull secret SECRET",
    "reason": "REASON",
    "message": "what the kubelet says",
    "code": "CODE",
    "signal": "SIGNAL",
    "ns": " -n NAMESPACE",
    "status": "STATUS",
    "kind": "KIND",
    "object": "OBJECT",
    "key": "KEY",
    "path": "PATH",
    "names": "NAMES",
    "quota": "QUOTA",
    "level": "LEVEL",
}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for cls, title in TITLES.items():
        parts.append(f"## {title}\n")
        parts += [section(cause) for cause in TABLE if cause.cls == cls]
    return "\n".join(parts)


def section(cause: Cause) -> str:
    """One cause: what the kubelet says, what that means, what to do."""
    what, means, advice, command = (text.format(**_WORDS) for text in (cause.what, cause.means, cause.advice, cause.command))
    return f"### {cause.id}\n\nSeen as: `{cause.example}`\n\n{what[0].upper()}{what[1:]}: {means}.\n\n{advice}\n\n```\n{command}\n```\n"


def main(arguments: list[str]) -> int:
    """Write the page, or with --check tell whether it is as it should be; exit code 1 when not."""
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == page():
            return 0
        print("docs/troubleshooting.md differs from the table: run python -m flaggerpy.cli.troubleshooting")
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    print("docs/troubleshooting.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
