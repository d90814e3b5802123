"""The bill of materials: what it says of licences and where things come from, and that it is the same for the same image."""

from __future__ import annotations

import json
from email import message_from_string

import pytest

from release.sbom import debian_component, debian_licences, document, licence_of, wheel_component


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: MIT AND PSF-2.0\nLicense: no\n", "MIT AND PSF-2.0"),
        ("Classifier: License :: OSI Approved :: BSD License\nLicense: Redistribution and use\n", "BSD-3-Clause"),
        ("License: Apache 2.0\n", "Apache 2.0"),
        ("Name: x\n", "NOASSERTION"),
    ],
)
def test_a_wheels_licence_is_the_clearest_of_what_it_says(metadata: str, licence: str) -> None:
    assert licence_of(message_from_string(metadata)) == licence


def test_debians_short_names_are_taken_and_prose_is_not() -> None:
    text = "Files: *\nLicense: GPL-2+ or MIT\n\nLicense: Permission is hereby granted, free\n of charge\n\nLicense: GPL-2+ or MIT\n"
    assert debian_licences(text) == ["GPL-2+ or MIT"]


def test_it_names_ours_and_all_it_is_made_of_in_one_order() -> None:
    one, other = wheel_component("yarl", "1", "a" * 64, "Apache-2.0"), debian_component("libc6", "2:2.36", "amd64", "b" * 64, ["GPL-2"])
    found = document("1.2.3", "2026-01-02T03:04:05Z", "c" * 64, "Apache-2.0", [one, other])
    assert found == document("1.2.3", "2026-01-02T03:04:05Z", "c" * 64, "Apache-2.0", [other, one])
    bill = json.loads(found)
    assert bill["metadata"]["component"]["version"] == "1.2.3"
    assert [component["purl"] for component in bill["components"]] == [
        "pkg:deb/debian/libc6@2%3A2.36?arch=amd64&distro=debian-12",
        "pkg:pypi/yarl@1",
    ]
    assert bill["components"][0]["licenses"] == [{"license": {"name": "GPL-2"}}]
    assert bill["serialNumber"] != json.loads(document("1.2.4", "", "c" * 64, "Apache-2.0", [one]))["serialNumber"]


def test_an_expression_of_several_licences_is_given_as_such() -> None:
    assert wheel_component("x", "1", "a", "MIT AND PSF-2.0")["licenses"] == [{"expression": "MIT AND PSF-2.0"}]
