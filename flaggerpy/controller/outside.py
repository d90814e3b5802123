"""The world beyond Kubernetes for one controller: hooks, metrics and alerts, fed with the templates, providers and Secrets they name.

MetricTemplates and AlertProviders come from the caches; the Secrets that they name are read by name when they are needed, and kept as long
as their metadata does not change.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flaggerpy.alerts import routing, sending
from flaggerpy.alerts.payloads import Destination
from flaggerpy.api.alertprovider import parse_alert_provider
from flaggerpy.api.canary import AlertRef, Canary, Metric, Webhook
from flaggerpy.api.metrictemplate import parse_metric_template
from flaggerpy.api.status import CanaryStatus, OutboxItem
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.events import EventRecorder
from flaggerpy.controller.exporting import Exporting
from flaggerpy.controller.imagecheck import ApiCluster, ImageCheck, decoded
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.spans import last_run
from flaggerpy.controller.world import World
from flaggerpy.hooks import calling, payloads
from flaggerpy.hooks.calling import HookAnswer
from flaggerpy.http import Http
from flaggerpy.metrics import evaluate
from flaggerpy.metrics.measuring import Material, Measurer
from flaggerpy.rollout.effects import AskHook, Measure, RecordEvent
from flaggerpy.rollout.facts import Answer, ImageAnswer, Measurement

Obj = dict[str, Any]

RAN = frozenset({"Initialized", "Succeeded"})
"""Outcomes of releases whose images the nodes have pulled."""
EVENT_SECONDS = 60.0
"""The longest for one event hook, all its attempts together: it gates nothing, and a timeout of hours would only keep others waiting."""
SENT_KEPT = 1000
SECRETS_KEPT = 128
"""Tenants can make any number of Secrets, of a megabyte each, name each of them once, and delete it."""
SECRET_CHARACTERS = 64 * 1024
"""How many deliveries are remembered, the newest."""

_log = logging.getLogger(__name__)


class Beyond:
    """See `background.Outside`."""

    def __init__(
        self,
        client: Client,
        world: World,
        http: Http,
        measurer: Measurer,
        settings: Settings,
        exporting: Exporting,
        recorder: EventRecorder,
        registries: Http | None = None,
    ) -> None:
        """`registries`: the connections to registries, so that one that hangs holds up neither hooks nor measurements; default: `http`."""
        self._images = ImageCheck(ApiCluster(client, self._secret), (registries or http).send)
        self._exporting = exporting
        self._recorder = recorder
        self._client = client
        self._world = world
        self._http = http
        self._measurer = measurer
        self._settings = settings
        self._sent: dict[tuple[str, str], None] = {}
        self._secrets: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
        self._metrics = evaluate.Settings(
            metrics_server=settings.metrics_server,
            mesh_provider=settings.mesh_provider,
            no_cross_namespace_refs=settings.no_cross_namespace_refs,
        )

    # --- hooks -------------------------------------------------------------------------------------------------------------------------

    async def ask(self, canary: Canary, status: CanaryStatus, effect: AskHook) -> Answer:
        body = payloads.payload(canary.name, canary.namespace, effect.phase, _checksum(status), effect.hook.metadata)
        found = await calling.call(self._http, effect.hook, body, effect.idempotency_key, tenant=canary.namespace)
        return Answer(ok=found.ok, text=found.text, at=self._client.now())

    async def tell_event(self, canary: Canary, status: CanaryStatus, effect: RecordEvent) -> None:
        hooks = canary.spec.plan.hooks("event")
        operators = not hooks
        if operators and self._settings.event_webhook:
            hooks = (Webhook(name="event", url=self._settings.event_webhook, type="event"),)
        failures = []
        for hook in hooks:
            body = payloads.event_payload(
                canary.name,
                canary.namespace,
                effect.phase,
                _checksum(status),
                hook.metadata,
                message=effect.message,
                type=effect.type,
                at=self._client.now(),
            )
            # the operator's own takes nothing of a tenant's share, which the tenant could have used up
            answer = await self._tell_hook(hook, body, tenant="" if operators else canary.namespace, operators=operators)
            if answer.denied:
                self._tell(canary, f"Event webhook not called: {answer.text}", type="Warning")
            elif not answer.ok:
                failures.append(f"{hook.name}: {answer.text}")
        if failures:
            raise RuntimeError("; ".join(failures))

    async def _tell_hook(self, hook: Webhook, body: Mapping[str, Any], *, tenant: str, operators: bool) -> HookAnswer:
        try:
            async with asyncio.timeout(EVENT_SECONDS):
                return await calling.call(self._http, hook, body, tenant=tenant, operators=operators)
        except TimeoutError:
            return HookAnswer(False, f"no answer within {EVENT_SECONDS:g} s")

    # --- metrics -----------------------------------------------------------------------------------------------------------------------

    async def measure(self, canary: Canary, effect: Measure) -> Measurement:
        try:
            material = await self._material(canary, effect.metric)
        except ApiError as error:
            return Measurement("unreachable", text=f"the API server answers: {error}", at=self._client.now())
        began = time.monotonic()
        result = await self._measurer.measure(canary, effect.metric, material, self._metrics)
        if result.kind == "value":
            self._exporting.measured(canary, effect.metric.name, result.value, time.monotonic() - began)
        return Measurement(result.kind, value=result.value, text=result.text, at=self._client.now())

    async def check_providers(self, canary: Canary) -> tuple[str, ...]:
        materials = [(metric, await self._material(canary, metric)) for metric in canary.spec.plan.metrics]
        return await self._measurer.unavailable(canary, materials, self._metrics)

    async def _material(self, canary: Canary, metric: Metric) -> Material:
        at = evaluate.template_key(canary, metric)
        if at is None:
            return Material()
        obj = self._world.templates.get(*at)
        if obj is None:
            return Material()
        template = parse_metric_template(obj)
        ref = template.spec.provider.secret_ref
        return Material(template, await self._secret(at[0], ref.name) if ref else None)

    async def check_images(self, canary: Canary, status: CanaryStatus, pod_spec: Mapping[str, Any]) -> tuple[ImageAnswer, ...]:
        ran = {image for entry in status.history if entry.outcome in RAN for image in entry.images} | set(status.promoted_images)
        ignored = canary.spec.pod_health.ignored_containers
        return await self._images.pod(canary.namespace, pod_spec, ignored=ignored, ran=frozenset(ran))

    # --- alerts ------------------------------------------------------------------------------------------------------------------------

    async def deliver(self, canary: Canary, status: CanaryStatus, item: OutboxItem) -> None:
        if item.kind == "post-rollout":
            await self._post_rollout(canary, status, item)
        else:
            await self._alert(canary, item)

    async def _post_rollout(self, canary: Canary, status: CanaryStatus, item: OutboxItem) -> None:
        """The hooks in order up to the first that fails; a hook has retries of its own, so it is not asked again here."""
        for hook in canary.spec.plan.hooks("post-rollout"):
            if (item.id, hook.name) in self._sent:
                continue
            body = payloads.payload(canary.name, canary.namespace, item.phase, _checksum(status), hook.metadata)
            answer = await calling.call(self._http, hook, body, f"{item.id}/{hook.name}", tenant=canary.namespace)
            if not answer.ok:
                failed = f"Post-rollout hook {hook.name} failed {answer.text}"
                await self._tell_all(canary, status, RecordEvent("Warning", failed, item.phase))
                return
            self._note_sent(item.id, hook.name)
            await self._tell_all(canary, status, RecordEvent("Normal", f"Post-rollout check {hook.name} passed", item.phase))

    async def _tell_all(self, canary: Canary, status: CanaryStatus, event: RecordEvent) -> None:
        """An event on the Canary, and to its event webhooks; one of these that fails does not make the hook be called again."""
        self._tell(canary, event.message, type=event.type, chapter=status.run.id if status.run else last_run(canary, status))
        try:
            await self.tell_event(canary, status, event)
        except RuntimeError as error:
            _log.warning("%s: event webhook: %s", canary.key, error)

    def _tell(self, canary: Canary, message: str, *, type: str = "Normal", chapter: str = "") -> None:
        """An event on the Canary about what the release (`chapter`) does not wait for."""
        metadata = {"name": canary.name, "namespace": canary.namespace, "uid": canary.uid}
        involved = {"apiVersion": kinds.CANARY.api_version, "kind": "Canary", "metadata": metadata}
        self._recorder.record(involved, message, type=type, chapter=chapter)

    async def _alert(self, canary: Canary, item: OutboxItem) -> None:
        alert = routing.alert(canary, item.message, item.severity, with_facts=item.with_facts, cluster=self._settings.cluster_name)
        wanted = routing.recipients(canary, item.severity)
        places = [("", self._global())] if wanted is None else [(_named(canary, ref), await self._place(canary, ref)) for ref in wanted]
        failures = []
        for named, place in places:
            if place is None:
                continue
            if isinstance(place, str):
                # what only informs warns and does not stop a release; asking again changes nothing
                _log.warning("%s", place)
                self._tell(canary, f"Alert not sent: {place}", type="Warning")
                continue
            if (item.id, place.url) in self._sent:
                continue
            delivery = await sending.send(self._http, alert, replace(place, tenant="" if place.trusted else canary.namespace))
            if delivery.denied:
                self._tell(canary, f"Alert not sent: the address of {named}: {delivery.text}", type="Warning")
            elif delivery.ok:
                self._note_sent(item.id, place.url)
            else:
                failures.append(delivery.text)
        if failures:
            raise RuntimeError("; ".join(failures))

    def _note_sent(self, item: str, place: str) -> None:
        """A repetition after a failure elsewhere passes this place over."""
        self._sent[item, place] = None
        while len(self._sent) > SENT_KEPT:
            del self._sent[next(iter(self._sent))]

    async def _place(self, canary: Canary, ref: AlertRef) -> Destination | str:
        namespace, name = routing.provider_key(canary, ref)
        obj = self._world.alert_providers.get(namespace, name)
        if obj is None:
            return f"{_named(canary, ref)} does not exist"
        provider = parse_alert_provider(obj)
        secret_ref = provider.spec.secret_ref
        return routing.destination(provider, await self._secret(namespace, secret_ref.name) if secret_ref else None)

    def _global(self) -> Destination | str | None:
        settings = self._settings
        return routing.global_destination(
            slack_url=settings.slack_url,
            slack_token=settings.slack_token,
            slack_proxy_url=settings.slack_proxy_url,
            slack_user=settings.slack_user,
            slack_channel=settings.slack_channel,
            msteams_url=settings.msteams_url,
            msteams_proxy_url=settings.msteams_proxy_url,
        )

    async def _secret(self, namespace: str, name: str) -> dict[str, str] | None:
        """The decoded entries of a Secret, None when there is none; read again only when its metadata changed."""
        known = self._world.secrets.get(namespace, name)
        version = known["metadata"]["resourceVersion"] if known else ""
        cached = self._secrets.get((namespace, name))
        if cached and version and cached[0] == version:
            return cached[1]
        self._secrets.pop((namespace, name), None)
        found = await self._client.find(kinds.SECRET, namespace, name)
        if found is None:
            return None
        data = decoded(found)
        if sum(map(len, data.values())) <= SECRET_CHARACTERS:
            self._secrets[(namespace, name)] = (found["metadata"]["resourceVersion"], data)
            while len(self._secrets) > SECRETS_KEPT:
                del self._secrets[next(iter(self._secrets))]
        return data


def _named(canary: Canary, ref: AlertRef) -> str:
    namespace, name = routing.provider_key(canary, ref)
    return f"alert provider {name}.{namespace}"


def _checksum(status: CanaryStatus) -> str:
    return payloads.checksum(status.run.revision if status.run else status.last_applied_spec, status.tracked_configs)
