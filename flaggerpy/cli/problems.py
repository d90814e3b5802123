"""Exit codes of the `flaggerpy` command, and what went wrong as one sentence: see docs/cli.md.

Nobody gets a stack trace for a missing permission. Codes 0 to 3 are verdicts on a release; 10 and up say that no verdict could be had, so
that a pipeline can tell "the release failed" from "I could not ask".
"""

from __future__ import annotations

from enum import IntEnum

from flaggerpy.cluster import errors


class Exit(IntEnum):
    """Exit codes. 2 is a time-out, therefore a wrong command line is not argparse's 2 but sysexits' 64."""

    OK = 0
    FAILED = 1
    TIMED_OUT = 2
    SUPERSEDED = 3
    NO_SUCH_CANARY = 10
    NO_PERMISSION = 11
    NOT_INSTALLED = 12
    NO_CLUSTER = 13
    REFUSED = 14
    UNTOLD = 15
    USAGE = 64
    INTERRUPTED = 130


MEANING: dict[Exit, str] = {
    Exit.OK: "done: the release was promoted, the command was carried out, or there was something to show",
    Exit.FAILED: "the release failed or was aborted, the command cannot be carried out in this phase, or an image cannot be pulled; "
    "the cause is printed; version --check: something does not fit together",
    Exit.TIMED_OUT: "`--timeout` passed; what is still waited for is printed",
    Exit.SUPERSEDED: "a newer revision took the place of the one that was waited for",
    Exit.NO_SUCH_CANARY: "there is no such Canary, or no such pull secret",
    Exit.NO_PERMISSION: "the API server refused the credentials, or RBAC does not allow it",
    Exit.NOT_INSTALLED: "the cluster does not know Canaries: the CRDs are not installed, or not those of this version",
    Exit.NO_CLUSTER: "no kubeconfig or context, or the cluster does not answer",
    Exit.REFUSED: "the API server refused the request for another reason, which is printed",
    Exit.UNTOLD: "check-image, version --check: nothing is known to be wrong, but something could not be found out",
    Exit.USAGE: "the command line is wrong",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}


class Problem(Exception):
    """Why a command ended without success: an exit code and a sentence for a person."""

    def __init__(self, code: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def no_such_canary(namespace: str, name: str) -> Problem:
    where = f"in namespace {namespace}. `flaggerpy get -A` lists those of all namespaces." if namespace else "in any namespace."
    return Problem(Exit.NO_SUCH_CANARY, f"There is no Canary {name} {where}")


def problem_of(error: errors.ApiError, host: str = "") -> Problem:
    """The problem that an error of the API means, with what a person can do about it."""
    at = f" at {host}" if host else ""
    match error:
        case errors.NotConfigured():
            return Problem(
                Exit.NO_CLUSTER, f"No cluster to talk to: {error.message}. Name a file with --kubeconfig, or a context with --context."
            )
        case errors.Unreachable():
            return Problem(Exit.NO_CLUSTER, f"The cluster{at} does not answer: {error.message}.{_hint(error.message)}")
        case errors.Unauthorized():
            return Problem(
                Exit.NO_PERMISSION,
                f"The API server{at} does not accept these credentials: {error.message}. They may have expired, or be another cluster's: "
                "log in again, or choose another context with --context.",
            )
        case errors.Forbidden():
            return Problem(Exit.NO_PERMISSION, f"Not allowed: {error.message}. docs/cli.md lists the rules that each command needs.")
        case errors.NotFound():
            # a list of a namespaced kind answers 404 only when the kind itself is unknown
            return Problem(
                Exit.NOT_INSTALLED,
                "This cluster does not know the kind Canary (flagger.app/v1beta1). Install the CRDs: flaggerpy crds apply. "
                "Or is it the wrong cluster? kubectl config current-context names it.",
            )
        case errors.TooManyRequests():
            return Problem(Exit.REFUSED, f"The API server{at} has too much to do and refuses requests: {error.message}. Try again.")
        case _:
            return Problem(Exit.REFUSED, f"The API server refused the request: {error}")


_HINTS = (
    ("certificate", " Its certificate is not of the authority in the kubeconfig: is this the right cluster, or a proxy in between?"),
    ("name or service", " Its name is not known here: is a VPN needed, or is the context of another network?"),
    ("nodename", " Its name is not known here: is a VPN needed, or is the context of another network?"),
    ("refused", " Nothing listens there: does the cluster run, and is its address still the one in the kubeconfig?"),
    ("connect call failed", " Nothing listens there: does the cluster run, and is its address still the one in the kubeconfig?"),
    ("no answer within", " Is a VPN needed, or does a firewall stand in the way?"),
    ("timeout", " Is a VPN needed, or does a firewall stand in the way?"),
)


def _hint(message: str) -> str:
    return next((hint for part, hint in _HINTS if part in message.lower()), "")
