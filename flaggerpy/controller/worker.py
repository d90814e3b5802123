"""The worker of one Canary: gather, decide, write the status, carry out the effects, sleep.

One task per Canary, which awaits nothing but the inbox and the API server. A fault in one look is logged with its Canary, told in its
status, tried again with a growing pause, and touches no other Canary. The status is written before the effects (intent before deed), and
never decided upon when it is older than our own last write.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from pydantic import ValidationError

from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.api.conditions import CONFLICT, READY, RECONCILING, STALLED
from flaggerpy.api.names import FINALIZER
from flaggerpy.api.status import IDLE, UNSEEN, CanaryStatus, Condition, Phase, parse_status, timestamp
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError, Conflict, Forbidden, NotFound, transient
from flaggerpy.controller.background import Background
from flaggerpy.controller.gather import Snapshot, facts_of
from flaggerpy.controller.inbox import Inbox, Key
from flaggerpy.controller.look import Look, RefusedError, StaleError
from flaggerpy.controller.memo import Memo
from flaggerpy.controller.status import may_wait, status_patch, write_status
from flaggerpy.controller.takeover import flagger_wrote, silence
from flaggerpy.controller.turns import Turns
from flaggerpy.controller.world import World
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.effects import CountRelease, Effect, RecordEvent
from flaggerpy.rollout.facts import Facts, WorkloadFacts
from flaggerpy.rollout.phases import RUNNING
from flaggerpy.targets.registry import target_for
from flaggerpy.telemetry.logs import about

Obj = dict[str, Any]
Decide = Callable[[Canary, CanaryStatus, Facts, float], Decision]

LOOKS_IN_A_ROW = 10
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
SHORTEST_REST = 0.1
LONGEST_REST = 5.0
TOLD_AFTER = 5
LATER = 1.0
"""Seconds that what may be written later waits for what may not: while a Canary is initialised there are ten such within a second."""
LATER_EACH = 0.02
"""Seconds that it waits more for each Canary that waits for its turn."""
LATEST = 5.0
"""Seconds that it waits at most."""
PROVEN = frozenset({Phase.PROMOTING, Phase.FINALISING, Phase.SUCCEEDED})

_log = logging.getLogger(__name__)


class Eyes(Protocol):
    """Reads the world around a Canary; see `seeing.Seeing`."""

    async def look(self, key: Key, obj: Obj, canary: Canary, status: CanaryStatus) -> Snapshot:
        """The snapshot from the caches (and from reads by name of configs that changed)."""

    async def prove(self, snapshot: Snapshot) -> bool:
        """Read target, primary and routes live; true when the caches said the same."""

    def follow(self, key: Key, snapshot: Snapshot, status: CanaryStatus) -> None:
        """Watch the pods that this status makes interesting."""

    def look_again_in(self, key: Key) -> float | None:
        """Seconds after which there may be news that no watch brings; None when there cannot be."""


class Hands(Protocol):
    """Carries out effects; see `executor.Executor`."""

    async def carry_out(self, look: Look, effect: Effect) -> None:
        """Make one effect true. Raises StaleError, RefusedError, ApiError."""

    def tell(self, key: Key, obj: Obj, sentence: str) -> None:
        """A Warning event on the Canary."""


class Witness:
    """Is told what workers do, in the order in which it comes true, and changes nothing of it; this one has no ears."""

    def waited(self, key: Key, seconds: float) -> None:
        """There was news, and nobody had looked for so long."""

    def decided(self, key: Key, canary: Canary, before: CanaryStatus, decision: Decision) -> None:
        """A decision was stored; its effects come now."""

    def carried_out(self, key: Key, canary: Canary, decision: Decision, seconds: float) -> None:
        """Its effects are true, so long after the news."""

    def failed(self, key: Key, error: Exception) -> None:
        """A look failed and is tried again."""

    def blocked(self, key: Key) -> None:
        """Looks fail for so long that the status tells it."""


@dataclass
class Parts:
    """What all workers share."""

    client: Client
    world: World
    inbox: Inbox
    background: Background
    eyes: Eyes
    hands: Hands
    decide: Decide
    witness: Witness = field(default_factory=lambda: Witness())
    stamp: Callable[[CanaryStatus, CanaryStatus, float], CanaryStatus] = lambda before, decided, now: decided
    """What is decided (after what stood before, epoch seconds), with what traces keep in it."""
    kstatus: bool = True
    """Whether Ready and Reconciling are written."""
    turns: Turns = field(default_factory=Turns)
    holds: Callable[[], bool] = lambda: True
    """Whether nobody else can be leading: asked before each write."""
    revert_by_default: bool = False
    """Whether a Canary that does not say gives its target the traffic back when it is deleted."""
    started_at: float = 0.0
    """When this replica was ready to lead (epoch seconds): a Flagger that wrote later is still at work."""


class Worker:
    """See the module. `run` ends when the Canary is gone."""

    def __init__(self, key: Key, parts: Parts) -> None:
        self.key = key
        self.failures = 0
        self.size = 1
        """How many replicas its primary had then."""
        self._parts = parts
        self._trouble = ""
        self._told = ""
        self._left_to_flagger = False
        self._flagger_wrote = 0.0
        self._resumed_at = 0.0
        self._news_at = 0.0
        self._unwritten_since: float | None = None
        self._read: tuple[Obj, Canary] | None = None
        self._memo = Memo()

    async def run(self) -> None:
        while True:
            await self._parts.inbox.news(self.key)
            async with self._parts.turns.turn(self.key[0], urgent=self._carries()):
                if not await self._turn():
                    return
            if self.failures:
                # events may tell that the cause is gone, but a cause that stays must not be run into with each of them
                await asyncio.sleep(min(SHORTEST_REST * self.failures, LONGEST_REST))

    async def _turn(self) -> bool:
        """Look at what is news, and tell when that fails. False: the Canary is gone."""
        self._news_at = await self._parts.inbox.take(self.key)
        self._parts.witness.waited(self.key, asyncio.get_running_loop().time() - self._news_at)
        if self.key not in self._parts.world.canaries:
            return False
        try:
            if not await self._look():
                return False
            self.failures, self._told = 0, ""
        except Exception as error:
            await self._failed(error)
        return True

    def _carries(self) -> bool:
        """Whether traffic may be with a canary."""
        obj = self._parts.world.canaries.get(*self.key)
        return obj is not None and (obj.get("status") or {}).get("phase") in RUNNING

    async def _look(self) -> bool:
        """Look until what was seen held while it was acted upon. False: the Canary is gone."""
        for _ in range(LOOKS_IN_A_ROW):
            obj = self._parts.world.canaries.get(*self.key)
            if obj is None:
                return False
            try:
                done = await self._once(obj)
            except StaleError as error:
                _log.debug("%s: %s", self.key, error)
                continue
            except Conflict:
                if not await self._read_again():
                    return False
                continue
            except NotFound as error:
                # the Canary itself, or something that its effects need: only a live read can tell
                if not await self._read_again():
                    return False
                raise error
            if done:
                return True
        # somebody writes faster than we look; let the others have their turn
        self._parts.inbox.wake_in(self.key, FIRST_PAUSE)
        return True

    async def _read_again(self) -> bool:
        found = await self._parts.client.find(kinds.CANARY, *self.key)
        if found is None:
            self._parts.world.canary_is_gone(self.key)
            return False
        self._parts.world.wrote_canary(found)
        return True

    async def _once(self, obj: Obj) -> bool:
        parts = self._parts
        if self._flagger_lives(obj, parts.world.flagger_wrote.get(obj["metadata"]["uid"], 0.0)):
            return True
        try:
            canary, status = self._parsed(obj)
        except ValidationError as error:
            if not self._is_held(obj):
                raise
            await self._let_go(obj, error)
            return True
        snapshot = await parts.eyes.look(self.key, obj, canary, status)
        if self._flagger_lives(obj, flagger_wrote(snapshot.objects())):
            return True
        snapshot.quiet_since, snapshot.memo = self._quiet_since, self._memo
        if snapshot.primary.obj is not None:
            self.size = target_for(canary.kind).size(snapshot.primary.obj)
        now = parts.client.now()
        facts = facts_of(snapshot)
        decision = parts.decide(canary, status, facts, now)
        anew = calls_ready_anew(canary, status, decision.status)
        if anew and isinstance(facts.target, WorkloadFacts) and not facts.target.fresh:
            parts.inbox.wake_in(self.key, FIRST_PAUSE)
            return True
        moved = decision.status.phase != status.phase and decision.status.phase in PROVEN
        if (moved or anew) and not await parts.eyes.prove(snapshot):
            raise StaleError(f"caches lagged before {decision.status.phase}")
        if not parts.holds():
            # either the lease is renewed in a moment, or this worker is about to be ended
            parts.inbox.wake_in(self.key, FIRST_PAUSE)
            return True
        wanted = with_conflicts(self._with_trouble(status, self._worded(decision.status), now), snapshot.conflicts, now)
        wanted = parts.stamp(status, wanted, now)
        patch = status_patch(obj, wanted)
        later = self._later(obj, patch, decision)
        sent = patch if later is None else None
        if sent is not None:
            obj = await write_status(parts.client, obj, sent)
            parts.world.wrote_canary(obj)
            if decision.status.phase != status.phase:
                with about(phase=str(decision.status.phase), revision=decision.status.run.revision if decision.status.run else None):
                    _log.info("%s -> %s", status.phase or "new", decision.status.phase)
        parts.eyes.follow(self.key, snapshot, decision.status)
        parts.background.answers(self.key, decision.status)
        parts.background.keep_only(self.key, decision.effects)
        told = replace(decision, status=wanted)
        parts.witness.decided(self.key, canary, status, told)
        look = Look(self.key, obj, replace(snapshot, status=decision.status), decision.status)
        await self._carry_out(look, decision.effects)
        parts.witness.carried_out(self.key, canary, told, asyncio.get_running_loop().time() - self._news_at)
        if self._trouble:
            self._trouble = ""
            return False
        settled = self._settled(canary, status, decision, facts, now) if sent else decision
        if look.again or settled is None:
            parts.inbox.put(self.key)
        wake = None if settled is None or settled.wake is None else settled.wake - parts.client.now()
        again = parts.eyes.look_again_in(self.key)
        parts.inbox.wake_in(self.key, min((seconds for seconds in (wake, again, later) if seconds is not None), default=None))
        if decision.status.phase in IDLE:
            parts.world.rest(self.key)
            self._memo.clear()
            self._read = None
        return True

    def _settled(self, canary: Canary, before: CanaryStatus, decision: Decision, facts: Facts, now: float) -> Decision | None:
        """What is decided in the state that was just stored; None when that is anything more, or can only be told by another look."""
        stored = decision.status
        if stored.phase != before.phase or (stored.run and stored.run.id) != (before.run and before.run.id):
            return None
        again = self._parts.decide(canary, stored, facts, now)
        more = again.status != stored or any(effect not in decision.effects for effect in again.effects)
        return None if more else again

    def _later(self, obj: Obj, patch: Obj | None, decision: Decision) -> float | None:
        """In how many seconds this patch of the status is to be sent; None when it is to be sent now, or there is none.

        What is told by an event stands in the status first: this is how it is told once.
        """
        told = any(isinstance(effect, RecordEvent) for effect in decision.effects)
        if patch is not None and not told and may_wait(obj, patch):
            now = asyncio.get_running_loop().time()
            if self._unwritten_since is None:
                self._unwritten_since = now
            due = self._unwritten_since + min(LATER + LATER_EACH * len(self._parts.turns), LATEST)
            if now < due:
                return due - now
        self._unwritten_since = None
        return None

    @property
    def _quiet_since(self) -> float:
        return max(self._resumed_at, self._parts.started_at)

    def _flagger_lives(self, obj: Obj, wrote: float) -> bool:
        """Stand down while Flagger writes, until it has been silent for a while; `wrote` is its last write (epoch seconds)."""
        self._flagger_wrote = max(self._flagger_wrote, wrote)
        if self._flagger_wrote <= self._quiet_since:
            return False
        now, until = self._parts.client.now(), self._flagger_wrote + silence(obj)
        if now >= until:
            self._resumed_at, self._left_to_flagger = now, False
            _log.info("Flagger has written nothing for %.0f s: this Canary is taken up", silence(obj))
            return False
        if not self._left_to_flagger:
            self._left_to_flagger, self._read = True, None
            sentence = f"Flagger still writes around this Canary: it is left to Flagger until that has been silent for {silence(obj):.0f} s"
            _log.warning(sentence)
            self._parts.hands.tell(self.key, obj, sentence)
            self._parts.background.forget(self.key)
        self._parts.inbox.wake_in(self.key, until - now)
        return True

    def _parsed(self, obj: Obj) -> tuple[Canary, CanaryStatus]:
        try:
            status = parse_status(obj)
        except ValidationError as error:
            if not self._is_held(obj):
                raise RefusedError(f"status cannot be read, it was not written by this controller: {error.errors()[0]['loc']}") from None
            status = CanaryStatus()  # whatever it was, it ends here
        metadata = {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
        given = {"metadata": metadata, "spec": obj.get("spec")}
        if self._read is None or self._read[0] != given:
            self._read = given, self._parsed_anew(obj)
        return self._read[1], status

    def _parsed_anew(self, obj: Obj) -> Canary:
        canary = parse_canary(obj)
        if self._parts.revert_by_default and "revertOnDeletion" not in (obj.get("spec") or {}):
            canary = canary.model_copy(update={"spec": canary.spec.model_copy(update={"revert_on_deletion": True})})
        return canary

    def _is_held(self, obj: Obj) -> bool:
        """Whether it is being deleted, and waits for us."""
        metadata = obj["metadata"]
        return bool(metadata.get("deletionTimestamp")) and FINALIZER in (metadata.get("finalizers") or ())

    async def _let_go(self, obj: Obj, error: ValidationError) -> None:
        """A Canary that cannot be read cannot be reverted, and must not hang for that."""
        self._parts.hands.tell(self.key, obj, f"{sentence_of(error)}: the Canary goes, and nothing is given back")
        metadata = obj["metadata"]
        finalizers = [name for name in metadata["finalizers"] if name != FINALIZER]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
        self._parts.world.wrote_canary(await self._parts.client.merge_patch(kinds.CANARY, *self.key, body))

    async def _carry_out(self, look: Look, effects: tuple[Effect, ...]) -> None:
        """All effects in order; after a failure only what merely tells about the decision, which is not asked for again."""
        failure: Exception | None = None
        for effect in effects:
            if failure is not None and not isinstance(effect, (RecordEvent, CountRelease)):
                continue
            try:
                await self._parts.hands.carry_out(look, effect)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def _failed(self, error: Exception) -> None:
        """Log it, tell it in the status and by an event when it lasts, and look again after a pause."""
        self.failures += 1
        self._parts.witness.failed(self.key, error)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self.failures - 1)) * random.uniform(0.8, 1.2)
        self._parts.inbox.wake_in(self.key, pause)
        sentence = sentence_of(error)
        if _namespace_goes(error):
            _log.info("the namespace is being deleted: nothing more is made in it")
            return
        known = isinstance(error, (ApiError, RefusedError, ValidationError))
        _log.warning("%s; looking again in %.1f s", sentence, pause, exc_info=None if known else error)
        if transient(error) and self.failures < TOLD_AFTER:
            return
        self._trouble = sentence
        self._parts.witness.blocked(self.key)
        obj = self._parts.world.canaries.get(*self.key)
        if obj is None:
            return
        if self._told != sentence:
            self._told = sentence
            self._parts.hands.tell(self.key, obj, sentence)
        try:
            # also when no decision can be made at all, because the Canary cannot be read
            await self._tell_in_status(obj)
        except ApiError as failure:
            _log.info("the failure could not be told in the status: %s", failure)

    async def _tell_in_status(self, obj: Obj) -> None:
        stored = (obj.get("status") or {}).get("conditions") or []
        told: Obj = next((condition for condition in stored if condition.get("type") == STALLED), {})
        if told.get("status") == "True" and told.get("message") == self._trouble:
            return
        kept = [condition for condition in stored if condition.get("type") not in (STALLED, RECONCILING)]
        stalled = _stalled(self._trouble, self._parts.client.now()).model_dump(by_alias=True, exclude_none=True)
        patch = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "status": {"conditions": [*kept, stalled]}}
        written = await self._parts.client.merge_patch(kinds.CANARY, *self.key, patch, subresource="status")
        self._parts.world.wrote_canary(written)

    def _worded(self, decided: CanaryStatus) -> CanaryStatus:
        """The status with the conditions that the settings ask for: `flux` waits for Ready, which lasts as long as an analysis."""
        if self._parts.kstatus:
            return decided
        kept = [condition for condition in decided.conditions if condition.type not in (READY, RECONCILING)]
        return decided.model_copy(update={"conditions": kept})

    def _with_trouble(self, stored: CanaryStatus, decided: CanaryStatus, now: float) -> CanaryStatus:
        """The status that was decided, with the failure of the last look in it: it stands until a look succeeds."""
        if not self._trouble:
            return decided
        told = next((condition for condition in stored.conditions if condition.type == STALLED), None)
        if told is None or told.message != self._trouble:
            told = _stalled(self._trouble, now)
        kept = [condition for condition in decided.conditions if condition.type not in (STALLED, RECONCILING)]
        return decided.model_copy(update={"conditions": [*kept, told]})


def calls_ready_anew(canary: Canary, before: CanaryStatus, after: CanaryStatus) -> bool:
    """Whether a new generation of an idle Canary would be called Ready: a target that was changed with it must have been seen by then.

    Tools that apply both and wait (`spec.release`) take Ready of this generation for the end of the release.
    """
    if after.phase != before.phase or before.observed_generation in (None, UNSEEN, canary.generation):
        return False
    return any(condition.type == READY and condition.status == "True" for condition in after.conditions)


def with_conflicts(decided: CanaryStatus, conflicts: tuple[str, ...], now: float) -> CanaryStatus:
    """The status with the condition Conflict: there from the first fight on, and False once none is left."""
    told = next((condition for condition in decided.conditions if condition.type == CONFLICT), None)
    if told is None and not conflicts:
        return decided
    status: Literal["True", "False"] = "True" if conflicts else "False"
    reason, sentence = ("FieldsDisputed", "; ".join(conflicts)) if conflicts else ("None", "nobody sets what flaggerpy sets")
    if told is not None and (told.status, told.message) == (status, sentence):
        return decided
    since = told.last_transition_time if told is not None and told.status == status else None
    condition = Condition(
        type=CONFLICT, status=status, reason=reason, message=sentence,
        last_update_time=timestamp(now), last_transition_time=since or timestamp(now),
    )  # fmt: skip
    kept = [condition for condition in decided.conditions if condition.type != CONFLICT]
    return decided.model_copy(update={"conditions": [*kept, condition]})


def _namespace_goes(error: Exception) -> bool:
    return isinstance(error, Forbidden) and any(cause.reason == "NamespaceTerminating" for cause in error.causes)


def _stalled(sentence: str, now: float) -> Condition:
    at = timestamp(now)
    return Condition(type=STALLED, status="True", reason="Blocked", message=sentence, last_update_time=at, last_transition_time=at)


def sentence_of(error: Exception) -> str:
    """What went wrong, for the person who reads the Canary's status."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"spec.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    if isinstance(error, (RefusedError, StaleError)):
        return str(error)
    if isinstance(error, ApiError):
        return f"the API server answers: {error}"
    return f"internal error: {type(error).__name__}: {error}"
