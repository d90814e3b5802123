"""Traces of releases, where an endpoint is configured: beside the workers, and around everything that is asked outside.

`Traced` witnesses decisions and tells the spans that they end; `TracedOutside` puts a span around each question to a hook, a metric
provider, a registry or an alert's receiver, and gives the first two the `traceparent` to go on with. Questions that are repeated until
somebody says yes are told when the answer changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flaggerpy import http
from flaggerpy.api.canary import Canary
from flaggerpy.api.status import CanaryStatus, OutboxItem
from flaggerpy.controller import spans
from flaggerpy.controller.background import Outside
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.worker import Witness
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.effects import AskHook, Measure, RecordEvent
from flaggerpy.rollout.facts import Answer, ImageAnswer, Measurement
from flaggerpy.telemetry.logs import about
from flaggerpy.telemetry.tracing import ROOT, Span, Tracer, trace_id, traceparent

GATES = frozenset({"confirm-rollout", "confirm-traffic-increase", "confirm-promotion", "rollback"})
"""Hooks whose no is an answer and no failure."""
LOST_SECONDS = 20.0
"""A run that ended so long before we lead, the Lease's 15 s and a little: its span may have died with the leader, and is told again."""


class Traced(Witness):
    """Passes all on to another witness, within the log context of the run's trace, and tells the spans that a decision ends."""

    def __init__(self, tracer: Tracer, inner: Witness, now: Callable[[], float], leads_since: Callable[[], float]) -> None:
        self._tracer = tracer
        self._inner = inner
        self._now = now
        self._leads_since = leads_since
        self.steps: dict[str, str] = {}
        """By run: the key of the span of its present step."""
        self._runs: dict[Key, str] = {}
        """By Canary that a decision was seen of: its run, "" between two."""

    def stamp(self, before: CanaryStatus, decided: CanaryStatus, now: float) -> CanaryStatus:
        """See `worker.Parts.stamp`."""
        return spans.stamped(before, decided, now)

    def waited(self, key: Key, seconds: float) -> None:
        self._inner.waited(key, seconds)

    def failed(self, key: Key, error: Exception) -> None:
        self._inner.failed(key, error)

    def blocked(self, key: Key) -> None:
        self._inner.blocked(key)

    def decided(self, key: Key, canary: Canary, before: CanaryStatus, decision: Decision) -> None:
        run, old = decision.status.run, before.run
        first, present = key not in self._runs, run.id if run is not None else ""
        if not first and self._runs[key] != present:
            self.steps.pop(self._runs[key], None)
        self._runs[key] = present
        if run is not None:
            self.steps[run.id] = spans.step_key(run)
        told = spans.ended(canary, before, decision, self._now())
        if first:
            again = spans.root_again(canary, before, self._leads_since() - LOST_SECONDS)
            told += [again] if again else []
        for span in told:
            self._tracer.emit(span)
        with about(trace_id=_of(run or old)):
            self._inner.decided(key, canary, before, decision)

    def carried_out(self, key: Key, canary: Canary, decision: Decision, seconds: float) -> None:
        with about(trace_id=_of(decision.status.run)):
            self._inner.carried_out(key, canary, decision, seconds)

    def forget(self, key: Key) -> None:
        """A Canary is gone."""
        self.steps.pop(self._runs.pop(key, ""), None)


def _of(run: Any) -> str | None:
    return trace_id(run.id) if run is not None else None


@dataclass
class _Open:
    """A span that has begun; `said` is put into it before it ends."""

    span: Span
    told: bool = True

    def said(self, *, ok: bool | None, reason: str = "", **attributes: str | float | bool) -> None:
        told = {f"flagger.{name}": value for name, value in attributes.items()}
        self.span = replace(self.span, ok=ok, reason=reason, attributes={**self.span.attributes, **told})


class TracedOutside:
    """See `background.Outside`: another one, with spans."""

    def __init__(self, outside: Outside, tracer: Tracer, steps: Mapping[str, str], now: Callable[[], float]) -> None:
        self._outside = outside
        self._tracer = tracer
        self._steps = steps
        self._now = now
        self._said: dict[str, bool] = {}

    @contextlib.contextmanager
    def _span(self, canary: Canary, run: str, key: str, name: str, *, propagate: bool, root: bool = False) -> Iterator[_Open]:
        """A span around what is done within; an error that leaves it is its end."""
        parent = ROOT if root else self._steps.get(run, ROOT)
        attributes = {"k8s.namespace.name": canary.namespace, "flagger.canary": canary.name}
        made = _Open(Span(run, key, parent, name, self._now(), 0.0, outside=True, attributes=attributes))
        token = http.traceparent.set(traceparent(run, key) if propagate else "")
        try:
            with about(trace_id=trace_id(run)):
                yield made
        except Exception as error:
            made.said(ok=False, reason=str(error))
            raise
        finally:
            http.traceparent.reset(token)
            if made.told:
                self._tracer.emit(replace(made.span, end=self._now()))

    async def ask(self, canary: Canary, status: CanaryStatus, effect: AskHook) -> Answer:
        run = status.run.id if status.run else ""
        with self._span(canary, run, f"hook/{effect.key}", f"hook {effect.hook.name}", propagate=True) as span:
            answer = await self._outside.ask(canary, status, effect)
            gate = effect.hook.role in GATES
            span.said(
                ok=True if answer.ok else None if gate else False, reason="" if answer.ok else answer.text, hook=effect.hook.name,
                hook_type=effect.hook.role, answer="yes" if answer.ok else "no",
            )  # fmt: skip
            if effect.every is not None:
                span.told = self._said.get(effect.key) is not answer.ok
                self._note(effect.key, answer.ok)
        return answer

    def _note(self, key: str, said: bool) -> None:
        self._said.pop(key, None)
        self._said[key] = said
        while len(self._said) > 1000:
            del self._said[next(iter(self._said))]

    async def measure(self, canary: Canary, effect: Measure) -> Measurement:
        run = effect.key.partition("/")[0]
        with self._span(canary, run, f"metric/{effect.key}", f"metric {effect.metric.name}", propagate=True) as span:
            told = await self._outside.measure(canary, effect)
            passed = told.kind == "value" and not told.text
            span.said(ok=passed, reason=told.text, metric=effect.metric.name, result=told.kind)
            if told.kind == "value":
                span.said(ok=passed, reason=told.text, value=told.value)
        return told

    async def check_providers(self, canary: Canary) -> tuple[str, ...]:
        return await self._outside.check_providers(canary)

    async def check_images(self, canary: Canary, status: CanaryStatus, pod_spec: Mapping[str, Any]) -> tuple[ImageAnswer, ...]:
        if status.run is None:
            return await self._outside.check_images(canary, status, pod_spec)
        key = f"images/{self._now():.3f}"
        with self._span(canary, status.run.id, key, "images", propagate=False) as span:
            told = await self._outside.check_images(canary, status, pod_spec)
            missing = [answer.detail or answer.image for answer in told if answer.kind == "missing"]
            span.said(ok=not missing, reason="; ".join(missing), images=len(told))
        return told

    async def deliver(self, canary: Canary, status: CanaryStatus, item: OutboxItem) -> None:
        run = status.run.id if status.run else spans.last_run(canary, status)
        name = f"alert {item.severity}" if item.kind == "alert" else item.kind
        with self._span(canary, run, f"{item.kind}/{item.id}", name, propagate=item.kind != "alert", root=True) as span:
            span.said(ok=True, message=item.message)
            await self._outside.deliver(canary, status, item)

    async def tell_event(self, canary: Canary, status: CanaryStatus, effect: RecordEvent) -> None:
        run = status.run.id if status.run else spans.last_run(canary, status)
        if not run or not canary.spec.plan.hooks("event"):
            return await self._outside.tell_event(canary, status, effect)
        with self._span(canary, run, f"event/{effect.message}/{self._now():.3f}", "hook event", propagate=True, root=True) as span:
            span.said(ok=True, message=effect.message)
            await self._outside.tell_event(canary, status, effect)
        return None
