"""The chart and the plain manifests of a release, as files: both name the image by digest, and are read again before anybody gets them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from release.tree import Tree, file, read, read_tar, tarred, with_parents

CHART = "charts/flaggerpy"
INSTALL = "deploy/install.yaml"
BASE = "deploy/kustomize/base"
_IMAGE = re.compile(r"^( +(?:- )?image: )(['\"]?)([\w.:/-]+/flaggerpy)(?::[\w.+-]+|@sha256:[0-9a-f]{64})\2$", re.MULTILINE)


class NotPackaged(RuntimeError):
    """A file does not name the image as it should; the text says which."""


def chart(root: Path, repository: str, digest: str) -> Tree:
    """The chart's files with the image in them: repository in Chart.yaml, digest in values.yaml, as its README says."""
    tree = {path: entry for path, entry in read(root / CHART, "flaggerpy").items() if not path.endswith(".helmignore")}
    about, values = text_of(tree, "flaggerpy/Chart.yaml"), text_of(tree, "flaggerpy/values.yaml")
    about = _once(r"^  flagger\.app/image: .*$", f"  flagger.app/image: {repository}", about, "Chart.yaml")
    values = _once(r'^  digest: ""$', f'  digest: "{digest}"', values, "values.yaml")
    return {**tree, "flaggerpy/Chart.yaml": file(about), "flaggerpy/values.yaml": file(values)}


def text_of(tree: Tree, path: str) -> str:
    return tree[path].content.decode()


def _once(pattern: str, text: str, whole: str, name: str) -> str:
    changed, count = re.subn(pattern, text.replace("\\", r"\\"), whole, flags=re.MULTILINE)
    if count != 1:
        raise NotPackaged(f"{name}: {pattern} is there {count} times, not once")
    return changed


def packed(tree: Tree, epoch: int) -> bytes:
    """A chart's archive: what `helm package` makes, but the same each time."""
    return gzip.compress(tarred(with_parents(tree), epoch), 9, mtime=0)


def described(archive: bytes) -> dict[str, Any]:
    """The Chart.yaml in a packaged chart."""
    return dict(yaml.safe_load(text_of(read_tar(gzip.decompress(archive)), "flaggerpy/Chart.yaml")))


def by_digest(manifests: str, repository: str, digest: str, name: str) -> str:
    """Manifests whose Deployment has the image by digest. Raises NotPackaged where no image of ours is named."""
    changed, count = _IMAGE.subn(lambda match: f"{match[1]}{match[2]}{repository}@{digest}{match[2]}", manifests)
    if not count:
        raise NotPackaged(f"{name} names no image of flaggerpy")
    return changed


def manifests(root: Path, repository: str, digest: str) -> Tree:
    """install.yaml and the kustomize base."""
    tree = {"install.yaml": file((root / INSTALL).read_bytes()), **read(root / BASE, "kustomize")}
    told = {path: entry for path, entry in tree.items() if _IMAGE.search(entry.content.decode())}
    if not told.keys() >= {"install.yaml"} or len(told) < 2:
        raise NotPackaged(f"of install.yaml and the kustomize base only {', '.join(told) or 'none'} names the image")
    return {path: file(by_digest(text_of(tree, path), repository, digest, path)) if path in told else tree[path] for path in tree}


def references(texts: Iterable[str]) -> set[str]:
    """Every image of flaggerpy that manifests name."""
    found = set()
    for text in texts:
        found |= set(re.findall(r"image: ['\"]?([\w.:/-]+/flaggerpy(?:[:@][\w.:+-]+)?)['\"]?", text))
    return found


def default_image(archive: bytes) -> str:
    """What a packaged chart installs where no value says otherwise."""
    tree = read_tar(gzip.decompress(archive))
    values = yaml.safe_load(text_of(tree, "flaggerpy/values.yaml"))
    repository = values["image"]["repository"] or described(archive)["annotations"]["flagger.app/image"]
    return f"{repository}@{values['image']['digest']}" if values["image"]["digest"] else f"{repository}:{values['image']['tag']}"
