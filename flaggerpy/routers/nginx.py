"""Provider `nginx`: the canary Ingress `<ingressRef>-canary` of ingress-nginx, beside the Ingress of the user.

The user's Ingress leads to the apex Service, so to the primary; it is read and never written. The canary Ingress is its copy, with the
canary's Service as backend and the annotations by which ingress-nginx picks requests: by weight, or by a header, or by a cookie. These are
Flagger's annotations, value for value. Three things are unlike Flagger (Q-41): a change of the user's annotations arrives in the copy; an
`analysis.match` that one header and one cookie cannot say is refused; and paths that do not lead to the apex are left out, as ingress-nginx
would take the Service behind them for one that only a canary leads to when the user's Ingress is made anew.

ingress-nginx does not report what it took: a write counts as accepted after some seconds.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flaggerpy.api.canary import AnalysisMatch, Canary
from flaggerpy.api.names import canary_name
from flaggerpy.routers import manifest, matching
from flaggerpy.routers.base import Obj, Observed, RouteObject, RouteSplit, Settings, Supports
from flaggerpy.routers.fields import analysis_path, refused, warned
from flaggerpy.routers.matching import Capabilities, Comparison

GROUP = "networking.k8s.io"
PROVIDER = "nginx"
KIND = "Ingress"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CAN = Capabilities(headers=frozenset({"exact", "prefix", "suffix", "regex"}))
TRUE = ("1", "t", "T", "TRUE", "true", "True")
"""What ingress-nginx reads as true (Go's strconv.ParseBool)."""

# What ingress-nginx lets through since it validates annotations (1.12, and 1.9 where it is switched on): all else counts as not given.
_PLAIN = re.compile(r"[-/._~a-zA-Z0-9: ]*")
_PATTERN = re.compile(r"[-/._~a-zA-Z0-9:^$\[\](){}*+?|&=\\]*")
_COOKIE = re.compile(r"[-._~a-zA-Z0-9]+")
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/:~")
_OWN_SPEC = frozenset({"rules", "paths", "http", "path"})
_ORDERED = frozenset({"paths"})


@dataclass(frozen=True)
class Choice:
    """Whom ingress-nginx leads to the canary: a `header` with that `value` or `pattern`, or a cookie of that name with the value always."""

    header: str = ""
    value: str = ""
    pattern: str = ""
    cookie: str = ""


class Nginx:
    """The canary Ingress."""

    supports = Supports(match=True)

    def problems(self, canary: Canary) -> list[str]:
        found = refused(canary, self.supports, frozenset(), PROVIDER)
        service, plan, at = canary.spec.service, canary.spec.plan, analysis_path(canary)
        if service is None:
            return found
        if canary.spec.ingress_ref is None:
            found.append(f"spec.ingressRef: is missing; provider {PROVIDER} needs the Ingress that leads to Service {canary.apex}")
        if not plan.match:
            return found
        if canary.spec.strategy != "ab-testing":
            found.append(f"{at}.match: needs iterations with provider {PROVIDER}, as its weights hold for all requests")
        found += matching.problems(canary, service.model_copy(update={"match": []}), CAN, PROVIDER)
        return found + _match_problems(plan.match, at)

    def warnings(self, canary: Canary) -> list[str]:
        found = warned(canary, frozenset(), PROVIDER)
        choice = _choice(canary.spec.plan.match)
        if not _PATTERN.fullmatch(choice.pattern):
            found.append(
                f"{analysis_path(canary)}.match: ingress-nginx validates annotations, and then passes over the pattern {choice.pattern!r}; "
                r"write a character other than letters, digits and -/._~:^$[](){}*+?|&=\ as \xHH"
            )
        return found

    def objects(self, canary: Canary) -> list[RouteObject]:
        """The user's Ingress, which is only read, and the canary Ingress."""
        ref = canary.spec.ingress_ref
        names = (ref.name, canary_name(ref.name)) if ref else ()
        return [RouteObject(GROUP, "v1", "ingresses", KIND, name) for name in names]

    def desired(self, canary: Canary, split: RouteSplit, current: Sequence[Obj], settings: Settings) -> list[Obj]:
        """[] where there is nothing to copy, or the canary Ingress belongs to somebody else. While the user's Ingress is away, or leads
        elsewhere, the copy stays as it is but for the split."""
        source, have = _standing(canary, current)
        model = source if source and leads_to(source, canary.apex) else have
        if model is None or (have is not None and not manifest.is_ours(have, canary)):
            return []
        prefix = f"{settings.ingress_annotations_prefix}/"
        annotations = _copied(model, prefix) | _canary_annotations(canary, split, model, prefix)
        for key in _foreign_switches(have, annotations, prefix):
            annotations[key] = ""
        meta: Obj = {"name": _name(canary), "namespace": canary.namespace, "annotations": dict(sorted(annotations.items()))}
        labels = (model.get("metadata") or {}).get("labels") or {}
        if labels:
            meta["labels"] = dict(sorted(labels.items()))
        meta["ownerReferences"] = [manifest.owner_reference(canary)]
        return [{"apiVersion": f"{GROUP}/v1", "kind": KIND, "metadata": meta, "spec": _spec(canary, model)}]

    def announce(self, canary: Canary, current: Sequence[Obj], settings: Settings, *, lead: bool = False) -> list[Obj]:
        return []

    def observed(self, canary: Canary, current: Sequence[Obj], settings: Settings) -> Observed:
        source, have = _standing(canary, current)
        refusal = _refusal(canary, source, have)
        judged: tuple[bool | None, bool, str] = (False, True, refusal) if refusal else (None, False, "")
        split = _split(have, settings) if have and manifest.is_ours(have, canary) else None
        if split is None or have is None:
            return Observed(None, *judged, in_shape=False)
        [want] = self.desired(canary, split, current, settings) or [have]
        in_shape = (
            manifest.same_metadata(want, have)
            and manifest.covers(want["spec"], have["spec"], ours=_OWN_SPEC, ordered=_ORDERED)
            and not manifest.left_over(want, have)
        )
        return Observed(split, *judged, in_shape=in_shape)

    def restore(self, canary: Canary, current: Sequence[Obj]) -> list[Obj]:
        """The canary Ingress goes with the Canary; until then it leads nobody anywhere."""
        _, have = _standing(canary, current)
        prefix = next((key.removesuffix("/canary") for key in _annotations(have) if key.endswith("/canary")), None)
        if have is None or prefix is None:
            return []
        return self.desired(canary, RouteSplit(0), [have], Settings(ingress_annotations_prefix=prefix))


def _name(canary: Canary) -> str:
    return canary_name(canary.spec.ingress_ref.name) if canary.spec.ingress_ref else ""


def _standing(canary: Canary, current: Sequence[Obj]) -> tuple[Obj | None, Obj | None]:
    """The user's Ingress and the canary Ingress, as far as they are there."""
    ref = canary.spec.ingress_ref
    if ref is None:
        return None, None
    return manifest.find(current, KIND, ref.name), manifest.find(current, KIND, canary_name(ref.name))


def _refusal(canary: Canary, source: Obj | None, have: Obj | None) -> str:
    """Why there can be no canary Ingress, as a sentence; "" when there can."""
    ref = canary.spec.ingress_ref
    if ref is None:
        return "spec.ingressRef is missing"
    if have is not None and not manifest.is_ours(have, canary):
        return f"Ingress {_name(canary)} is not made by this Canary: one Ingress takes one canary; delete it, or name another ingressRef"
    if source is None:
        return f"Ingress {ref.name} of spec.ingressRef is not there"
    if not leads_to(source, canary.apex):
        return f"Ingress {ref.name} has no path that leads to Service {canary.apex}"
    return ""


def leads_to(ingress: Mapping[str, Any], service: str) -> bool:
    """Whether a path of the Ingress, or its default backend, leads to that Service. The Ingress may have any shape."""
    spec = _map(ingress.get("spec"))
    backends = [path.get("backend") for rule in _maps(spec.get("rules")) for path in _maps(_map(rule.get("http")).get("paths"))]
    return any(_is_backend(backend, (service,)) for backend in [spec.get("defaultBackend"), *backends])


def _is_backend(backend: Any, services: Sequence[str]) -> bool:
    return _map(_map(backend).get("service")).get("name") in services


def _map(value: Any) -> Obj:
    return value if isinstance(value, dict) else {}


def _maps(value: Any) -> list[Obj]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _spec(canary: Canary, model: Obj) -> Obj:
    """The spec of the canary Ingress: that of the model, but for the paths that lead elsewhere."""
    spec: Obj = copy.deepcopy(model.get("spec") or {})
    ours = (canary.apex, manifest.canary_service(canary))
    rules = []
    for rule in spec.pop("rules", None) or ():
        # a rule without paths would end ingress-nginx
        paths = [path for path in (rule.get("http") or {}).get("paths") or () if _is_backend(path.get("backend"), ours)]
        if paths:
            rules.append({**rule, "http": {**rule["http"], "paths": paths}})
    if rules:
        spec["rules"] = rules
    if not _is_backend(spec.get("defaultBackend"), ours):
        spec.pop("defaultBackend", None)
    backends = [path["backend"] for rule in rules for path in rule["http"]["paths"]]
    for backend in [*backends, *([spec["defaultBackend"]] if "defaultBackend" in spec else [])]:
        backend["service"]["name"] = manifest.canary_service(canary)
    return spec


def _annotations(obj: Obj | None) -> dict[str, str]:
    return ((obj or {}).get("metadata") or {}).get("annotations") or {}


def _copied(model: Obj, prefix: str) -> dict[str, str]:
    """The annotations of the model without those of a canary, and without kubectl's copy of it."""
    return {key: value for key, value in _annotations(model).items() if not key.startswith(f"{prefix}canary") and key != LAST_APPLIED}


def _canary_annotations(canary: Canary, split: RouteSplit, model: Obj, prefix: str) -> dict[str, str]:
    wanted = {"canary": "true", "canary-weight": str(split.canary)}
    if split.match:
        choice = _choice(canary.spec.plan.match)
        named = {"cookie": choice.cookie, "header": choice.header, "header-value": choice.value, "header-pattern": choice.pattern}
        wanted |= {f"canary-by-{name}": value for name, value in named.items() if value}
    elif split.canary == 0 and _annotations(model).get(f"{prefix}affinity"):
        # visitors that are pinned to the canary's pods would stay there at weight 0
        wanted["affinity-canary-behavior"] = "legacy"
    return {f"{prefix}{name}": value for name, value in wanted.items()}


def _foreign_switches(have: Obj | None, wanted: Mapping[str, str], prefix: str) -> list[str]:
    """Annotations of a canary that somebody else put there: they become ours by an empty value, which ingress-nginx takes for none, and
    go with the next write."""
    mine = manifest.owned(have, "metadata", "annotations")
    return [key for key in _annotations(have) if key.startswith(f"{prefix}canary") and key not in wanted and key not in mine]


def _split(have: Obj, settings: Settings) -> RouteSplit | None:
    """None for an Ingress that is no canary: to ingress-nginx it is a second one for the same paths."""
    given = {
        key.removeprefix(f"{settings.ingress_annotations_prefix}/"): value
        for key, value in _annotations(have).items()
        if key.startswith(f"{settings.ingress_annotations_prefix}/canary")
    }
    if given.get("canary") not in TRUE:
        return None
    weight, total = _number(given.get("canary-weight"), 0), max(_number(given.get("canary-weight-total"), 100), 100)
    match = bool(given.get("canary-by-header") or given.get("canary-by-cookie"))
    return RouteSplit(min(max(round(100 * weight / total), 0), 100), match)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"[+-]?[0-9]{1,9}", text) else default


def _slots(matches: Sequence[AnalysisMatch]) -> tuple[dict[str, Comparison], list[str]]:
    """The headers that are compared, each with how, and the names of cookies."""
    headers: dict[str, Comparison] = {}
    cookies: list[str] = []
    for match in matches:
        for name in sorted(match.headers):
            for test in matching.chosen(match.headers[name]):
                if name.lower() == "cookie" and test.kind == "exact":
                    cookies.append(test.value)
                else:
                    headers[name] = test
    return headers, cookies


def _choice(matches: Sequence[AnalysisMatch]) -> Choice:
    headers, cookies = _slots(matches)
    cookie = cookies[-1] if cookies else ""
    if not headers:
        return Choice(cookie=cookie)
    name, test = list(headers.items())[-1]
    if test.kind == "exact" and _PLAIN.fullmatch(test.value):
        return Choice(name, value=test.value, cookie=cookie)
    if test.kind == "regex":
        return Choice(name, pattern=test.value, cookie=cookie)
    text = _literal(test.value)
    pattern = {"exact": f"^{text}$", "prefix": f"^{text}", "suffix": f"{text}$"}[test.kind]
    return Choice(name, pattern=pattern, cookie=cookie)


def _literal(text: str) -> str:
    """A pattern (PCRE on bytes) of this text alone, in characters that ingress-nginx lets through."""
    return "".join(chr(byte) if byte in _SAFE else f"\\x{byte:02x}" for byte in text.encode())


def _match_problems(matches: Sequence[AnalysisMatch], at: str) -> list[str]:
    """ingress-nginx takes a request when one header or one cookie says so: there is no "and", and no second of either."""
    found = []
    for index, match in enumerate(matches):
        if len(match.headers) > 1:
            found.append(
                f"{at}.match[{index}].headers: names {', '.join(sorted(match.headers))}, and ingress-nginx cannot ask for several at once; "
                "write a match for each if one of them is enough"
            )
    headers, cookies = _slots(matches)
    if len(headers) > 1 or sum(1 for match in matches for name in match.headers if name in headers) > 1:
        found.append(f"{at}.match: compares more than one header, or one more than once, and ingress-nginx compares one header once")
    if len(cookies) > 1:
        found.append(f"{at}.match: names the cookies {', '.join(cookies)}, and ingress-nginx looks at one")
    for name in cookies:
        if not _COOKIE.fullmatch(name):
            found.append(f"{at}.match: {name!r} is no name of a cookie; with provider {PROVIDER} exact names one whose value is always")
    return found
