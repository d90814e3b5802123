"""Fixtures of the controller's tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_is_left_to_collect() -> Iterator[None]:
    """kopf leaves coroutines in cycles. Collected in the middle of a parse, they trip CPython 3.11's check of its recursion depth."""
    yield
    gc.collect()
