"""What scenarios compute from what they saw."""

from __future__ import annotations

import os

import pytest

from e2e.bench import controllers, fleet
from e2e.bench.load import Second
from e2e.bench.scenarios import detection, handover, length


@pytest.mark.parametrize(("count", "percent", "rank"), [(20, 95, 19), (20, 50, 10), (1, 95, 1), (5, 95, 5), (25, 95, 24)])
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(count: int, percent: float, rank: int) -> None:
    values = [float(number) for number in range(count, 0, -1)]
    assert detection.percentile(values, percent) == rank


def test_a_run_is_bound_by_its_parts() -> None:
    assert length.bound(7.0) == 52.0


def test_memory_is_read_in_megabytes() -> None:
    assert controllers.resident_mb("Name:\tx\nVmRSS:\t   50000 kB\n") == pytest.approx(51.2)
    with pytest.raises(ValueError, match="ended"):
        controllers.resident_mb("Name:\tx\n")


def test_processor_time_is_that_of_user_and_kernel() -> None:
    stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 3 0 100 0 0"
    assert controllers.cpu_seconds(stat) == pytest.approx(200 / os.sysconf("SC_CLK_TCK"))


def test_a_quantile_is_that_of_what_was_observed_in_between() -> None:
    text = 'lag_bucket{le="0.01"} %d\nlag_bucket{le="0.05"} %d\nlag_bucket{le="+Inf"} %d\n'
    before, after = (controllers.buckets(text % counts, "lag_bucket") for counts in ((100, 100, 100), (190, 199, 200)))
    assert controllers.quantile(before, after, 0.90) == 0.01
    assert controllers.quantile(before, after, 0.99) == 0.05
    assert controllers.quantile(before, after, 1.0) == float("inf")
    assert controllers.quantile(after, after, 0.99) is None


def test_pods_of_a_fleet_go_to_nodes_that_pretend() -> None:
    spec = fleet.pod_template("app")["spec"]
    assert spec["nodeSelector"] == {"type": "kwok"}
    assert spec["tolerations"] == [{"key": "type", "operator": "Exists"}]


def test_what_a_switch_costs_is_counted_once_and_within_its_time() -> None:
    told = [(99, 9, 900.0), (100, 1, 20.0), (108, 2, 50.0), (116, 4, 80.0), (130, 9, 900.0)]
    counted = [Second(at, 10, lost, p99) for at, lost, p99 in told]
    assert handover.worst(counted, [100.4, 102.0]) == (7, 80.0)
    assert handover.worst(counted, []) == (0, 0.0)


def test_each_switch_has_its_figures_and_one_that_never_came_has_none() -> None:
    counted = [Second(at, 10, lost, p99) for at, lost, p99 in [(100, 1, 20.0), (130, 2, 50.0)]]
    found = handover.switches("flaggerpy", counted, [(100.4, 50), (129.0, 100)])
    assert [(one.what, one.value, one.note) for one in found] == [
        ("to 50 %: requests lost", 1.0, ""),
        ("to 50 %: p99", 20.0, ""),
        ("to 100 %: requests lost", 2.0, ""),
        ("to 100 %: p99", 50.0, ""),
        ("back to the primary: requests lost", None, "never came"),
        ("back to the primary: p99", None, "never came"),
    ]
