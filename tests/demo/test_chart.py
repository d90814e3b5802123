"""The demo's installation: values that the chart's schema takes, and whom the controller trusts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.demo import chart, manifests
from e2e.demo.play import PROVIDERS, sandbox_images

ROOT = Path(__file__).parents[2]
PLACE = manifests.Place("projectcontour", "contour", "http://g", "x.example.com", "http://10.0.0.1:9090", sandbox_images("10.0.0.1:5443"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_values_are_ones_that_the_chart_knows(provider: str) -> None:
    found = chart.values(replace(PLACE, provider=provider), "127.0.0.1:5000/flaggerpy", "sha256:abc")
    assert found.keys() <= json.loads((ROOT / "charts/flaggerpy/values.schema.json").read_text())["properties"].keys()
    assert found["image"] == {"repository": "127.0.0.1:5000/flaggerpy", "digest": "sha256:abc"}
    assert (found["meshProvider"], found["namespace"], found["metricsServer"]) == (provider, "demo", "http://10.0.0.1:9090")


def test_the_controller_trusts_the_registrys_authority_where_it_is_mounted() -> None:
    found = chart.values(PLACE, "r", "d")
    (mount,), (volume,) = found["additionalVolumeMounts"], found["additionalVolumes"]
    assert mount["name"] == volume["name"]
    assert volume["configMap"]["name"] == chart.authority("PEM")["metadata"]["name"]
    (key,) = chart.authority("PEM")["data"]
    assert {"name": "SSL_CERT_FILE", "value": f"{mount['mountPath']}/{key}"} in found["env"]
