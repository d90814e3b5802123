"""What a person can do about a Canary, in every phase: the controller's own advice first, then the commands that make sense now. Pure."""

from __future__ import annotations

from flaggerpy.cli.views import CanaryView


def advice(view: CanaryView) -> tuple[str, ...]:
    """Sentences, the most useful first; empty only where there is nothing to do but wait."""
    given = (view.waiting.advice,) if view.waiting and view.waiting.advice else ()
    commands = _commands(view)
    told = " ".join(given)
    # what the controller advises is not said twice
    return (*given, *(each for each in commands if each.split(":")[0] not in told))


def _commands(view: CanaryView) -> tuple[str, ...]:
    name = f"{view.name} -n {view.namespace}"
    if view.problem:
        return (f"kubectl edit canary {name}: correct what cannot be read",)
    if view.suspended:
        return (f"kubectl patch canary {name} --type=merge -p '{{\"spec\":{{\"suspend\":false}}}}': go on",)
    if view.verdict and not view.idle:
        return ()  # it is on its way back, and nothing stops that
    if view.paused or "pause" in view.pending_commands:
        return (f"flaggerpy resume {name}: go on", *((f"flaggerpy abort {name}: end the release",) if not view.idle else ()))
    match view.phase:
        case "":
            return ("Is flaggerpy running, and does it watch this namespace? No controller has looked at this Canary yet.",)
        case "Failed":
            return ("Change the target: another template is another release.", f"flaggerpy retry {name}: run this revision once more")
        case "Succeeded" | "Initialized":
            back = next((each for each in view.promoted_revisions if each != view.revision), "")
            return (f"flaggerpy rollback-to {name} {back}: release what ran before",) if back else ()
        case "Progressing":
            skip = (f"flaggerpy skip {name}: take the next step now",) if view.step else ()
            return (*skip, f"flaggerpy pause {name}: hold it here", f"flaggerpy abort {name}: back to the primary")
        case "Waiting" | "WaitingPromotion":
            return (f"flaggerpy skip {name}: pass the gate", f"flaggerpy abort {name}: end the release")
        case _:
            return ()
