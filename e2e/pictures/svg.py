"""A terminal's screen as an SVG: text stays text, and nothing is fetched from anywhere."""

from __future__ import annotations

import io
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.terminal_theme import TerminalTheme

THEME = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [(72, 79, 88), (255, 123, 114), (86, 211, 100), (227, 179, 65), (121, 192, 255), (210, 168, 255), (86, 212, 221), (201, 209, 217)],
    [(110, 118, 129), (255, 161, 152), (126, 231, 135), (242, 204, 96), (165, 214, 255), (226, 197, 255), (179, 240, 255), (255, 255, 255)],
)
# rich's own form without its web fonts and with a plain frame
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: {char_height}px;
 line-height: {line_height}px; font-variant-east-asian: full-width; white-space: pre; }}
.{unique_id}-title {{ font: 600 15px system-ui, "DejaVu Sans", sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def write(ansi: str, path: Path, title: str, width: int) -> None:
    """Write the picture of a screen (escape sequences, as tmux gives them) to a file."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False)
    # one decoder for all: tmux does not say again at a line's begin what the line before ended in
    for text in AnsiDecoder().decode(ansi.rstrip("\n")):
        text.rstrip()
        console.print(text, no_wrap=True, overflow="crop")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = console.export_svg(title=title, theme=THEME, code_format=FORMAT, unique_id=path.stem)
    path.write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n")
