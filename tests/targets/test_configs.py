"""ConfigMaps and Secrets of a target: what is tracked, Flagger's checksum to the byte, versioned copies."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.names import FOLLOWED_CONFIGS
from flaggerpy.targets import configs
from flaggerpy.targets.configs import (
    ConfigRef,
    checksum,
    checksums,
    copy,
    copy_name,
    copy_names,
    followed_by,
    followed_text,
    kind_of,
    mode,
    references,
    rename_references,
    tracked,
)
from flaggerpy.targets.metadata import owned_by, with_owner
from tests.targets.builders import Obj, canary, config_map

POD: Obj = {
    "containers": [
        {
            "name": "a",
            "env": [
                {"name": "PLAIN", "value": "1"},
                {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "env-map", "key": "x"}}},
                {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "env-secret", "key": "y", "optional": True}}},
                {"name": "Z", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "all-map"}}, {"secretRef": {"name": "all-secret"}}],
        }
    ],
    "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "init-map", "optional": True}}]}],
    "volumes": [
        {"name": "v1", "configMap": {"name": "volume-map", "optional": True}},
        {"name": "v2", "secret": {"secretName": "volume-secret"}},
        {
            "name": "v3",
            "projected": {
                "sources": [
                    {"configMap": {"name": "projected-map"}},
                    {"secret": {"name": "projected-secret"}},
                    {"serviceAccountToken": {"path": "t"}},
                ]
            },
        },
        {"name": "v4", "emptyDir": {}},
    ],
    "imagePullSecrets": [{"name": "registry"}],
    "ephemeralContainers": [{"name": "e", "envFrom": [{"configMapRef": {"name": "debug"}}]}],
}


def test_every_place_that_may_name_a_config_is_read() -> None:
    assert references(POD) == [
        ConfigRef("configmap", "env-map"),
        ConfigRef("secret", "env-secret", True),
        ConfigRef("configmap", "all-map"),
        ConfigRef("secret", "all-secret"),
        ConfigRef("configmap", "init-map", True),
        ConfigRef("configmap", "volume-map", True),
        ConfigRef("secret", "volume-secret"),
        ConfigRef("configmap", "projected-map"),
        ConfigRef("secret", "projected-secret"),
    ]
    assert ConfigRef("secret", "x").key == "secret/x"
    assert references({"containers": [{"name": "a"}]}) == []


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
@pytest.mark.fault("Q-65")
def test_a_config_is_optional_only_when_every_reference_is(flags: tuple[bool, bool]) -> None:
    env_from = [{"configMapRef": {"name": "m", "optional": flag}} for flag in flags]
    assert references({"containers": [{"name": "a", "envFrom": env_from}]}) == [ConfigRef("configmap", "m", False)]


def test_every_reference_is_renamed_and_nothing_else() -> None:
    before = json.dumps(POD)
    mapping: dict[tuple[str, str], str] = {(ref.kind, ref.name): f"{ref.name}-copy" for ref in references(POD)}
    renamed = rename_references(POD, mapping)
    assert json.dumps(POD) == before
    assert [ref.name for ref in references(renamed)] == [f"{ref.name}-copy" for ref in references(POD)]
    assert renamed["imagePullSecrets"] == POD["imagePullSecrets"]
    assert renamed["ephemeralContainers"] == POD["ephemeralContainers"]
    assert json.dumps(renamed).replace("-copy", "") == before
    assert rename_references(POD, {("configmap", "env-secret"): "no"}) == POD


# expected values printed by Go's encoding/json and crypto/sha256
GO_SUMS = [
    (None, "74234e98afe7498f"),
    ({}, "44136fa355b3678a"),
    ({"b": '<a href="x">&\n\t\r\b\f\x01\x7f\\/ é 🔥 \u2028\u2029', "a": "1", "Z": "z"}, "b26939d29b26e8aa"),
    ({"password": base64.b64encode(b"s3cr3t>>>").decode(), "a": "AP/+", "e": ""}, "198df093d6bff13f"),
]


@pytest.mark.parametrize(("data", "digest"), GO_SUMS)
def test_the_checksum_is_the_one_that_flagger_stores(data: dict[str, str] | None, digest: str) -> None:
    assert checksum({"kind": "ConfigMap", "data": data} if data is not None else {"kind": "ConfigMap"}) == digest


@given(st.dictionaries(st.text("ab.-_", min_size=1), st.text(), min_size=1))
def test_the_checksum_follows_the_data_alone(data: dict[str, str]) -> None:
    digest = checksum({"data": data, "metadata": {"name": "x"}})
    assert re.fullmatch("[0-9a-f]{16}", digest)
    assert checksum({"data": dict(reversed(data.items())), "metadata": {"name": "y"}}) == digest
    assert checksum({"data": data | {"more": "1"}}) != digest


def test_binary_data_counts_where_there_is_some() -> None:
    plain = config_map()
    assert checksum(plain | {"binaryData": {}}) == checksum(plain)
    assert checksum(plain | {"binaryData": {"logo": "AAEC"}}) not in (checksum(plain), checksum(plain | {"binaryData": {"logo": "AAED"}}))


unescaped = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="<>&\u2028\u2029"))


@given(st.dictionaries(st.text("abc", min_size=1), unescaped))
def test_without_what_go_escapes_it_is_plain_json(data: dict[str, str]) -> None:
    plain = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert checksum({"data": data}) == hashlib.sha256(plain.encode()).hexdigest()[:16]


def secret(kind: str | None) -> Obj:
    return {"kind": "Secret", "metadata": {"name": "s"}, **({"type": kind} if kind else {})}


def annotated(word: str, type_: str = "Opaque") -> Obj:
    return secret(type_) | {"metadata": {"name": "s", "annotations": {"flagger.app/config-tracking": word}}}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (annotated("track"), "track"),
        (annotated("follow"), "follow"),
        (annotated("ignore"), "ignore"),
        (annotated("disabled"), "ignore"),
        (annotated("folow"), "track"),
        (annotated("follow", "example.com/own"), "follow"),
        (annotated("track", "example.com/own"), "track"),
        (annotated("enabled", "example.com/own"), "ignore"),
    ],
)
def test_an_object_says_how_it_is_treated(obj: Obj, expected: str) -> None:
    assert mode(obj) == expected


@pytest.mark.parametrize(
    ("obj", "is_tracked"),
    [
        (config_map(), True),
        (config_map(metadata={"name": "m", "annotations": {"flagger.app/config-tracking": "disabled"}}), False),
        (config_map(metadata={"name": "m", "annotations": {"flagger.app/config-tracking": "disable"}}), False),
        (config_map(metadata={"name": "m", "annotations": {"flagger.app/config-tracking": "enabled"}}), True),
        (secret(None), True),
        (secret("Opaque"), True),
        (secret("kubernetes.io/basic-auth"), True),
        (secret("kubernetes.io/ssh-auth"), True),
        (secret("kubernetes.io/tls"), True),
        (secret("kubernetes.io/dockerconfigjson"), False),
        (secret("kubernetes.io/service-account-token"), False),
        (secret("example.com/own"), False),
    ],
)
def test_what_is_tracked(obj: Obj, is_tracked: bool) -> None:
    assert tracked(obj) is is_tracked


def test_the_checksums_are_keyed_as_in_the_status() -> None:
    one, two = config_map("one"), secret("Opaque") | {"data": {"k": "dg=="}}
    assert checksums([one, two, secret("helm.sh/release.v1")]) == {"configmap/one": checksum(one), "secret/s": checksum(two)}


@pytest.mark.fault("Q-19")
def test_copies_are_named_by_their_version() -> None:
    assert copy_name("settings", "0123456789abcdef") == "settings-primary-01234567"
    assert copy_names({"configmap/a": "1" * 16, "secret/b": "2" * 16}) == {
        ("configmap", "a"): "a-primary-11111111",
        ("secret", "b"): "b-primary-22222222",
    }


@given(st.text("abc", min_size=1, max_size=253), st.text("abc", min_size=1, max_size=253))
def test_names_of_copies_fit_and_stay_apart(one: str, two: str) -> None:
    assert len(copy_name(one, "0" * 16)) <= 253
    assert (copy_name(one, "0" * 16) == copy_name(two, "0" * 16)) == (one == two)


def test_a_copy_keeps_what_pods_see_and_drops_what_others_manage() -> None:
    source = config_map(
        immutable=True,
        binaryData={"logo": "AAEC"},
        metadata={
            "name": "settings",
            "namespace": "shop",
            "labels": {"team": "a", "app": "x", "kustomize.toolkit.fluxcd.io/name": "f"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "resourceVersion": "7",
        },
    )
    made = copy(source, canary(), "0123456789abcdef", include_label_prefix=("te",))
    assert made == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "settings-primary-01234567",
            "namespace": "shop",
            "labels": {"team": "a", "flagger.app/canary": "podinfo"},
            "ownerReferences": [
                {
                    "apiVersion": "flagger.app/v1beta1",
                    "kind": "Canary",
                    "name": "podinfo",
                    "uid": "canary-uid",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "immutable": True,
        "data": {"a": "1"},
        "binaryData": {"logo": "AAEC"},
    }
    # nobody shall edit what running pods see, whether or not its owner edits the original
    assert copy(config_map(), canary(), "0123456789abcdef")["immutable"] is True


def test_a_secret_keeps_its_type() -> None:
    made = copy(secret("kubernetes.io/tls") | {"data": {"tls.key": "eA=="}}, canary(), "f" * 16)
    assert (made["kind"], made["type"], made["data"]) == ("Secret", "kubernetes.io/tls", {"tls.key": "eA=="})


def test_canaries_that_share_a_config_stay_its_owners() -> None:
    first = copy(config_map(), canary("one", "uid-1"), "f" * 16)["metadata"]["ownerReferences"]
    both = with_owner(first, canary("two", "uid-2"))
    assert [(owner["uid"], owner["controller"]) for owner in both] == [("uid-1", True), ("uid-2", False)]
    assert with_owner(both, canary("two", "uid-2")) == both
    assert [(owner["uid"], owner["controller"]) for owner in with_owner([], canary("two", "uid-2"))] == [("uid-2", True)]
    assert owned_by({"metadata": {"ownerReferences": both}}, canary("two", "uid-2"))
    assert not owned_by({"metadata": {"ownerReferences": first}}, canary("two", "uid-2"))


def test_what_a_primary_follows_is_read_back() -> None:
    followed = {"secret/db": "1" * 16, "configmap/flags.v2": "2" * 16}
    primary = {"metadata": {"annotations": {"flagger.app/followed-configs": followed_text(followed)}}}
    assert followed_by(primary) == followed
    assert followed_by(None) == followed_by({"metadata": {}}) == {}


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="neither a ConfigMap nor a Secret"):
        kind_of({"kind": "Pod"})


def test_empty_fields_are_no_references() -> None:
    empty: dict[str, Any] = {"containers": [{"name": "a", "env": None, "envFrom": None}], "initContainers": None, "volumes": None}
    assert references(empty) == []
    assert references({"volumes": [{"name": "v", "projected": {"sources": None}}, {"name": "w", "configMap": {"name": ""}}]}) == []


def test_a_name_is_cut_only_where_it_does_not_fit() -> None:
    digest, longest = "0123456789abcdef", "n" * (253 - len("-primary-01234567"))
    assert configs.copy_name(longest, digest) == f"{longest}-primary-01234567"
    short = hashlib.sha256(f"{longest}n".encode()).hexdigest()[:10]
    assert configs.copy_name(f"{longest}n", digest) == f"{'n' * 200}-{short}-primary-01234567"


def test_a_copy_is_told_by_its_label_and_shares_nothing_with_its_source() -> None:
    source = config_map(data={"a": "1"})
    made = configs.copy(source, canary(), "0123456789abcdef")
    made["data"]["a"] = "2"
    assert source["data"] == {"a": "1"}
    assert configs.is_copy(made)
    assert not configs.is_copy(source)
    assert not configs.is_copy({})


def test_what_is_neither_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'Pod' is neither a ConfigMap nor a Secret"):
        configs.kind_of({"kind": "Pod"})


def test_followed_configs_are_read_as_far_as_they_can_be() -> None:
    primary = {"metadata": {"annotations": {FOLLOWED_CONFIGS: "configmap/a=1,broken,=2,secret/b="}}}
    assert configs.followed_by(primary) == {"configmap/a": "1"}
    assert configs.followed_by(None) == {}
