"""What `flaggerpy get`, `describe` and `history` print."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from flaggerpy.cli import screens
from flaggerpy.cli.access import Access, Obj
from flaggerpy.cli.printing import Screen, dump
from flaggerpy.cli.problems import Exit
from flaggerpy.cli.selecting import chosen, namespace_of, one, selected
from flaggerpy.cli.views import canary_view


async def get(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    if options.watch:
        return await _get_on(options, access, screen)
    found = in_order(await selected(options, access, options.selector), options.sort_by, access.now())
    if found or options.output in ("json", "yaml"):
        _print(found, options, access, screen, [])
    else:
        screen.note("No Canaries found" + ("." if options.all_namespaces else f" in namespace {namespace_of(options, access)}."))
    return Exit.OK


async def _get_on(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    """The same, and then each object that changed, for ever."""
    from flaggerpy.cli.feed import Feed

    changed = asyncio.Event()
    shown: dict[str, Obj] = {}
    widths: list[int] = []
    async with Feed(access, None if options.all_namespaces else namespace_of(options, access), labels=options.selector) as feed:
        feed.listen(changed.set)
        while True:
            now = {obj["metadata"]["uid"]: obj for obj in chosen(feed.objects(), options.names)}
            fresh = [obj for uid, obj in now.items() if _gist(shown.get(uid, {})) != _gist(obj)]
            shown = now
            if fresh:
                _print(in_order(fresh, options.sort_by, access.now()), options, access, screen, widths, listed=False)
            await changed.wait()
            changed.clear()


def _gist(obj: Obj) -> Obj:
    """What a change of is worth a line: all but bookkeeping."""
    return {"spec": obj.get("spec"), "status": obj.get("status"), "annotations": (obj.get("metadata") or {}).get("annotations")}


def in_order(objects: Iterable[Obj], by: str, now: float) -> list[Obj]:
    """Objects in the order of `--sort-by`."""
    pairs = [(canary_view(obj, now), obj) for obj in objects]
    order = {id(view): i for i, view in enumerate(screens.in_order([view for view, _ in pairs], by))}
    return [obj for view, obj in sorted(pairs, key=lambda pair: order[id(pair[0])])]


def _print(
    found: Sequence[Obj], options: argparse.Namespace, access: Access, screen: Screen, widths: list[int], *, listed: bool = True
) -> None:  # fmt: skip
    if options.output in ("json", "yaml"):
        whole: list[Obj] = [{"apiVersion": "v1", "kind": "List", "items": list(found)}]
        for obj in found if not listed or len(options.names) == 1 else whole:
            dump(screen, obj, options.output)
    elif options.output == "name":
        for obj in found:
            screen.show(f"canary.flagger.app/{obj['metadata']['name']}")
    else:
        views = [canary_view(obj, access.now()) for obj in found]
        text = screens.canaries(views, all_namespaces=options.all_namespaces, wide=options.output == "wide", widths=widths)
        screen.show(screens.fitted(text, screen.width, screen.glyphs))


async def describe(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    obj = await one(options, access)
    if options.output:
        dump(screen, obj, options.output)
    else:
        # what it takes to tell the course is of no use to the quick words beside this one
        from flaggerpy.cli.closer import Closer
        from flaggerpy.cli.course import upcoming

        scene = await Closer(access).scene(obj)
        # between releases: what the last one measured
        view = replace(scene.view, metrics=scene.metrics or scene.view.metrics)
        page = screens.describe(view, upcoming(scene.course) if scene.course else "")
        screen.show(screens.folded(page, screen.width))
    return Exit.OK


async def history(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    obj = await one(options, access)
    if options.output in ("json", "yaml"):
        dump(screen, (obj.get("status") or {}).get("history") or [], options.output)
        return Exit.OK
    view = canary_view(obj, access.now())
    if view.history and options.output == "wide":
        page = screens.history_wide(view.history, view.now, view.promoted_revisions, screen.glyphs)
        screen.show(screens.folded(page, screen.width))
    elif view.history:
        screen.show(screens.folded(screens.history(view.history, view.now), screen.width))
    else:
        screen.note(f"No release of {view.name} has ended yet.")
    return Exit.OK
