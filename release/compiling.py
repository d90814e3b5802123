"""Bytecode for the image, made by the image's own Python: the same sources give the same bytes, whatever Python runs the builder.

The files are hash-based and unchecked (PEP 552): Python reads them without looking at the source, and no time is in them. One process, a
fixed order and a fixed hash seed, as marshal's output depends on what a process has done before.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
from pathlib import Path

from release.tree import Tree, file, write

LOADERS = ("usr/lib64/ld-linux-x86-64.so.2", "usr/lib/ld-linux-aarch64.so.1")
PYTHON = "usr/bin/python3.11"
TAG = "cpython-311"

_COMPILER = """
import py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for line in sys.stdin:
    source, target, shown = line.rstrip("\\n").split("\\t")
    try:
        py_compile.compile(source, target, shown, doraise=True, optimize=0, invalidation_mode=mode, quiet=2)
    except py_compile.PyCompileError:
        print(shown)
"""
_PACKER = "import gzip, sys; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read(), 9, mtime=0))"


class NotCompiled(RuntimeError):
    """The image's Python does not run here; the text is what it said."""


def loader_of(root: Path) -> Path:
    for name in LOADERS:
        if (root / name).exists():
            return root / name
    raise NotCompiled(f"no dynamic loader is in {root}")


def run_python(root: Path, script: str, stdin: bytes) -> bytes:
    """Output of a script under the Python that lies in `root`, with its own C library and nothing of this machine's. Raises NotCompiled."""
    (libraries,) = {path.parent for path in (root / "usr/lib").glob("*-linux-gnu/libc.so.6")}
    command = [str(loader_of(root)), "--library-path", str(libraries), str(root / PYTHON), "-S", "-s", "-P", "-c", script]
    env = {"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "PATH": "/nowhere"}
    done = subprocess.run(command, input=stdin, env=env, capture_output=True, cwd="/")
    if done.returncode:
        raise NotCompiled(f"the image's Python failed here: {done.stderr.decode(errors='replace').strip()[-1500:]}")
    return done.stdout


def compiled(tree: Tree, root: Path) -> Tree:
    """The bytecode of every Python source in the tree, beside it; `root` holds the image's base. What does not compile is passed over."""
    sources = sorted(path for path in tree if path.endswith(".py"))
    room = Path(tempfile.mkdtemp(prefix="flaggerpy-bytecode-"))
    try:
        write({path: tree[path] for path in sources}, room)
        targets = {path: str(Path(path).parent / "__pycache__" / f"{Path(path).stem}.{TAG}.pyc") for path in sources}
        asked = "".join(f"{room / path}\t{room / targets[path]}\t/{path}\n" for path in sources)
        run_python(root, _COMPILER, asked.encode())
        return {target: file((room / target).read_bytes()) for target in targets.values() if (room / target).exists()}
    finally:
        shutil.rmtree(room, ignore_errors=True)


def packed(content: bytes, root: Path) -> bytes:
    """gzip by the image's own zlib: another one packs the same content into other bytes."""
    done = run_python(root, _PACKER, content)
    assert gzip.decompress(done) == content
    return done


def unresolved(root: Path, base: Path) -> dict[str, str]:
    """Programs and libraries in `root` of which the loader of `base` finds a library missing: path to what it says."""
    loader = loader_of(base)
    (libraries,) = {path.parent for path in (base / "usr/lib").glob("*-linux-gnu/libc.so.6")}
    found = {}
    for path in [*root.glob(PYTHON), *sorted(root.rglob("*.so")), *sorted(root.rglob("*.so.*"))]:
        if path.is_symlink() or path == loader or path.read_bytes()[:4] != b"\x7fELF":
            continue
        done = subprocess.run([str(loader), "--library-path", str(libraries), "--list", str(path)], capture_output=True, text=True)
        missing = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "not found" in line or "cannot open" in line]
        # bundled libraries of wheels are found beside them, by RUNPATH, and listed as such
        ours = tuple(f"=> {place}/" for place in (root, base))
        outside = [line.strip() for line in done.stdout.splitlines() if "=> /" in line and not any(word in line for word in ours)]
        if missing or outside:
            found[str(path.relative_to(root))] = "; ".join([*missing, *outside])
    return found
