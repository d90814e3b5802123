"""What a kind of target must be able to tell and to be told: the interface that the controller uses, and nothing else.

A target is what is released: the user's workload, of which a primary is made. Every answer is data made from data, so that the shell
reads and writes, and a kind of target is one file with no I/O. The rollout sees only `WorkloadFacts` and never asks for the kind. The
workloads of `obj` are plain objects of the API server; `history` are the objects in which the workload's own controller keeps its
templates, as `templates.slim_history` left them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flaggerpy.api.canary import Canary
from flaggerpy.api.workloads import WorkloadFacts

Obj = dict[str, Any]
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a primary is to be, beside the template that was kept."""

    selector_label: str
    label_value: str
    """Of the target's pods; the primary's have `-primary` behind it."""
    run_id: str
    """Becomes the template's `flagger-id`."""
    revision: str
    """Which of the target's revisions it is made of."""
    config_names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(kind, name) to the versioned copy ("configmap" or "secret"; see `configs.copy_names`)."""
    replicas: int | None = None
    """None leaves the size to who set it."""
    include_label_prefix: Sequence[str] = ()
    """Which labels and annotations of the target it gets (`-include-label-prefix`)."""


class Target(Protocol):
    """A kind of workload that can be released."""

    @property
    def kind(self) -> str:
        """As in `targetRef.kind`."""

    def revision(self, obj: Mapping[str, Any], history: Iterable[Mapping[str, Any]]) -> str:
        """A short name of the workload's present template, the same at each look; "" while its controller has not taken it up.

        Scaling to zero and back changes nothing of it.
        """

    def facts(
        self,
        obj: Mapping[str, Any],
        history: Iterable[Mapping[str, Any]],
        pods: Iterable[Mapping[str, Any]] | None,
        events: Mapping[str, Sequence[Event]],
    ) -> WorkloadFacts:
        """What the workload, its history and its pods say. Objects of others among them are passed over.

        `pods` None: they are not watched. `events` are by the name of the pod that they are about, or of the workload itself.
        """

    def kept(self, canary: Canary, obj: Mapping[str, Any], revision: str, configs: Mapping[str, str] | None) -> Obj:
        """The ControllerRevision that keeps what a primary of this revision is made of; `configs` are the checksums of that time.

        Its data cannot be changed once it is stored, so it is created once, and found to exist already ever after.
        """

    def primary(self, canary: Canary, kept: Mapping[str, Any], wanted: Wanted) -> Obj:
        """The workload `<target>-primary` for server-side apply, from the `data` of a kept revision."""

    def held(self, obj: Mapping[str, Any]) -> tuple[str, Obj]:
        """The revision and the template that an object of its history holds: one whole, as the API server has it."""

    def size(self, obj: Mapping[str, Any]) -> int:
        """How many pods are wanted; 0 exactly when it is scaled to zero."""

    def scaling(self, obj: Mapping[str, Any], replicas: int) -> list[Obj]:
        """The JSON patch operations that give the workload this size, [] where it has it.

        A kind whose size the cluster decides (one pod per node) only knows none, and all.
        """

    def restoring(self, obj: Mapping[str, Any], template: Mapping[str, Any]) -> list[Obj]:
        """The JSON patch operations that give the workload this kept template, [] where it has it. Its size stays."""
