"""Who gave a command, from the managedFields of a Canary as the API server writes them."""

from __future__ import annotations

import copy
from typing import Any

from flaggerpy.api.status import from_timestamp
from flaggerpy.controller.givers import givers, notes
from flaggerpy.controller.slimming import slim_canary
from flaggerpy.rollout.facts import Giver

ABORT, PAUSE = "flagger.app/abort", "flagger.app/pause"


def entry(manager: str, time: str, *annotations: str) -> dict[str, Any]:
    fields = {"f:metadata": {"f:annotations": {".": {}, **{f"f:{name}": {} for name in annotations}}}, "f:spec": {"f:x": {}}}
    return {"manager": manager, "operation": "Update", "apiVersion": "flagger.app/v1beta1", "time": time, "fieldsV1": fields}


CANARY = {
    "metadata": {
        "name": "app",
        "annotations": {ABORT: "r2", "other": "x"},
        "managedFields": [
            entry("kubectl-edit", "2026-11-26T10:00:00Z", "other"),
            entry("kubectl-annotate", "2026-11-26T15:30:00Z", ABORT, "other"),
            entry("early", "2026-11-26T09:00:00Z", ABORT),
            entry("gone", "2026-11-26T15:31:00Z", PAUSE),
            {"manager": "flaggerpy", "subresource": "status", "time": "2026-11-26T15:32:00Z", "fieldsV1": {"f:status": {}}},
        ],
    }
}


def test_the_last_writer_of_a_commands_annotation_gave_it() -> None:
    assert givers(CANARY) == {"abort": Giver("kubectl-annotate", from_timestamp("2026-11-26T15:30:00Z"))}


def test_a_command_without_a_trace_is_left_out() -> None:
    assert givers({"metadata": {"annotations": {ABORT: "*"}}}) == {}


def test_the_cache_keeps_of_the_managed_fields_what_tells_who_commands() -> None:
    kept = slim_canary(copy.deepcopy(CANARY))
    assert givers(kept) == givers(CANARY)
    assert len(kept["metadata"]["managedFields"]) == 3
    assert "f:spec" not in str(kept["metadata"]["managedFields"])
    plain = slim_canary({"metadata": {"name": "app", "managedFields": [entry("kubectl", "2026-11-26T15:30:00Z", "other")]}})
    assert plain == {"metadata": {"name": "app"}}
    assert notes(plain) == []
