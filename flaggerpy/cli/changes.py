"""A log of releases: a line whenever one looks different from before."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from flaggerpy.cli import screens
from flaggerpy.cli.printing import harmless
from flaggerpy.cli.views import CanaryView


def print_changes(views: Sequence[CanaryView], said: dict[str, tuple[object, ...]], out: Console) -> None:
    """One line for each Canary that looks different from what `said` remembers of it."""
    for view in views:
        key = f"{view.name}.{view.namespace}"
        pods = (view.primary_pods, view.canary_pods)
        gist = (view.phase, view.weight, view.failed_checks, pods, view.waiting_for, view.verdict, view.failures)
        if said.get(key) != gist:
            said[key] = gist
            out.print(harmless(screens.change_line(view)), markup=False)
