"""Kubernetes objects from YAML and JSON files, each field with the line where it stands. Files, directories and stdin (`-`).

YAML is read as kubectl reads it: no timestamps, no base-60 numbers, nulls dropped, and a key that stands twice is told. Templates of Helm
cannot be read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Obj = dict[str, Any]

SUFFIXES = (".yaml", ".yml", ".json")
_LAST = re.compile(r"(\.[^.\[\]]+|\[[^\]]*\])$")
MOST_FIELDS = 200_000
"""Fields of a document at most: aliases within aliases make millions of a few lines."""
_STDIN = "-"


@dataclass(frozen=True)
class Place:
    """Where something stands; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1


class Unreadable(Exception):
    """A file that cannot be read, or that is no YAML."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{place.file}:{place.line}: {message}")
        self.place = place
        self.message = message


@dataclass(frozen=True)
class Document:
    """One object of a file. `lines`: line and column of every field by its path, such as `spec.analysis.metrics[0].name`."""

    obj: Obj
    file: str
    lines: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    twice: tuple[tuple[str, Place], ...] = ()
    """Keys that stand twice in one map: path and place of the second."""

    @property
    def kind(self) -> str:
        return str(self.obj.get("kind") or "")

    @property
    def group(self) -> str:
        group, slash, _ = str(self.obj.get("apiVersion") or "").partition("/")
        return group if slash else ""

    @property
    def name(self) -> str:
        return str(_metadata(self.obj).get("name") or "")

    @property
    def namespace(self) -> str:
        """The namespace that is written; "" where none is."""
        return str(_metadata(self.obj).get("namespace") or "")

    def place(self, path: str) -> Place:
        """Where a field stands; for one that is missing, where the nearest field around it does."""
        while path and path not in self.lines:
            shorter = _LAST.sub("", path)
            path = "" if shorter == path else shorter
        line, column = self.lines.get(path, (1, 1))
        return Place(self.file, line, column)


def read(paths: Sequence[str], stdin: str | None = None) -> list[Document]:
    """All objects of these files and directories, in order; kinds ending with List are taken apart. Raises Unreadable.

    `stdin` is what "-" reads; None: the process' own.
    """
    documents: list[Document] = []
    for path in paths:
        if path == _STDIN:
            documents += parse(sys.stdin.read() if stdin is None else stdin, "stdin")
            continue
        for file in _files(path):
            try:
                text = file.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                raise Unreadable(Place(str(file)), reason) from None
            documents += parse(text, str(file))
    return documents


def misshapen(workload: Obj) -> str:
    """The field of a Deployment (or its like) that has not the shape which all that is read of it needs; "" when it has."""
    spec = workload.get("spec")
    if not isinstance(spec, dict):
        return "spec"
    selector, template = spec.get("selector", {}), spec.get("template")
    if not isinstance(selector, dict) or not isinstance(selector.get("matchLabels", {}), dict):
        return "spec.selector"
    if not isinstance(template, dict):
        return "spec.template"
    pod = template.get("spec")
    if not isinstance(pod, dict):
        return "spec.template.spec"
    for name in ("containers", "initContainers"):
        group = pod.get(name, [])
        if not isinstance(group, list) or (name == "containers" and not group):
            return f"spec.template.spec.{name}"
        for index, container in enumerate(group):
            if not isinstance(container, dict) or not isinstance(container.get("ports", []), list):
                return f"spec.template.spec.{name}[{index}]"
    return ""


def parse(text: str, file: str) -> list[Document]:
    """All objects of a text. Raises Unreadable."""
    loader = _Loader(text)
    found: list[Document] = []
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # `check_node` said so
            lines: dict[str, tuple[int, int]] = {}
            twice: list[tuple[str, Place]] = []
            _walk(node, "", lines, twice, file)
            obj = loader.construct_document(node)
            if obj is not None:
                found += _objects(obj, file, lines, tuple(twice))
    except yaml.YAMLError as error:
        raise Unreadable(*_why(error, text, file)) from None
    finally:
        loader.dispose()
    return found


class _Loader(yaml.SafeLoader):
    """YAML as kubectl has it."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"),
    list("-+0123456789."),
)


def _files(path: str) -> Iterator[Path]:
    here = Path(path)
    if not here.is_dir():
        yield here
        return
    yield from sorted(file for file in here.rglob("*") if file.suffix in SUFFIXES and file.is_file())


def _walk(
    node: yaml.Node, path: str, lines: dict[str, tuple[int, int]], twice: list[tuple[str, Place]], file: str, inside: tuple[int, ...] = ()
) -> None:  # fmt: skip
    """Note the lines of all fields. Raises Unreadable for an alias within its own anchor, which has no end."""
    if id(node) in inside:
        raise Unreadable(Place(file, node.start_mark.line + 1, node.start_mark.column + 1), "an alias stands within its own anchor")
    if len(lines) > MOST_FIELDS:
        raise Unreadable(Place(file), f"more than {MOST_FIELDS} fields in one document")
    inside = (*inside, id(node))
    lines.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, f"{path}[{index}]", lines, twice, file, inside)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            at = f"{path}.{name}".lstrip(".")
            mark = (key.start_mark.line + 1, key.start_mark.column + 1)
            if name in seen:
                twice.append((at, Place(file, *mark)))
            seen.add(name)
            # the values of a map of names, such as headers, are told as headers[name]
            for form in (at, f"{path}[{name}]"):
                lines[form] = mark
            _walk(value, at, lines, twice, file, inside)
            if isinstance(value, (yaml.MappingNode, yaml.SequenceNode)) and path.endswith(("headers", "withoutHeaders", "queryParams")):
                _walk(value, f"{path}[{name}]", lines, [], file, inside)


def _objects(obj: object, file: str, lines: dict[str, tuple[int, int]], twice: tuple[tuple[str, Place], ...]) -> list[Document]:
    if not isinstance(obj, dict):
        line, column = lines.get("", (1, 1))
        raise Unreadable(Place(file, line, column), f"here is a {type(obj).__name__} where a Kubernetes object should be")
    items = obj.get("items")
    if not (str(obj.get("kind") or "").endswith("List") and isinstance(items, list)):
        return [Document(_without_nulls(obj), file, lines, twice)]
    found = []
    for index, item in enumerate(items):
        head = f"items[{index}]"
        inner = [path for path in lines if path == head or path.startswith((f"{head}.", f"{head}["))]
        own = {path.removeprefix(head).lstrip("."): lines[path] for path in inner}
        if isinstance(item, dict):
            found.append(Document(_without_nulls(item), file, own))
    if found and twice:
        found[0] = Document(found[0].obj, file, found[0].lines, twice)
    return found


def _without_nulls(value: Any) -> Any:
    """A field that is null counts as not given: the API server drops it."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _why(error: yaml.YAMLError, text: str, file: str) -> tuple[Place, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
    words = getattr(error, "problem", None) or str(error)
    if "{{" in text:
        words += "; this is a template: render it first (helm template, kustomize build) and lint what comes out"
    return place, f"no YAML: {words}"


def _metadata(obj: Obj) -> Mapping[str, Any]:
    metadata = obj.get("metadata")
    return metadata if isinstance(metadata, dict) else {}
