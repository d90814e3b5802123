"""Objects are read as kubectl reads them, and every field knows its line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from flaggerpy.cli.manifests import Unreadable, parse, read

TEXT = """\
# a comment
apiVersion: flagger.app/v1beta1
kind: Canary
metadata:
  name: a
spec:
  analysis:
    match:
      - headers:
          x-user.kind:
            exact: "yes"
    metrics:
      - name: one
      - name: two
        templateRef: {name: t}
---
---
kind: Service
metadata: {name: b, namespace: other}
"""


def test_every_field_has_its_line() -> None:
    first, second = parse(TEXT, "x.yaml")
    assert (first.kind, first.group, first.name, first.namespace) == ("Canary", "flagger.app", "a", "")
    assert (second.kind, second.group, second.name, second.namespace) == ("Service", "", "b", "other")
    place = first.place("spec.analysis.metrics[1].templateRef.name")
    assert (place.file, place.line, place.column) == ("x.yaml", 15, 23)
    assert first.place("spec.analysis.match[0].headers[x-user.kind].exact").line == 11
    assert second.place("metadata.name").line == 19


def test_a_missing_field_stands_where_the_one_around_it_does() -> None:
    first, _ = parse(TEXT, "x.yaml")
    assert first.place("spec.analysis.metrics[0].thresholdRange.min").line == 13
    assert first.place("spec.service.port").line == 6
    assert first.place("nowhere").line == 2


def test_numbers_and_words_are_read_as_kubectl_reads_them() -> None:
    (only,) = parse("{a: 10:30, b: 2020-01-01, c: 10, d: 2.5, e: 1e3, f: true, g: '7', h: ~, i: -3, j: 0x1f}", "x")
    assert only.obj == {
        "a": "10:30", "b": "2020-01-01", "c": 10, "d": 2.5, "e": 1000.0, "f": True, "g": "7", "i": -3, "j": 31,
    }  # fmt: skip


def test_lists_are_taken_apart() -> None:
    text = "kind: List\nitems:\n  - kind: Canary\n    metadata:\n      name: a\n  - kind: Service\n"
    first, second = parse(text, "x")
    assert (first.kind, first.place("metadata.name").line, second.kind, second.place("kind").line) == ("Canary", 5, "Service", 6)


def test_a_key_that_stands_twice_is_told() -> None:
    (only,) = parse("kind: A\nspec:\n  x: 1\n  x: 2\n", "x")
    assert [(path, place.line) for path, place in only.twice] == [("spec.x", 4)]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: [1\nb: 2\n", 2, "no YAML"),
        ("kind: {{ .Values.kind }}\n", 1, "render it first"),
        ("- a\n- b\n", 1, "here is a list where a Kubernetes object should be"),
        ("a: 1\n\tb: 2\n", 2, "no YAML"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(Unreadable, match=words) as raised:
        parse(text, "x.yaml")
    assert raised.value.place.line == line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: A\nspec: &a\n  x: *a\n", "within its own anchor"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in pairwise("abcdef")),
            "fields",
        ),
    ],
)
def test_aliases_without_end_are_refused(text: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        parse(text, "x.yaml")


def test_files_directories_and_stdin(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.yaml").write_text("kind: B\n")
    (tmp_path / "deep" / "a.json").write_text('{"kind": "A"}')
    (tmp_path / "notes.txt").write_text("kind: C\n")
    assert [each.kind for each in read([str(tmp_path), "-"], stdin="kind: D\n")] == ["B", "A", "D"]
    with pytest.raises(Unreadable, match="No such file"):
        read([str(tmp_path / "none.yaml")])
