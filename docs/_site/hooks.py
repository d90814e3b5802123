"""What mkdocs needs to make a site of docs/: links that leave the folder, and the one script that it serves itself.

A page also stands on a code host, where `../tests/x.py` and `../README.md` lead somewhere. On the site such a link leads to the repository
when `FLAGGERPY_REPOSITORY` names its address, and is plain text otherwise.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))
from mermaid import PLACE as MERMAID  # noqa: E402

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Serves mermaid from the site itself: no reader is sent to another host for a diagram."""
    if MERMAID.exists():
        files.append(File.generated(config, "_assets/mermaid.min.js", content=MERMAID.read_bytes()))
    else:
        config.extra_javascript = [each for each in config.extra_javascript if "mermaid" not in str(each)]
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links out of docs/ lead to the repository, or are plain text."""
    here = Path(page.file.src_uri).parent

    def turned(match: re.Match[str]) -> str:
        text, target = match[1], match[2]
        if "://" in target or target.startswith(("#", "mailto:")):
            return match[0]
        path, _, anchor = target.partition("#")
        place = Path(os.path.normpath(Path("docs") / here / path))
        if place.parts[:1] == ("docs",) and (ROOT / place).suffix == ".md":
            return match[0]
        repository = os.environ.get("FLAGGERPY_REPOSITORY", "").rstrip("/")
        return f"[{text}]({repository}/{place}{'#' + anchor if anchor else ''})" if repository else text

    return _LINK.sub(turned, markdown)
