"""An object that is read field by field and remembers which of its fields were read, so that nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Obj = dict[str, Any]


class Weight(Enum):
    """How much a remark matters, the most important first."""

    LOST = "not carried over"
    CHANGED = "works differently"
    TODO = "to do"


@dataclass(frozen=True)
class Remark:
    """One thing to know about a conversion: of which object, which field, and what."""

    about: str
    path: str
    weight: Weight
    text: str


@dataclass
class Report:
    """What the conversion of one object has to tell, in the order in which it was found."""

    remarks: list[Remark] = field(default_factory=list)

    def lost(self, source: Source, key: str, text: str) -> None:
        self._add(Weight.LOST, source, key, text)

    def changed(self, source: Source, key: str, text: str) -> None:
        self._add(Weight.CHANGED, source, key, text)

    def todo(self, source: Source, key: str, text: str) -> None:
        self._add(Weight.TODO, source, key, text)

    def _add(self, weight: Weight, source: Source, key: str, text: str) -> None:
        path = f"{source.path}.{key}".strip(".") if key else source.path
        self._keep(Remark(source.about, path, weight, text))

    def _keep(self, remark: Remark) -> None:
        """Once: an analysis that several steps name is read several times."""
        if remark not in self.remarks:
            self.remarks.append(remark)

    def unread(self, source: Source) -> None:
        """Every field that nobody took is lost, and said so."""
        for path in source.unread():
            self._keep(Remark(source.about, path, Weight.LOST, "has no counterpart in a Canary"))


class Source:
    """A map of a manifest. `take` marks a field as dealt with; `inner` and `each` give its maps as sources of their own."""

    def __init__(self, obj: Mapping[str, Any] | None, about: str, path: str = "") -> None:
        self._obj = obj if isinstance(obj, Mapping) else {}
        self.about = about
        self.path = path
        self._taken: set[str] = set()
        self._inner: list[Source] = []

    def __contains__(self, key: str) -> bool:
        return self._obj.get(key) is not None

    def __bool__(self) -> bool:
        return bool(self._obj)

    def take(self, key: str, default: Any = None) -> Any:
        """The field, whole; `default` where it is absent or null."""
        self._taken.add(key)
        found = self._obj.get(key)
        return default if found is None else found

    def number(self, key: str, default: float, report: Report) -> float:
        """The field as a number, also where it is quoted; `default` where it is absent or, which is told, no number."""
        found = self.take(key)
        try:
            return default if found is None else float(found)
        except (TypeError, ValueError):
            report.lost(self, key, f"{found!r} is no number")
            return default

    def look(self, key: str, default: Any = None) -> Any:
        """The field, without having dealt with it."""
        found = self._obj.get(key)
        return default if found is None else found

    def inner(self, key: str) -> Source:
        """The map below `key`, empty where there is none; its own fields are to be taken one by one."""
        self._taken.add(key)
        found = Source(self._obj.get(key), self.about, f"{self.path}.{key}".strip("."))
        self._inner.append(found)
        return found

    def each(self, key: str) -> list[Source]:
        """The maps of the list below `key`."""
        self._taken.add(key)
        listed = self._obj.get(key)
        place = f"{self.path}.{key}".strip(".")
        found = [Source(each, self.about, f"{place}[{index}]") for index, each in enumerate(listed if isinstance(listed, list) else ())]
        self._inner += found
        return found

    def read(self, key: str) -> bool:
        """Whether the field was dealt with."""
        return key in self._taken

    def names(self) -> list[str]:
        return list(self._obj)

    def unread(self) -> Iterator[str]:
        """The paths of the fields that were not taken, outermost first."""
        for key in self._obj:
            if key not in self._taken and self._obj[key] is not None:
                yield f"{self.path}.{key}".strip(".")
        for each in self._inner:
            yield from each.unread()
