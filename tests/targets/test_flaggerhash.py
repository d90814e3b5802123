"""Flagger's hash of pod templates: to the digit what its own program says (tests/data/flagger_hashes.json, by e2e/takeover/hashes)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flaggerpy.targets.flaggerhash import flagger_hash, go_words

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data" / "flagger_hashes.json").read_text())
FINE = ("1.25Gi", "9Ei", "1000Ti")


def unusual(template: dict[str, Any]) -> bool:
    return any(f'"{quantity}"' in json.dumps(template) for quantity in FINE)


@pytest.mark.parametrize("vector", [each for each in VECTORS if not unusual(each["template"])])
def test_it_is_flaggers(vector: dict[str, Any]) -> None:
    assert flagger_hash(vector["template"]) == vector["hash"]


@pytest.mark.parametrize("quantity", [*FINE, "many"])
def test_a_quantity_that_go_holds_otherwise_is_refused_and_not_guessed(quantity: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        flagger_hash({"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": quantity}}}]}})


def test_every_field_is_named_and_empty_is_told_from_missing() -> None:
    words = go_words({"metadata": {"labels": {"b": "2", "a": "1"}}, "spec": {"containers": []}})
    assert words.startswith("(v1.PodTemplateSpec){ObjectMeta:(v1.ObjectMeta){Name:(string) GenerateName:(string)")
    assert "Labels:(map[string]string)map[a:1 b:2] Annotations:(map[string]string)<nil>" in words
    assert "InitContainers:([]v1.Container)<nil> Containers:([]v1.Container)[] " in words
    assert "TerminationGracePeriodSeconds:(*int64)<nil>" in words


def test_what_flaggers_types_lack_does_not_count() -> None:
    plain = {"spec": {"containers": [{"name": "a", "image": "x"}]}}
    newer = {"spec": {"containers": [{"name": "a", "image": "x", "ofTheNextYear": {"a": 1}}], "andThis": 2}}
    assert flagger_hash(plain) == flagger_hash(newer)
