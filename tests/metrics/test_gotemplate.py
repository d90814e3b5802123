"""Rendering queries: what Go's text/template gives, and errors that name the place and what exists."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.metrics.gotemplate import Functions, TemplateError, render

VARIABLES = {"dir": "inbound", "a-b": "dash"}
FUNCTIONS: Functions = {"name": "podinfo", "namespace": "test", "target": "web", "interval": "1m", "variables": VARIABLES}

# (template, text), all checked against Go's own text/template by the last test of this file
RENDERED = [
    ("", ""),
    ("sum(rate(x{a=\"b\"}[1m]))", 'sum(rate(x{a="b"}[1m]))'),
    ("{{ namespace }}/{{target}}", "test/web"),
    ("[{{ interval }}]", "[1m]"),
    ("{{ variables.dir }}", "inbound"),
    ('{{ index variables "a-b" }}', "dash"),
    ('{{ index variables "nothing" }}', ""),
    ("{{ variables }}", "map[a-b:dash dir:inbound]"),
    ("a {{- target -}} b", "awebb"),
    ("a \n\t{{- target }} b", "aweb b"),
    ("a {{ target -}} \n b", "a webb"),
    ("a{{/* no */}}b", "ab"),
    ("a {{- /* no */ -}} b", "ab"),
    ("{{ target | printf \"%s-%s\" name }}", "podinfo-web"),
    ("{{ printf \"%q %d %5.2f|%-5s|%05d\" target 3 1.5 \"x\" 42 }}", '"web" 3  1.50|x    |00042'),
    ("{{ printf \"%v %v %v\" 1.0 true 1e6 }}", "1 true 1e+06"),
    ("{{ printf \"%d\" target }}", "%!d(string=web)"),
    ("{{ printf \"%s\" }}", "%!s(MISSING)"),
    ("{{ printf \"x\" 1 }}", "x%!(EXTRA int=1)"),
    ("{{ printf \"%%\" }}", "%"),
    ("{{ print 1 2 \"a\" 3 }}", "1 2a3"),
    ("{{ println target 1 }}", "web 1\n"),
    ("{{ len target }} {{ len variables }}", "3 2"),
    ("{{ slice target 1 }}{{ slice target 0 2 }}", "ebwe"),
    ("{{ if eq target \"web\" }}y{{ else }}n{{ end }}", "y"),
    ("{{ if eq target \"a\" \"web\" }}y{{ else }}n{{ end }}", "y"),
    ("{{ if ne target \"web\" }}y{{ else if lt 1 2 }}e{{ else }}n{{ end }}", "e"),
    ("{{ if and true 0 }}y{{ else }}n{{ end }}", "n"),
    ("{{ or \"\" target }}{{ and 1 2 }}{{ not 0 }}", "web2true"),
    ("{{ gt 2 1 }}{{ ge 1 1 }}{{ le 2 1 }}{{ gt 1.5 1.0 }}", "truetruefalsetrue"),
    ("{{ with variables }}{{ .dir }}{{ end }}", "inbound"),
    ("{{ with \"\" }}y{{ else }}n{{ end }}", "n"),
    ("{{ with \"\" }}y{{ else with target }}{{ . }}{{ end }}", "web"),
    ("{{ range variables }}[{{ . }}]{{ end }}", "[dash][inbound]"),
    ("{{ range $key, $value := variables }}{{ $key }}={{ $value }};{{ end }}", "a-b=dash;dir=inbound;"),
    ("{{ range 3 }}{{ . }}{{ end }}", "012"),
    ("{{ range $i := 4 }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ if eq $i 3 }}{{ break }}{{ end }}{{ $i }}{{ end }}", "02"),
    ("{{ range 0 }}y{{ else }}n{{ end }}", "n"),
    ("{{ $x := target }}{{ if true }}{{ $x = \"other\" }}{{ end }}{{ $x }}", "other"),
    ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"),
    ("{{ $v := variables }}{{ $v.dir }}", "inbound"),
    ("{{ (variables).dir }}{{ (index variables \"dir\") }}", "inboundinbound"),
    ("{{ if $x := target }}{{ $x }}{{ else }}{{ $x }}{{ end }}", "web"),
    ("{{ . }}{{ $ }}", "<no value><no value>"),
    ("{{ \"a\\tb\\u00e9\\x41\" }}{{ `raw\\n` }}{{ 'a' }}", "a\tb\u00e9Araw\\n97"),
    ("{{ -3 }}{{ 0x10 }}{{ 1_000 }}{{ .5 }}{{ 0b11 }}{{ 017 }}", "-31610000.5315"),
    ("{{ 1 }}{{ 1.50 }}{{ 1e3 }}{{ true }}", "11.51000true"),
    ("{{ printf \"%x %X %o %b %c %U\" 255 255 8 5 65 65 }}", "ff FF 10 101 A U+0041"),
    ("{{ printf \"%e %g %t %T\" 1.5 2.5 true target }}", "1.500000e+00 2.5 true string"),
    ("{{ printf \"%+d % d %6.3v|%*d\" 5 5 1.23456 4 7 }}", "+5  5   1.23|   7"),
    ("}} {", "}} {"),
    ("{{\n target\n}}", "web"),
    ("{{ index target 0 }}", "119"),
    ("{{ eq 1 1 }}{{ target | len | eq 3 }}", "truetrue"),
]

BROKEN = [
    ("{{ targte }}", 1, "function targte not defined; there are: and, eq"),
    ("a\nb {{ variables.missing }}", 2, 'map has no entry for key "missing"; there are: a-b, dir'),
    ("{{ variables.a-b }}", 1, '{{ index variables "the-key" }}'),
    ("{{ target", 1, "not closed by }}"),
    ("{{/* target", 1, "not closed by */"),
    ("{{ if true }}x", 1, "has no {{ end }}"),
    ("{{ end }}", 1, "without an if"),
    ("{{ else }}", 1, "without an if"),
    ("{{ if }}x{{ end }}", 1, "missing value for if"),
    ("{{ }}", 1, "missing value for command"),
    ("{{ target 1 }}", 1, "wrong number of args for target: want 0 got 1"),
    ("{{ eq 1 }}", 1, "wrong number of args for eq"),
    ("{{ eq 1 1.0 }}", 1, "incompatible types for comparison"),
    ("{{ lt true false }}", 1, "invalid type for comparison"),
    ("{{ .name }}", 1, 'nil data; no entry for key "name"'),
    ("{{ target.name }}", 1, "can't evaluate field name in type string"),
    ("{{ $x }}", 1, "undefined variable $x"),
    ("{{ $x = 1 }}", 1, "undefined variable $x"),
    ("{{ break }}", 1, "outside of a range"),
    ("{{ define \"x\" }}{{ end }}", 1, "not supported"),
    ("{{ template \"x\" }}", 1, "not supported"),
    ("{{ \"a }}", 1, "not closed"),
    ("{{ 1 | 2 }}", 1, "non executable command in pipeline stage 2"),
    ("{{ 1 2 }}", 1, "can't give argument to non-function"),
    ("{{ (1 }}", 1, "not closed"),
    ("{{ \"a\"\"b\" }}", 1, "in operand"),
    ("{{ nil }}", 1, "nil is not a command"),
    ("{{ range target }}{{ end }}", 1, "range can't iterate over web"),
    ("{{ index target 9 }}", 1, "index out of range"),
    ("{{ len 3 }}", 1, "len of type int"),
    ("{{ slice target 3 1 }}", 1, "invalid slice index"),
    ("{{ printf 1 }}", 1, "expected string"),
    ("{{ ! }}", 1, "unexpected '!'"),
    ("{{ if true }}{{ else }}{{ else }}{{ end }}", 1, "second else"),
    ("{{ range 3 }}{{ else if true }}{{ end }}", 1, "unexpected 'if' after else"),
    ("{{ '' }}", 1, "not closed"),
    ("{{ \"\\z\" }}", 1, "unknown escape"),
    ("{{ 09 }}", 1, "bad number"),
]


@pytest.mark.parametrize(("template", "text"), RENDERED)
def test_templates_render_as_in_go(template: str, text: str) -> None:
    assert render(template, FUNCTIONS) == text


@pytest.mark.parametrize(("template", "line", "reason"), BROKEN)
def test_errors_name_the_place_and_what_exists(template: str, line: int, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(template, FUNCTIONS)
    assert reason in str(caught.value)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}, column {caught.value.column}: ")


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_stays_as_it_is(text: str) -> None:
    assert render(text, FUNCTIONS) == text


@given(st.text())
def test_any_text_either_renders_or_is_refused_as_a_template_error(text: str) -> None:
    with suppress(TemplateError):
        render(f"{{{{ {text} }}}}", FUNCTIONS)


@given(st.text(alphabet=st.sampled_from('{}-| ().$:=,"`ax1/*\n'), max_size=40))
def test_nothing_that_looks_like_a_template_crashes_the_renderer(text: str) -> None:
    with suppress(TemplateError):
        render("{{" + text, FUNCTIONS)


@given(st.text())
def test_a_quoted_text_comes_out_as_it_went_in(text: str) -> None:
    assert render("{{ variables.key }}", {"variables": {"key": text}}) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ range 1000000000 }}{{ end }}",
        "{{ range 10000 }}{{ range 10000 }}x{{ end }}{{ end }}",
        '{{ range 10000 }}{{ printf "%1000s" target }}{{ end }}',
        "{{ if true }}" * 60 + "{{ end }}" * 60,
        "{{ " + "(" * 60 + "1" + ")" * 60 + " }}",
    ],
)
def test_a_template_cannot_take_the_controller_along(template: str) -> None:
    with pytest.raises(TemplateError, match=r"more than|longer than"):
        render(template, FUNCTIONS)


ORACLE = """
package main

import ("encoding/json"; "os"; "strings"; "text/template")

func main() {
	var input struct{ Templates []string; Functions map[string]any }
	json.NewDecoder(os.Stdin).Decode(&input)
	functions := template.FuncMap{}
	for name, value := range input.Functions {
		if entries, ok := value.(map[string]any); ok {
			texts := map[string]string{}
			for key, entry := range entries { texts[key] = entry.(string) }
			functions[name] = func() map[string]string { return texts }
		} else {
			text := value.(string)
			functions[name] = func() string { return text }
		}
	}
	output := []*string{}
	for _, text := range input.Templates {
		var result strings.Builder
		parsed, err := template.New("t").Funcs(functions).Option("missingkey=error").Parse(text)
		if err == nil { err = parsed.Execute(&result, nil) }
		if err != nil { output = append(output, nil); continue }
		rendered := result.String()
		output = append(output, &rendered)
	}
	json.NewEncoder(os.Stdout).Encode(output)
}
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("go"), reason="Go's own text/template is the oracle")
def test_go_itself_agrees(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text(ORACLE)
    (tmp_path / "go.mod").write_text("module oracle\n\ngo 1.24\n")
    templates = [template for template, _ in RENDERED] + [template for template, _, _ in BROKEN]
    asked = json.dumps({"Templates": templates, "Functions": FUNCTIONS})
    done = subprocess.run(["go", "run", "."], cwd=tmp_path, input=asked, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    # `define` is Go, but not of our subset
    wanted = [text for _, text in RENDERED] + ["" if "define" in template else None for template, _, _ in BROKEN]
    assert dict(zip(templates, said, strict=True)) == dict(zip(templates, wanted, strict=True))
