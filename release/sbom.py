"""The bill of materials of the image, as CycloneDX 1.5: what is in it, of which version, under which licence, from which file."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from email.message import Message
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]

# classifiers of PyPI that name a licence well enough for an SPDX identifier
_CLASSIFIED = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}


def licence_of(metadata: Message) -> str:
    """A wheel's licence: the expression, else its classifiers, else the first line of the old field; "NOASSERTION" where it is silent."""
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classified = [_CLASSIFIED[value] for value in metadata.get_all("Classifier", []) if value in _CLASSIFIED]
    if classified:
        return " AND ".join(sorted(set(classified)))
    lines = (metadata.get("License") or "").strip().splitlines()
    return lines[0].strip() if lines else "NOASSERTION"


def debian_licences(copyright_file: str) -> list[str]:
    """The short names of licences in a machine-readable debian/copyright; none where it is in prose."""
    found = re.findall(r"^License:[ \t]*([\w.+-]+(?: (?:and|or|with) [\w.+-]+)*)[ \t]*$", copyright_file, re.MULTILINE)
    return sorted(set(found))


def wheel_component(name: str, version: str, sha256: str, licence: str) -> Component:
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{version}",
        "purl": f"pkg:pypi/{name}@{version}",
        "name": name,
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "licenses": licences([licence]),
    }


def debian_component(name: str, version: str, architecture: str, sha256: str, names: Sequence[str]) -> Component:
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}&distro=debian-12"
    return {
        "type": "library",
        "bom-ref": purl,
        "purl": purl,
        "name": name,
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "licenses": licences(names),
    }


def licences(names: Iterable[str]) -> list[dict[str, Any]]:
    """An SPDX expression is given as such only alone, as the format asks; all else by name."""
    said = [name for name in names if name and name != "NOASSERTION"]
    if len(said) == 1 and re.search(r" (AND|OR|WITH) ", said[0]):
        return [{"expression": said[0]}]
    return [{"license": {"name": name}} for name in said]


def document(version: str, created: str, sha256: str, licence: str, components: Sequence[Component]) -> bytes:
    """The bill for an image of flaggerpy. `sha256` is that of our own files; the serial number follows from the content."""
    ours = {**wheel_component("flaggerpy", version, sha256, licence), "type": "application"}
    ordered = sorted(components, key=lambda component: component["purl"])
    body: Mapping[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": {**ours, "bom-ref": "flaggerpy"},
            "tools": {"components": [{"type": "application", "name": "release.sbom", "group": "flaggerpy"}]},
        },
        "components": ordered,
        "dependencies": [{"ref": "flaggerpy", "dependsOn": [component["bom-ref"] for component in ordered]}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    return json.dumps({**body, "serialNumber": f"urn:uuid:{serial}"}, indent=1, sort_keys=True).encode() + b"\n"
