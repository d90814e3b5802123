"""The part of Go's text/template that metric queries use, rendered as Go renders it with `missingkey=error` and nil data.

Actions, pipelines, variables, `if`, `with`, `range` (`break`, `continue`), trim markers, comments and the functions below.
`define`, `template` and `block` are refused by name. Rendering is bounded, since anybody who may create a MetricTemplate writes
them: `MOST_STEPS` evaluations, `LONGEST` characters. Source of the semantics: the documentation of Go's package text/template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from flaggerpy.metrics.goformat import go_text, sprint, sprintf, type_name
from flaggerpy.metrics.gotokens import Action, Source, TemplateError, Text, Token, split

__all__ = ["TemplateError", "render"]

MOST_STEPS = 20_000
LONGEST = 200_000
DEEPEST = 50

Functions = Mapping[str, str | Mapping[str, str]]


def render(template: str, functions: Functions) -> str:
    """The text of a template, in which each name of `functions` is a function without arguments that gives its value.

    Raises TemplateError with the place and, for an unknown name or key, those that exist.
    """
    source = Source(template)
    nodes = _Parser(source, functions).template()
    run = _Run(source, functions)
    run.nodes(nodes, None)
    return "".join(run.output)


@dataclass(frozen=True)
class _Operand:
    """A literal, name, variable or parenthesised pipeline, and the fields read from it."""

    token: Token
    inner: _Pipe | None = None
    fields: tuple[Token, ...] = ()


@dataclass(frozen=True)
class _Pipe:
    """Commands that hand their value on; `names` are the variables that take the last one."""

    at: int
    commands: tuple[tuple[_Operand, ...], ...]
    names: tuple[str, ...] = ()
    declares: bool = True


@dataclass(frozen=True)
class _Print:
    pipe: _Pipe


@dataclass(frozen=True)
class _Branch:
    """`if`, `with` or `range`, with what stands in its body and after its `else`."""

    word: str
    pipe: _Pipe
    body: tuple[_Node, ...]
    otherwise: tuple[_Node, ...]


@dataclass(frozen=True)
class _Leave:
    """`break` or `continue`."""

    word: str


_Node = Text | _Print | _Branch | _Leave


class _Parser:
    """Tokens to nodes. Unknown functions and variables are found here, before anything is evaluated, as Go does."""

    def __init__(self, source: Source, functions: Functions) -> None:
        self._source, self._parts, self._next = source, split(source), 0
        self._functions, self._variables, self._depth, self._loops = functions, ["$"], 0, 0
        self._tokens: tuple[Token, ...] = ()
        self._at, self._start = 0, 0

    def template(self) -> list[_Node]:
        nodes, word = self._nodes()
        if word:
            raise self._source.error(self._start, f"{{{{ {word} }}}} without an if, with or range before it")
        return nodes

    def _nodes(self) -> tuple[list[_Node], str]:
        """Nodes up to the `else` or `end` that closes them, and that word; "" at the end of the template."""
        nodes = list[_Node]()
        while self._next < len(self._parts):
            part = self._parts[self._next]
            self._next += 1
            if isinstance(part, Text):
                nodes.append(part)
                continue
            self._open(part)
            word = self._keyword()
            if word in ("else", "end"):
                return nodes, word
            if word in ("break", "continue"):
                if not self._loops:
                    raise self._source.error(self._start, f"{{{{ {word} }}}} outside of a range")
                self._close(word)
                nodes.append(_Leave(word))
            elif word in ("if", "with", "range"):
                nodes.append(self._branch(word))
            elif word:
                raise self._source.error(self._start, f"{{{{ {word} }}}} is not supported in queries")
            else:
                nodes.append(_Print(self._whole("command")))
        return nodes, ""

    def _open(self, action: Action) -> None:
        self._tokens, self._at, self._start = action.tokens, 0, action.at

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _keyword(self) -> str:
        token = self._peek()
        if token and token.kind == "keyword":
            self._at += 1
            return str(token.value)
        return ""

    def _sign(self, *signs: str) -> str:
        token = self._peek()
        if token and token.kind == "sign" and token.value in signs:
            self._at += 1
            return str(token.value)
        return ""

    def _close(self, context: str) -> None:
        token = self._peek()
        if token:
            raise self._source.error(token.at, f"unexpected {token.value!r} in {context}")

    def _branch(self, word: str) -> _Branch:
        start, known = self._start, len(self._variables)
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._source.error(start, f"more than {DEEPEST} levels of nesting")
        pipe = self._whole(word, in_range=word == "range")
        scoped = len(self._variables)
        self._loops += word == "range"
        body, closed = self._nodes()
        self._loops -= word == "range"
        otherwise = list[_Node]()
        del self._variables[scoped:]
        if closed == "else":
            again = self._keyword()
            if again and again == word and word in ("if", "with"):
                otherwise = [self._branch(word)]
                closed = "end"
            elif again:
                raise self._source.error(self._start, f"unexpected {again!r} after else of {word}")
            else:
                self._close("else")
                otherwise, closed = self._nodes()
                if closed == "else":
                    raise self._source.error(self._start, f"a second else in {word}")
                self._close("end")
        else:
            self._close("end")
        if closed != "end":
            raise self._source.error(start, f"{{{{ {word} }}}} has no {{{{ end }}}}")
        self._depth -= 1
        del self._variables[known:]
        return _Branch(word, pipe, tuple(body), tuple(otherwise))

    def _whole(self, context: str, in_range: bool = False) -> _Pipe:
        """The pipeline that fills the rest of the action."""
        names, declares = self._declaration(in_range)
        pipe = self._pipe(context)
        if names and declares:
            self._variables.extend(names)
        self._close(context)
        return _Pipe(pipe.at, pipe.commands, names, declares)

    def _declaration(self, in_range: bool) -> tuple[tuple[str, ...], bool]:
        start, names = self._at, list[str]()
        while (token := self._peek()) and token.kind == "variable":
            self._at += 1
            names.append(str(token.value))
            sign = self._sign(":=", "=", ",")
            if sign == "," and in_range and len(names) == 1:
                continue
            if sign in (":=", "="):
                unknown = [name for name in names if sign == "=" and name not in self._variables]
                if unknown:
                    raise self._source.error(token.at, f"undefined variable {unknown[0]}")
                return tuple(names), sign == ":="
            break
        self._at = start
        return (), True

    def _pipe(self, context: str) -> _Pipe:
        first = self._peek()
        at = first.at if first else self._start
        commands = [self._command(context)]
        while self._sign("|"):
            commands.append(self._command(context))
        for stage, command in enumerate(commands[1:], 2):
            if command[0].token.kind in ("bool", "dot", "nil", "number", "string") and not command[0].fields:
                raise self._source.error(command[0].token.at, f"non executable command in pipeline stage {stage}")
        return _Pipe(at, tuple(commands))

    def _command(self, context: str) -> tuple[_Operand, ...]:
        operands = list[_Operand]()
        while token := self._peek():
            if token.kind == "sign" and token.value in ("|", ")"):
                break
            if operands and not token.spaced and not (token.kind == "sign" and token.value == "("):
                raise self._source.error(token.at, f"unexpected {token.value!r} in operand")
            operands.append(self._operand())
        if not operands:
            raise self._source.error(self._peek_at(), f"missing value for {context}")
        return tuple(operands)

    def _peek_at(self) -> int:
        token = self._peek()
        return token.at if token else self._start

    def _operand(self) -> _Operand:
        token = self._tokens[self._at]
        self._at += 1
        inner: _Pipe | None = None
        if token.kind == "sign":
            if token.value != "(":
                raise self._source.error(token.at, f"unexpected {token.value!r} in command")
            self._depth += 1
            if self._depth > DEEPEST:
                raise self._source.error(token.at, f"more than {DEEPEST} levels of nesting")
            inner = self._pipe("parenthesized pipeline")
            self._depth -= 1
            if not self._sign(")"):
                raise self._source.error(token.at, "a ( is not closed")
        elif token.kind == "name" and token.value not in self._functions and token.value not in _BUILTINS and token.value not in _LAZY:
            names = ", ".join(sorted({*self._functions, *_BUILTINS, *_LAZY}))
            raise self._source.error(token.at, f"function {token.value} not defined; there are: {names}")
        elif token.kind == "variable" and token.value not in self._variables:
            raise self._source.error(token.at, f"undefined variable {token.value}")
        elif token.kind == "keyword":
            raise self._source.error(token.at, f"unexpected {token.value} in command")
        fields = list[Token]()
        while (following := self._peek()) and following.kind == "field" and not following.spaced:
            if token.kind in ("bool", "string", "number", "nil", "dot"):
                raise self._source.error(following.at, f"unexpected . after term {token.value!r}")
            fields.append(following)
            self._at += 1
        return _Operand(token, inner, tuple(fields))


class _Leaving(Exception):
    """`break` or `continue` on its way to the loop."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class _Misuse(Exception):
    """A function was given what it cannot take; the place is added by who called it."""


@dataclass
class _Run:
    """Carries the nodes out; `output` are the pieces of the result."""

    source: Source
    functions: Functions
    output: list[str] = field(default_factory=list)
    variables: list[tuple[str, Any]] = field(default_factory=lambda: [("$", None)])
    steps: int = 0
    length: int = 0

    def nodes(self, nodes: Sequence[_Node], dot: Any) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self._write(node.value, 0)
            elif isinstance(node, _Leave):
                raise _Leaving(node.word)
            elif isinstance(node, _Print):
                value = self._pipe(node.pipe, dot)
                if not node.pipe.names:
                    self._write("<no value>" if value is None else go_text(value), node.pipe.at)
            else:
                self._branch(node, dot)

    def _write(self, text: str, at: int) -> None:
        self._step(at)
        self.length += len(text)
        if self.length > LONGEST:
            raise self.source.error(at, f"the result is longer than {LONGEST} characters")
        self.output.append(text)

    def _step(self, at: int) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise self.source.error(at, f"more than {MOST_STEPS} steps: a loop runs too long")

    def _branch(self, node: _Branch, dot: Any) -> None:
        known = len(self.variables)
        if node.word == "range":
            self._range(node, dot)
        else:
            value = self._pipe(node.pipe, dot)
            if _truth(value):
                self.nodes(node.body, value if node.word == "with" else dot)
            else:
                self.nodes(node.otherwise, dot)
        del self.variables[known:]

    def _range(self, node: _Branch, dot: Any) -> None:
        names, known = node.pipe.names, len(self.variables)
        value = self._pipe(_Pipe(node.pipe.at, node.pipe.commands), dot)
        items = self._items(value, len(names), node.pipe.at)
        if not items:
            self.nodes(node.otherwise, dot)
        for key, item in items:
            self._step(node.pipe.at)
            given = (item,) if len(names) == 1 else (key, item)
            for name, part in zip(names, given, strict=False):
                self._set(name, part, node.pipe.declares)
            try:
                self.nodes(node.body, item)
            except _Leaving as leaving:
                if leaving.word == "break":
                    break
            finally:
                if node.pipe.declares:
                    del self.variables[known:]

    def _items(self, value: Any, names: int, at: int) -> Sequence[tuple[Any, Any]]:
        if isinstance(value, Mapping):
            return [(key, value[key]) for key in sorted(value)]
        if type(value) is int:
            if names > 1:
                raise self.source.error(at, "can't use a number to iterate over with more than one variable")
            return [(number, number) for number in range(min(value, MOST_STEPS + 1))]
        if value is None:
            return []
        raise self.source.error(at, f"range can't iterate over {go_text(value)}")

    def _set(self, name: str, value: Any, declare: bool) -> None:
        if declare:
            self.variables.append((name, value))
            return
        place = max(index for index, (known, _) in enumerate(self.variables) if known == name)
        self.variables[place] = (name, value)

    def _pipe(self, pipe: _Pipe, dot: Any) -> Any:
        value: Any = None
        for stage, command in enumerate(pipe.commands):
            value = self._command(command, dot, [value] if stage else [])
        for name in pipe.names:
            self._set(name, value, pipe.declares)
        return value

    def _command(self, command: tuple[_Operand, ...], dot: Any, piped: list[Any]) -> Any:
        first, token = command[0], command[0].token
        self._step(token.at)
        if token.kind == "name" and not first.fields:
            return self._call(command, dot, piped)
        if len(command) > 1 or piped:
            what = f".{first.fields[-1].value}" if first.fields else (token.value if first.inner is None else "(...)")
            raise self.source.error(token.at, f"can't give argument to non-function {what}")
        if token.kind == "nil":
            raise self.source.error(token.at, "nil is not a command")
        return self._value(first, dot)

    def _value(self, operand: _Operand, dot: Any) -> Any:
        token = operand.token
        if operand.inner:
            value = self._pipe(operand.inner, dot)
        elif token.kind == "name":
            value = self._call((_Operand(token),), dot, [])
        elif token.kind == "variable":
            value = next(value for name, value in reversed(self.variables) if name == token.value)
        elif token.kind == "dot":
            value = dot
        elif token.kind == "field":
            value = self._field(dot, token)
        else:
            value = token.value
        for part in operand.fields:
            value = self._field(value, part)
        return value

    def _field(self, value: Any, part: Token) -> Any:
        key = str(part.value)
        if value is None:
            raise self.source.error(part.at, f'nil data; no entry for key "{key}"')
        if not isinstance(value, Mapping):
            raise self.source.error(part.at, f"can't evaluate field {key} in type {type_name(value)}")
        if key not in value:
            keys = ", ".join(sorted(value)) or "none"
            raise self.source.error(part.at, f'map has no entry for key "{key}"; there are: {keys}')
        return value[key]

    def _call(self, command: tuple[_Operand, ...], dot: Any, piped: list[Any]) -> Any:
        name, at = str(command[0].token.value), command[0].token.at
        self._step(at)
        if name in self.functions:
            given = len(command) - 1 + len(piped)
            if given:
                raise self.source.error(at, f"wrong number of args for {name}: want 0 got {given}")
            return self.functions[name]
        if name in _LAZY:
            return self._lazy(command, dot, piped)
        arguments = [self._value(operand, dot) for operand in command[1:]] + piped
        function = _BUILTINS[name]
        try:
            signature(function).bind(*arguments)
        except TypeError:
            raise self.source.error(at, f"wrong number of args for {name}: got {len(arguments)}") from None
        try:
            return function(*arguments)
        except _Misuse as misuse:
            raise self.source.error(at, f"error calling {name}: {misuse}") from None

    def _lazy(self, command: tuple[_Operand, ...], dot: Any, piped: list[Any]) -> Any:
        """`and` and `or` evaluate only as far as they must, and give the value that decided."""
        name, at = str(command[0].token.value), command[0].token.at
        if len(command) == 1 and not piped:
            raise self.source.error(at, f"wrong number of args for {name}: want at least 1 got 0")
        value: Any = None
        for operand in command[1:]:
            value = self._value(operand, dot)
            if _truth(value) == (name == "or"):
                return value
        return piped[0] if piped else value


def _truth(value: Any) -> bool:
    return bool(value)


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping):
        return len(value)
    raise _Misuse(f"len of {'nil pointer' if value is None else 'type ' + type_name(value)}")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            if not isinstance(key, str):
                raise _Misuse(f"value has type {type_name(key)}; should be string")
            # Go gives a map's missing key its zero value here, whatever missingkey says
            value = value.get(key, "")
        elif isinstance(value, str):
            if type(key) is not int:
                raise _Misuse(f"cannot index slice/array with type {type_name(key)}")
            if not 0 <= key < len(value.encode()):
                raise _Misuse(f"index out of range: {key}")
            value = value.encode()[key]
        else:
            raise _Misuse("index of untyped nil" if value is None else f"can't index item of type {type_name(value)}")
    return value


def _slice(value: Any, *bounds: Any) -> str:
    if not isinstance(value, str):
        raise _Misuse("slice of untyped nil" if value is None else f"can't slice item of type {type_name(value)}")
    raw = value.encode()
    if len(bounds) > 2:
        raise _Misuse("cannot 3-index slice a string")
    begin = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(raw)
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= len(raw) or not 0 <= end <= len(raw):
        raise _Misuse("index out of range")
    if begin > end:
        raise _Misuse(f"invalid slice index: {begin} > {end}")
    return raw[begin:end].decode(errors="replace")


def _eq(first: Any, second: Any, *others: Any) -> bool:
    for value in (first, second, *others):
        if isinstance(value, Mapping):
            raise _Misuse(f"non-comparable type {go_text(value)}: {type_name(value)}")
    for other in (second, *others):
        if first is not None and other is not None and type(first) is not type(other):
            raise _Misuse("incompatible types for comparison")
        if first == other:
            return True
    return False


def _lt(first: Any, second: Any) -> bool:
    for value in (first, second):
        if type(value) not in (int, float, str):
            raise _Misuse("invalid type for comparison")
    if type(first) is not type(second):
        raise _Misuse("incompatible types for comparison")
    return bool(first < second)


def _print(*values: Any) -> str:
    return sprint(values)


def _println(*values: Any) -> str:
    return " ".join(go_text(value) for value in values) + "\n"


def _printf(layout: Any, *values: Any) -> str:
    if not isinstance(layout, str):
        raise _Misuse(f"wrong type for value; expected string; got {type_name(layout)}")
    return sprintf(layout, values)


_LAZY = frozenset({"and", "or"})
_BUILTINS: dict[str, Callable[..., Any]] = {
    "eq": _eq,
    "ne": lambda first, second: not _eq(first, second),
    "lt": _lt,
    "le": lambda first, second: _lt(first, second) or _eq(first, second),
    "gt": lambda first, second: not (_lt(first, second) or _eq(first, second)),
    "ge": lambda first, second: not _lt(first, second),
    "not": lambda value: not _truth(value),
    "len": _len,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "println": _println,
    "printf": _printf,
}
