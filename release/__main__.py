"""python -m release: a release of flaggerpy (docs/releasing.md).

    python -m release prepare 1.2.3                      writes the version and closes the changelog's section, for you to commit
    python -m release publish --to REGISTRY/PATH         carries it out; the chart comes last, of an image that was pulled back and started
    python -m release dry-run 1.2.3 --to 127.0.0.1:5000/flaggerpy      both, on a copy of the tree and a registry of your own
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from flaggerpy import __version__
from release import image, oci, starting, version
from release.publishing import Plan, Refused, Start, publish, start_here
from release.registry import is_loopback, split

ROOT = Path(__file__).parents[1]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m release", description="A release of flaggerpy (docs/releasing.md).")
    words = top.add_subparsers(dest="word", required=True)
    prepare = words.add_parser("prepare", help="write the version and close the changelog's section")
    prepare.add_argument("version")
    publishing = words.add_parser("publish", help="build, push, pull back, start, then package")
    dry = words.add_parser("dry-run", help="prepare and publish a copy of the tree on a registry of your own")
    dry.add_argument("version")
    for word in (publishing, dry):
        word.add_argument("--to", required=True, metavar="REGISTRY/PATH", help="repository of the image; the chart goes beside it")
        word.add_argument("--out", type=Path, metavar="DIR", help="folder for the files of the release (default: build/release/VERSION)")
        word.add_argument("--context", metavar="NAME", help="start the image as a pod there, too ('' is the kubeconfig's current context)")
        word.add_argument("--namespace", default="default", help="namespace for that pod (default: %(default)s)")
    return top


def starter(context: str | None, namespace: str) -> Start:
    """How the image is started: here, and where a context is given also as a pod of that cluster."""

    def both(reference: str, found: oci.Image, wanted: str) -> None:
        if context is None or os.geteuid() == 0:
            start_here(reference, found, wanted)
        if context is not None:
            starting.in_cluster(reference, wanted, context, namespace)

    return both


def chart_repository(repository: str) -> str:
    """Where the chart of an image goes: `REGISTRY/charts/flaggerpy`, under the same owner where there is one."""
    host, path = split(repository)
    *owner, name = path.split("/")
    return "/".join([host, *owner, "charts", name])


def prepare(root: Path, wanted: str) -> None:
    """Writes the version into the tree. Raises ValueError."""
    for name, text in version.prepared(version.texts(root), wanted, datetime.now(UTC).strftime("%Y-%m-%d")).items():
        (root / name).write_text(text)


def need_clean(root: Path) -> None:
    done = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True)
    if done.returncode or done.stdout.strip():
        raise Refused("the tree has changes that are not committed: a release is one commit")


def copied(root: Path, room: Path) -> Path:
    """The files that git knows, as they stand in the tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (room / name).parent.mkdir(parents=True, exist_ok=True)
            (room / name).write_bytes((root / name).read_bytes())
    return room


def dry_run(options: argparse.Namespace) -> Path:
    if not is_loopback(split(options.to)[0]):
        raise Refused(f"{split(options.to)[0]} is not on this machine: a dry run pushes into a registry of its own only")
    found = image.source(ROOT)
    os.environ["SOURCE_DATE_EPOCH"] = str(found.epoch)
    os.environ["RELEASE_REVISION"] = found.revision
    with tempfile.TemporaryDirectory(prefix="flaggerpy-release-") as folder:
        root = copied(ROOT, Path(folder))
        prepare(root, options.version)
        out = options.out or ROOT / "build" / "release" / options.version
        plan = Plan(root, options.version, options.to, chart_repository(options.to), out.absolute(), pinned=False)
        return publish(plan, starter(options.context, options.namespace), _say)


def _say(sentence: str) -> None:
    print(f"  ✓ {sentence}", flush=True)


def main() -> int:
    options = parser().parse_args()
    try:
        if options.word == "prepare":
            prepare(ROOT, options.version)
            print(f"The tree is {options.version} now. Read the changelog once more, commit, and run python -m release publish.")
            return 0
        if options.word == "dry-run":
            out = dry_run(options)
        else:
            need_clean(ROOT)
            out = options.out or ROOT / "build" / "release" / __version__
            plan = Plan(ROOT, __version__, options.to, chart_repository(options.to), out.absolute())
            out = publish(plan, starter(options.context, options.namespace), _say)
    except (Refused, ValueError) as trouble:
        print(f"release: stopped. {trouble}", file=sys.stderr)
        return 1
    print(f"The release is in {out}.")
    if options.word == "publish":
        print(f"Left to do: git tag v{__version__} && git push --tags; twine upload {out}/python/*")
    return 0


if __name__ == "__main__":
    sys.exit(main())
