"""All rows of the catalogue, by subject. `CORE` proves every commit (e2e/core/test_pod_failures.py), the others are in `make test-all`."""

from __future__ import annotations

from e2e.catalogue import core, nodes, pods, pulls, refused, sites
from e2e.catalogue.row import Group

CORE = Group("The core", core.ROWS)
SLOW = (
    Group("Images that cannot be pulled", pulls.ROWS, sites.ground),
    Group("Pods that start badly", pods.ROWS),
    Group("Pods that nobody may make", refused.ROWS),
    Group("Nodes and volumes", nodes.ROWS),
)
ALL = (CORE, *SLOW)
