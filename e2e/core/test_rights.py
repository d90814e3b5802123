"""The controller's account over the whole run: nothing was denied, nothing is granted in vain, no Secret is read for nothing.

`run.sh` runs this last, and says by E2E_WHOLE that all the rest was run before.
"""

from __future__ import annotations

import os

import pytest

from e2e.core import rights
from e2e.core.controllers import SYSTEM
from e2e.sandbox import Sandbox
from flaggerpy.controller import rbac

pytestmark = [
    pytest.mark.last,
    pytest.mark.skipif(not os.environ.get("E2E_WHOLE"), reason="looks back at the whole run of e2e/core: sh e2e/core/run.sh"),
]


@pytest.fixture(scope="module")
def log(sandbox: Sandbox) -> rights.Log:
    with sandbox.audit_log.open() as lines:
        return rights.read(lines, f"system:serviceaccount:{SYSTEM}:{rbac.NAME}")


def test_nothing_that_the_controller_asked_for_was_denied(log: rights.Log) -> None:
    assert dict(log.denied) == {}
    assert log.used.total() > 1000, "the log is not that of a whole run"


def test_nothing_is_granted_that_was_not_used(log: rights.Log) -> None:
    assert rights.unused(log) == set(), "take it out of flaggerpy/controller/rbac.py, or say in e2e/core/rights.py why it is needed"
    assert rights.excepted_in_vain(log) == set(), "these exceptions are not needed any more"


def test_secrets_are_watched_as_metadata_and_read_by_name_where_something_refers_to_them(log: rights.Log) -> None:
    assert set(log.listed) == {"PartialObjectMetadataList"}
    assert log.secrets, "no Secret was read in the whole run: there is nothing to look at"
    assert [f"{namespace}/{name}" for namespace, name in log.secrets if name == rights.DECOY] == []
