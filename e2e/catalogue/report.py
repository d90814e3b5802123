"""The catalogue as a table and as a page: pure, from findings that are kept as data, so that rows can be played in parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from e2e.catalogue.judging import Finding
from e2e.catalogue.row import Group, Row

HEAD = """# How a release ends whose pods fail

This page is generated: `make catalogue` plays every row on a real kubelet and containerd ({count} rows), judges it, prints the table
and writes this page. Seconds count from the kubelet's first report of the cause to phase Failed; at a deadline, those of being incomplete;
where the fault ended in time, from then to the promotion. What a cause means in general, and what to do, is in
[troubleshooting.md](troubleshooting.md).

| verdict | when a release ends so |
|---|---|
| now | the cause will not heal by itself: 5 s after the first report (`spec.podHealth.certainGrace`) |
| at the third crash | of one container within ten minutes (`spec.podHealth.maxRestarts` + 1) |
| after grace | the cause may heal: 30 s after the first report (`spec.podHealth.doubtfulGrace`) |
| at the deadline | the pods only wait: they are named, and `progressDeadlineSeconds` (here 10 to 100 s) judges them |
| promoted | the fault ended in time, and the release went on by itself |
"""


@dataclass(frozen=True)
class Entry:
    """A row that was played. `problem`: what was not as it must be; "" where all was."""

    group: str
    row: str
    verdict: str
    seconds: float | None
    bound: float
    named: str = ""
    condition: str = ""
    event: str = ""
    alert: str = ""
    describe: str = ""
    note: str = ""
    problem: str = ""

    @property
    def said(self) -> str:
        """What the tables show: the diagnosis, or what is not as it must be."""
        return self.problem.splitlines()[0] if self.problem else self.named or self.condition

    def data(self) -> dict[str, Any]:
        return asdict(self)


def entry_of(group: Group, row: Row, finding: Finding) -> Entry:
    """An entry without what differs from one run to the next."""
    said = (finding.named, finding.condition, finding.event, finding.alert, _told(finding.describe))
    named, condition, event, alert, describe = (_steady(row, text) for text in said)
    verdict, seconds = finding.verdict.value, round(finding.seconds, 1)
    return Entry(group.name, row.id, verdict, seconds, finding.bound, named, condition, event, alert, describe, row.note)


def broken(group: Group, row: Row, problem: str) -> Entry:
    """An entry of a row that did not end as it must."""
    return Entry(group.name, row.id, row.verdict.value, None, row.bound, problem=_steady(row, problem.strip()), note=row.note)


def merged(groups: Sequence[Group], before: Sequence[Mapping[str, Any]], played: Sequence[Entry]) -> list[Entry]:
    """All entries in the order of the rows: those just played, and earlier ones of rows that still are."""
    known = {entry["row"]: Entry(**entry) for entry in before} | {entry.row: entry for entry in played}
    return [known[row.id] for group in groups for row in group.rows if row.id in known]


def table(entries: Sequence[Entry]) -> str:
    """For a terminal: row, verdict, seconds, diagnosis."""
    rows = [("ROW", "VERDICT", "SECONDS", "AT MOST", "DIAGNOSIS")]
    for entry in entries:
        said = f"NOT AS IT MUST: {entry.said}" if entry.problem else entry.said
        rows.append((entry.row, entry.verdict, _number(entry.seconds), _number(entry.bound), said))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows)


def page(entries: Sequence[Entry]) -> str:
    """docs/failures.md."""
    parts = [HEAD.format(count=len(entries))]
    groups = list(dict.fromkeys(entry.group for entry in entries))
    for group in groups:
        mine = [entry for entry in entries if entry.group == group]
        lines = [f"## {group}\n", "| row | verdict | seconds | at most | diagnosis |", "|---|---|---|---|---|"]
        for entry in mine:
            said = f"**not as it must:** {entry.said}" if entry.problem else entry.said
            cells = [entry.row, entry.verdict, _number(entry.seconds), _number(entry.bound), _cell(said)]
            lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(lines) + "\n")
    parts.append("## What a person reads\n")
    parts += [_section(entry) for entry in entries if not entry.problem]
    return "\n".join(parts)


def _section(entry: Entry) -> str:
    lines = [f"### {entry.row}\n"]
    if entry.note:
        lines.append(f"{entry.note}\n")
    lines += ["```", *([f"meanwhile  {entry.named}"] if entry.named else [])]
    lines += [f"condition  {entry.condition}", f"event      {entry.event}", f"alert      {entry.alert}"]
    if entry.describe:
        lines += ["describe", entry.describe]
    return "\n".join([*lines, "```\n"])


def _told(describe: str) -> str:
    """What `describe` says of the end and of the pods."""
    ended = re.search(r"^  ended .*$", describe, re.MULTILINE)
    pods = re.search(r"^Pods that fail\n(?:^.+\n)+", describe, re.MULTILINE)
    found = [part.group(0).rstrip() for part in (ended, pods) if part]
    return "\n".join(line.rstrip() for part in found for line in part.splitlines())


def _steady(row: Row, text: str) -> str:
    text = re.sub(rf"\b{re.escape(row.name)}(-primary)?-[0-9a-f]{{6,10}}-[a-z0-9]{{5}}\b", rf"{row.name}\1-…", text)
    text = re.sub(r"\b(pods|testapi[a-z-]*?)-\d+-\d+\b", r"\1", text)
    text = re.sub(r"/\S*/flaggerpy-volume-\w+", "/DIRECTORY", text)
    text = re.sub(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UID", text)
    return re.sub(r"(?m)^(  ended +\S+) \S+ ago", r"\1 now", text)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
