"""The command line: python -m e2e.sandbox up|down|status|build|load-image|exec|with."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from e2e.sandbox.build import BuildError, build, missing, part_dir
from e2e.sandbox.cluster import Sandbox, names
from e2e.sandbox.console import say
from e2e.sandbox.images import PushError
from e2e.sandbox.processes import NotReady
from e2e.sandbox.versions import PARTS


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m e2e.sandbox", description="A real Kubernetes in a network namespace, without Docker.")
    verbs = top.add_subparsers(dest="verb", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text)
        added.add_argument("--name", default=os.environ.get("SANDBOX_NAME", "default"), help="which sandbox (default: %(default)s)")
        return added

    def extra(added: argparse.ArgumentParser, text: str) -> None:
        added.add_argument("--with", dest="extra", action="append", default=[], metavar="PART", help=text)

    extra(verb("up", "boot it, building what is missing"), "a program that runs on demand only, such as traefik")
    verb("down", "take it down and leave nothing")
    verb("status", "what is built, what runs")
    builder = verbs.add_parser("build", help="build the parts into the cache")
    extra(builder, "a part that is built on demand only")
    loader = verb("load-image", "push a static program or a docker archive into its registry")
    loader.add_argument("image", help="NAME:TAG")
    loader.add_argument("file", type=Path)
    inside = verb("exec", "run a command inside its network namespace, with KUBECONFIG set")
    inside.add_argument("command", nargs=argparse.REMAINDER)
    around = verbs.add_parser("with", help="boot a sandbox of its own for one command, and always take it down")
    around.add_argument("--logs", type=Path, default=Path("build/sandbox-logs"), help="where its logs go when the command fails")
    extra(around, "a program that runs on demand only, such as traefik")
    around.add_argument("command", nargs=argparse.REMAINDER)
    return top


def words(command: list[str]) -> list[str]:
    found = command[1:] if command[:1] == ["--"] else command
    if not found:
        raise RuntimeError("a command is needed: ... -- COMMAND ARGUMENTS")
    return found


def with_sandbox(command: list[str], logs: Path, extra: list[str]) -> int:
    """Runs `command` in a fresh sandbox and returns its exit code; the sandbox goes whatever happens."""

    def ended(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ended)
    for name in names():  # what a killed run left behind
        owner = name.removeprefix("run-")
        if name != owner and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            Sandbox(name).down()
    sandbox = Sandbox(f"run-{os.getpid()}")
    code = 1
    try:
        sandbox.up(extra)
        code = subprocess.run(sandbox.enter(command), env=sandbox.env()).returncode
    finally:
        if code and sandbox.layout.logs.is_dir():
            shutil.rmtree(logs, ignore_errors=True)
            shutil.copytree(sandbox.layout.logs, logs, symlinks=True, ignore_dangling_symlinks=True)
            say(f"the sandbox's logs are in {logs}")
        sandbox.down()
    return code


def status(sandbox: Sandbox) -> int:
    absent = missing()
    for part in PARTS:
        built = part_dir(part).is_dir()
        say(f"  part     {part.name:<26}{'built' if built else 'on demand' if part.on_demand else 'not built'}")
    pids = sandbox.status()
    for name, pid in pids.items():
        say(f"  program  {name:<26}{f'pid {pid}' if pid else 'not running'}")
    others = [name for name in names() if name != sandbox.name]
    if others:
        say(f"  other sandboxes: {', '.join(others)}")
    return 0 if not absent and all(pids.values()) else 1


def main() -> int:
    args = parser().parse_args()
    if args.verb == "build":
        build(tuple(args.extra))
        return 0
    if args.verb == "with":
        return with_sandbox(words(args.command), args.logs, args.extra)
    sandbox = Sandbox(args.name)
    if args.verb == "up":
        sandbox.up(args.extra)
    elif args.verb == "down":
        sandbox.down()
    elif args.verb == "status":
        return status(sandbox)
    elif args.verb == "load-image":
        say(sandbox.load_image(args.image, args.file))
    else:
        command = words(args.command)
        if not sandbox.is_up():
            raise RuntimeError(f"sandbox {sandbox.name} is not up; `python -m e2e.sandbox up --name {sandbox.name}` boots it")
        argv = sandbox.enter(command)
        os.execvpe(argv[0], argv, sandbox.env())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BuildError, NotReady, PushError, RuntimeError, ValueError, OSError) as trouble:
        sys.exit(f"sandbox: {trouble}")
