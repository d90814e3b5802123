"""The words of the `flaggerpy` command as one table, and the module behind each, which is imported only when its word is used.

A new word is one line here and a module with `add_options(word, parser)` and `perform(options, ..., screen)`. What `perform` gets before
the screen depends on `needs`: an `Access` ("access"), the `Client` itself ("client"), a Client or None as the module's
`needs_cluster(options)` says ("perhaps"), or nothing at all ("nothing": then it is no coroutine).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

Needs = Literal["access", "client", "perhaps", "nothing"]


@dataclass(frozen=True)
class Word:
    """A word of the command: its help line, the module that carries it out, and what that needs of a cluster."""

    name: str
    help: str
    module: str
    needs: Needs = "access"

    def load(self) -> Any:
        """The module. Words do not pay for each other's imports: `flaggerpy get` is there in half the time."""
        return importlib.import_module(self.module)


VERBS = {
    "abort": "end the release under way: traffic to the primary, phase Failed",
    "retry": "run the revision that failed once more",
    "promote": "skip the rest of the analysis; readiness, capacity and the proof of the route are never skipped",
    "skip": "take the next step now: the rest of the wait and a closed gate are waived, checks and readiness are not",
    "rollback-to": "release an earlier template again, through an analysis like any other",
    "pause": "hold the release at its present step",
    "resume": "go on after a pause",
}
_IMAGES = "ask registries whether images can be pulled: 0 yes, 1 certainly not, 15 cannot be told"
_HANDBACK = "leave idle Canaries such that Flagger 1.44 goes on with them without a new analysis"

_TABLE = (
    Word("get", "list Canaries with their phase, weight and what they wait for", "flaggerpy.cli.words.looking"),
    Word("describe", "tell everything about one Canary: what it waits for, pods that fail and why, gates, events, history",
         "flaggerpy.cli.words.looking"),
    Word("watch", "show releases live; without a terminal one line per change", "flaggerpy.cli.words.following"),
    Word("top", "show all releases under way in the cluster as one live table", "flaggerpy.cli.words.following"),
    Word("wait", "wait for the end of a release, for pipelines: 0 promoted, 1 failed, 2 timed out, 3 superseded",
         "flaggerpy.cli.words.following"),
    *(Word(verb, text, "flaggerpy.cli.words.steering") for verb, text in VERBS.items()),
    Word("history", "list the last releases of a Canary: revision, images, outcome, cause, what was measured",
         "flaggerpy.cli.words.looking"),
    Word("check-image", _IMAGES, "flaggerpy.cli.images", "perhaps"),
    Word("handback", _HANDBACK, "flaggerpy.cli.handback", "client"),
    Word("crds", "bring the CRDs of the cluster up to date, check them, or print them", "flaggerpy.cli.crds", "perhaps"),
    Word("lint", "find what is wrong with Canaries and the objects around them, for editors and pipelines",
         "flaggerpy.cli.offline", "nothing"),
    Word("plan", "tell what a release will do, and how long each part takes at best and at worst", "flaggerpy.cli.offline", "nothing"),
    Word("simulate", "play a release without a cluster: the controller's own core against a model of the world",
         "flaggerpy.cli.offline", "nothing"),
    Word("convert", "turn Rollouts of Argo Rollouts into Deployments and Canaries, and tell what could not be carried over",
         "flaggerpy.cli.offline", "nothing"),
    Word("completion", "print the completion script of a shell: bash, zsh or fish", "flaggerpy.cli.words.completing", "nothing"),
    Word("version", "print the version of this program; --check: whether CRDs, controller and chart fit to it",
         "flaggerpy.cli.words.about", "perhaps"),
)  # fmt: skip
WORDS: dict[str, Word] = {word.name: word for word in _TABLE}
"""All words but `run`, whose flags are the controller's, in the order of the help."""
