"""A conversion for people and files: the manifests as YAML with the report as comments before them, the report alone, and as data."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable

import yaml

from flaggerpy.cli.converting.rollout import Conversion
from flaggerpy.cli.converting.source import Remark, Weight

WIDTH = 120
HEADS = {
    Weight.LOST: "Not carried over",
    Weight.CHANGED: "Works differently",
    Weight.TODO: "To do by hand",
}

_BULLET = textwrap.TextWrapper(
    WIDTH - 4, initial_indent="  - ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
)


def as_yaml(conversion: Conversion) -> str:
    """The manifests; what is to be known about them stands above them, so that it goes where the file goes."""
    told = "".join(f"# {line}".rstrip() + "\n" for line in as_text(conversion.remarks).splitlines())
    documents = "---\n".join(yaml.safe_dump(obj, sort_keys=False, allow_unicode=True, width=WIDTH) for obj in conversion.objects)
    return f"{told}{'---' + chr(10) if told else ''}{documents}"


def as_text(remarks: Iterable[Remark]) -> str:
    """The report: what is lost first."""
    listed = list(remarks)
    parts = []
    for weight, head in HEADS.items():
        chosen = [each for each in listed if each.weight is weight]
        if not chosen:
            continue
        lines = [f"{head}:"]
        for each in chosen:
            text = f"{each.about}, {each.path}: {each.text}" if each.path else f"{each.about}: {each.text}"
            lines += _BULLET.wrap(text)
        parts.append("\n".join(lines))
    return "\n".join(parts) + ("\n" if parts else "")


def as_json(conversion: Conversion) -> str:
    """`objects` and `remarks` (about, path, weight: lost, changed or todo, text)."""
    remarks = [
        {"about": each.about, "path": each.path, "weight": each.weight.name.lower(), "text": each.text} for each in conversion.remarks
    ]
    return json.dumps({"objects": conversion.objects, "remarks": remarks}, indent=2, ensure_ascii=False)


def summary(conversion: Conversion) -> str:
    """One line."""
    counts = {weight: sum(each.weight is weight for each in conversion.remarks) for weight in Weight}
    kinds: dict[str, int] = {}
    for obj in conversion.objects:
        kinds[obj["kind"]] = kinds.get(obj["kind"], 0) + 1
    made = ", ".join(f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in kinds.items())
    return (
        f"{conversion.rollouts} Rollout{'s' if conversion.rollouts != 1 else ''} converted: {made}. "
        + ", ".join(f"{number} {weight.value}" for weight, number in counts.items())
    )
