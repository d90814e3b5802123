"""All rules over all files, in the order of the files."""

from __future__ import annotations

from collections.abc import Sequence

from flaggerpy.cli.linting import flagger, single, together
from flaggerpy.cli.linting.findings import Finding
from flaggerpy.cli.manifests import Document


def lint(documents: Sequence[Document], *, provider: str = "", namespace: str = "", for_flagger: bool = False) -> list[Finding]:
    """The findings about these objects. `provider` is the controller's -mesh-provider, `namespace` that of objects that name none."""
    findings = [finding for document in documents for finding in single.lint(document, provider)]
    findings += together.lint(together.Files(documents, namespace), provider)
    if for_flagger:
        findings += [finding for document in documents for finding in flagger.lint(document)]
    order = {file: number for number, file in enumerate(dict.fromkeys(document.file for document in documents))}
    return sorted(dict.fromkeys(findings), key=lambda f: (order.get(f.place.file, 0), f.place.line, f.place.column, -f.severity))
