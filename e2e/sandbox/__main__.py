"""The command line: python -m e2e.sandbox up|down|status|build|load-image|exec."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

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

    verb("up", "boot it, building what is missing")
    verb("down", "take it down and leave nothing")
    verb("status", "what is built, what runs")
    builder = verbs.add_parser("build", help="build the parts into the cache")
    builder.add_argument("--with", dest="extra", action="append", default=[], metavar="PART", help="a part that is built on demand only")
    loader = verb("load-image", "push a static program or a docker archive into its registry")
    loader.add_argument("image", help="NAME:TAG")
    loader.add_argument("file", type=Path)
    inside = verb("exec", "run a command inside its network namespace, with KUBECONFIG set")
    inside.add_argument("command", nargs=argparse.REMAINDER)
    return top


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
    sandbox = Sandbox(args.name)
    if args.verb == "up":
        sandbox.up()
    elif args.verb == "down":
        sandbox.down()
    elif args.verb == "status":
        return status(sandbox)
    elif args.verb == "load-image":
        say(sandbox.load_image(args.image, args.file))
    else:
        command = args.command[1:] if args.command[:1] == ["--"] else args.command
        if not command:
            raise RuntimeError("exec needs a command: exec --name NAME -- COMMAND ...")
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
