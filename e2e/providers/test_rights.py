"""The controller's account over the whole run of these suites: nothing was denied, and what e2e/core leaves to them was used.

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
    pytest.mark.skipif(not os.environ.get("E2E_WHOLE"), reason="looks back at the whole run: sh e2e/providers/run.sh"),
]


@pytest.fixture(scope="module")
def log(sandbox: Sandbox) -> rights.Log:
    with sandbox.audit_log.open() as lines:
        return rights.read(lines, f"system:serviceaccount:{SYSTEM}:{rbac.NAME}")


def test_nothing_that_the_controller_asked_for_was_denied(log: rights.Log) -> None:
    assert dict(log.denied) == {}


def test_what_is_granted_for_the_sake_of_these_suites_was_used(log: rights.Log) -> None:
    assert set(rights.ELSEWHERE) - set(log.used) == set(), "take it out of flaggerpy/controller/rbac.py, or of e2e/core/rights.py"
