"""The site of the docs: every page has its place, and links out of the folder do not break it. `make docs` builds it strictly."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


class _Loader(yaml.SafeLoader):
    """YAML with mkdocs' names of Python functions, which are passed over."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda *_: None)


def listed(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    if isinstance(nav, dict):
        return [page for value in nav.values() for page in listed(value)]
    return [page for each in nav for page in listed(each)] if isinstance(nav, list) else []


def test_every_page_has_a_place_in_the_sites_order() -> None:
    site = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=_Loader)
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    found = listed(site["nav"])
    assert sorted(found) == sorted(pages)


def test_no_page_names_a_target_that_the_makefile_has_not() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "mkdocs.yml"]
    named = {(page.name, target) for page in pages for target in re.findall(r"`(?:[A-Z]+=\S+ )?make ([a-z][a-z0-9-]*)", page.read_text())}
    assert {(page, target) for page, target in named if target not in targets} == set()
    assert len(named) > 30


def test_no_link_between_pages_is_dead() -> None:
    dead = []
    for page in [*DOCS.rglob("*.md"), ROOT / "README.md"]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path = target.partition("#")[0]
            if path and "://" not in path and not (page.parent / path).exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert dead == []
