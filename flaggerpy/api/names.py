"""Names of what is generated around a Canary, and the labels and annotations that carry meaning.

All are Flagger's (its object names are part of the API), but for those that begin with `flagger.app/` and are marked ours.
"""

from __future__ import annotations

GROUP = "flagger.app"
VERSION = "v1beta1"
FINALIZER = "finalizer.flagger.app"
FIELD_MANAGER = "flaggerpy"
FLAGGER_ID = "flagger-id"
CONFIG_TRACKING = "flagger.app/config-tracking"

# Put on every generated object, so that Flux leaves it alone.
FLUX_OPT_OUT = {
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
}

# Ours: commands of a person, as annotations on the Canary (docs/adr: commands). The value is the revision, or "*" for any.
COMMAND_ABORT = "flagger.app/abort"
COMMAND_RETRY = "flagger.app/retry"
COMMAND_PROMOTE = "flagger.app/promote"
COMMAND_PAUSE = "flagger.app/pause"
COMMAND_SKIP = "flagger.app/skip"
COMMAND_ROLLBACK_TO = "flagger.app/rollback-to"

COMMANDS = {
    "abort": COMMAND_ABORT,
    "retry": COMMAND_RETRY,
    "promote": COMMAND_PROMOTE,
    "skip": COMMAND_SKIP,
    "rollback-to": COMMAND_ROLLBACK_TO,
    "pause": COMMAND_PAUSE,
}
"""Each command's word and its annotation, in the order in which the controller looks at them."""

# Ours: on a primary, the followed configs that it was given last (targets/configs.py).
FOLLOWED_CONFIGS = "flagger.app/followed-configs"

# Ours: on a PodDisruptionBudget that shall hold for the primary too (targets/budgets.py), and on the copy that is made of it.
COPY_TO_PRIMARY = "flagger.app/copy-to-primary"

# Ours: on ControllerRevisions and config copies.
REVISION_OF = "flagger.app/canary"
REVISION_LABEL = "flagger.app/revision"

# Ours: on the primary's autoscaler: which words of the user's it is a copy of, and its floor with the bounds that this replaces.
SCALER_SOURCE = "flagger.app/scaler-source"
SCALER_FLOOR = "flagger.app/scaler-floor"

# Ours: on what a primary that was left behind needs of ours; a Canary of the name that it says has it again.
LEFT_BY = "flagger.app/left-by"


def primary_name(name: str) -> str:
    """The primary's twin of a workload, Service or config."""
    return f"{name}-primary"


def canary_name(name: str) -> str:
    """The Service that selects the canary's pods."""
    return f"{name}-canary"


def kept_revision_name(canary: str, revision: str) -> str:
    """The ControllerRevision that keeps a template (ours; docs/adr: where the promoted template is kept)."""
    return f"{canary}-{revision}"
