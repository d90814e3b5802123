"""Diagnosis: every row of what a kubelet says is recognised, named with its image or name, and comes with something to do."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.rollout.causes.table import BY_ID, TABLE
from flaggerpy.rollout.diagnosis import Diagnosis, diagnose, ended, normalised, recognise, refused_pod, registry_of, shortened
from flaggerpy.rollout.facts import ContainerFacts
from tests.rollout import kubelet
from tests.rollout.kubelet import HOST, IMAGE, LONG_ID, OTHER_ROWS, ROWS, UID, Row, backed_off, pod, running, waiting


def told(of: Diagnosis | None) -> Diagnosis:
    assert of is not None
    return of


@pytest.mark.parametrize("row", ROWS + OTHER_ROWS, ids=lambda row: row.case)
def test_every_row_of_the_kubelet_is_recognised(row: Row) -> None:
    found = told(diagnose(pod(), waiting(row.reason, row.message)))
    assert (found.cause, found.class_) == (row.cause, row.cls)
    assert "{" not in found.text + found.advice
    assert "(unknown)" not in found.text
    assert "container podinfo" in found.what
    assert found.advice
    assert found.command.startswith(("kubectl", "openssl"))


@pytest.mark.parametrize("row", ROWS + OTHER_ROWS, ids=lambda row: row.case)
def test_normalising_and_shortening_never_change_the_cause(row: Row) -> None:
    clean = normalised(row.message)
    assert normalised(clean) == clean
    assert recognise(row.reason, clean)[0].id == row.cause
    long = clean.replace(IMAGE, f"{HOST}/{'very-long-name/' * 15}podinfo:6.9.9")
    assert recognise(row.reason, shortened(long, 300))[0].id == row.cause


TEXTS = {
    "tag missing": (
        f"image {IMAGE} of container podinfo does not exist",
        f"the registry {HOST} answered that it has no such repository or tag",
    ),
    "ConfigMap missing": (
        "ConfigMap podinfo-config, which container podinfo needs, does not exist",
        "its environment refers to it, so the container is not created",
    ),
    "Secret missing": (
        "Secret podinfo-config, which container podinfo needs, does not exist",
        "its environment refers to it, so the container is not created",
    ),
    "key missing": (
        "ConfigMap podinfo-config has no key LEVEL, which container podinfo needs",
        "its environment refers to that key, so the container is not created",
    ),
    "command missing": (f"the command /bin/nope of container podinfo does not exist in image {IMAGE}", "the container cannot start"),
    "working directory is a file": (
        f"the working directory /etc/passwd of container podinfo cannot be used in image {IMAGE}",
        "it is a file, or it may not be entered",
    ),
    "503": (
        f"the registry {HOST} failed on image {IMAGE} of container podinfo with 503 Service Unavailable",
        "the registry itself, or something before it, is in trouble; the kubelet tries again",
    ),
    "an unlisted error": ("container podinfo fails with ErrSomethingNew", "who knows"),
}


@pytest.mark.parametrize("row", TEXTS)
def test_the_texts_say_what_happened_and_what_it_means(row: str) -> None:
    chosen = next(r for r in ROWS if r.case == row)
    found = told(diagnose(pod(), waiting(chosen.reason, chosen.message)))
    assert (found.what, found.means) == TEXTS[row]
    assert found.text == f"{found.what}: {found.means}"


@pytest.mark.parametrize("name", ["timeout", "eof", "unauthorized", "signature", "no-such-host", "x509"])
def test_an_image_named_like_a_cause_is_no_cause(name: str) -> None:
    for image in (f"{HOST}/{name}:503", f"docker.io/{name}/{name}:429"):
        pull = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
        assert recognise("ErrImagePull", f"rpc error: code = NotFound desc = {pull}{image}: not found")[0].id == "image-missing"
        refused = f'{pull}failed to do request: Head "https://{image}": dial tcp 1.1.1.1:443: connect: connection refused'
        assert recognise("ErrImagePull", refused)[0].id == "pull-refused"


@pytest.mark.parametrize(
    ("code", "reason", "cause", "words"),
    [
        (1, "Error", "crash", "container podinfo crashes with exit code 1"),
        (2, "Error", "crash", "container podinfo crashes with exit code 2"),
        (126, "Error", "crash-126", "may not execute it"),
        (127, "Error", "crash-127", "did not find the command"),
        (134, "Error", "crash-134", "SIGABRT"),
        (136, "Error", "crash-signal", "container podinfo crashes with exit code 136 (signal 8)"),
        (137, "OOMKilled", "crash-oom", "passing its memory limit"),
        (137, "Error", "crash-137", "SIGKILL"),
        (139, "Error", "crash-139", "SIGSEGV"),
        (143, "Error", "crash-143", "SIGTERM"),
        (255, "Error", "crash", "exit code 255"),
    ],
)
def test_exit_codes_are_explained_alike_while_ended_and_in_back_off(code: int, reason: str, cause: str, words: str) -> None:
    now = told(diagnose(pod(), kubelet.ended(code, reason=reason)))
    later = told(diagnose(pod(), backed_off(code, last_reason=reason)))
    assert (now.cause, now.class_) == (later.cause, later.class_) == (cause, "crash")
    assert words in now.text
    assert now.text == later.text


REFUSED = next(row for row in ROWS if row.case == "401")
DENIED = next(row for row in ROWS if row.case == "token given, still refused")
ABSENT = (
    "FailedToRetrieveImagePullSecret",
    "Unable to retrieve some image pull secrets (team); attempting to pull the image may not succeed.",
)


@pytest.mark.parametrize(
    ("row", "secrets", "events", "cause", "words"),
    [
        (REFUSED, (), (), "pull-no-credentials", f"the registry {HOST} wants credentials for image {IMAGE} of container podinfo, and"),
        (REFUSED, ("team",), (), "pull-credentials", "it was asked with pull secret team, which is wrong or expired"),
        (REFUSED, ("team",), (ABSENT,), "pull-secret-missing", "pull secret team of pod podinfo-1 does not exist, and the registry"),
        (DENIED, (), (), "image-denied", "may not be read without credentials, as the pod names no pull secret"),
        (DENIED, ("team", "mine"), (), "image-denied", "may not be read with pull secrets team, mine"),
        (DENIED, ("team",), (ABSENT,), "pull-secret-missing", "pull secret team of pod podinfo-1 does not exist, and the registry"),
    ],
)
def test_a_refused_pull_is_told_with_the_pull_secrets_of_its_pod(
    row: Row, secrets: tuple[str, ...], events: tuple[tuple[str, str], ...], cause: str, words: str
) -> None:
    found = told(diagnose(pod(pull_secrets=secrets, events=events), waiting(row.reason, row.message)))
    assert (found.cause, found.class_) == (cause, "doubtful" if cause == "pull-secret-missing" else "certain")
    assert words in found.text


def test_a_missing_pull_secret_is_no_cause_of_another_failure() -> None:
    row = next(row for row in ROWS if row.case == "tag missing")
    assert told(diagnose(pod(events=(ABSENT,)), waiting(row.reason, row.message))).cause == "image-missing"
    assert told(diagnose(pod(events=(ABSENT,)), waiting("ContainerCreating"))).cause == "creating"


def test_a_pull_that_takes_its_time_is_told_as_that() -> None:
    found = told(diagnose(pod(pulling=frozenset({"podinfo"})), waiting("ContainerCreating")))
    assert (found.cause, found.class_, found.quiet, found.reason, found.message) == ("pulling", "waiting", True, "Pulling", "")
    assert found.what == f"image {IMAGE} of container podinfo is still being pulled"
    assert told(diagnose(pod(pulling=frozenset({"other"})), waiting("ContainerCreating"))).cause == "creating"
    mount = ("FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "c" not found')
    assert told(diagnose(pod(pulling=frozenset({"podinfo"}), events=(mount,)), waiting("ContainerCreating"))).cause != "pulling"


@pytest.mark.parametrize(("message", "shown"), [("it has no use.", "it has no use"), ("it needs a PAXX", "it needs a PAXX")])
def test_words_that_nobody_knows_are_told_without_their_full_stop(message: str, shown: str) -> None:
    assert told(diagnose(pod(), waiting("OddError", message))).text.endswith(shown)


def test_a_certificate_is_told_with_the_names_that_it_has() -> None:
    row = next(row for row in ROWS if row.case == "certificate of another")
    found = told(diagnose(pod(), waiting(row.reason, row.message)))
    assert found.means == "it is valid for elsewhere.example.com, not for what the image calls the registry"
    assert f"-connect {HOST} " in found.command


def test_back_off_after_a_command_that_cannot_start_is_told_as_that_command() -> None:
    row = next(r for r in ROWS if r.case == "command missing")
    found = told(diagnose(pod(), backed_off(128, last_reason="StartError", last_message=row.message)))
    assert (found.cause, found.class_) == ("command-missing", "certain")


def test_back_off_whose_end_is_not_known_any_more_is_still_a_crash() -> None:
    assert told(diagnose(pod(), backed_off(last_exit_code=None, last_reason=""))).class_ == "crash"


def test_a_kill_by_a_probe_is_no_crash() -> None:
    of = pod(probe_kills=frozenset({"podinfo"}))
    well = (kubelet.ended(0), backed_off(0), running(ready=False, restarts=1, last=0))  # a program that ends as it is told to
    for state in (kubelet.ended(137), backed_off(137), running(ready=False, restarts=1, last=137), *well):
        assert (told(diagnose(of, state)).cause, told(diagnose(of, state)).class_) == ("probe-kill", "waiting")


@pytest.mark.parametrize(("reason", "cause"), [("Evicted", "evicted"), ("Terminated", "node-shutdown"), ("OutOfcpu", "evicted")])
def test_the_end_of_a_pod_by_its_node_is_no_crash(reason: str, cause: str) -> None:
    of = pod(phase="Failed", reason=reason)
    assert (told(diagnose(of, kubelet.ended(137))).cause, told(diagnose(of, kubelet.ended(137))).class_) == (cause, "waiting")


def test_a_lost_node_is_named_while_its_last_words_say_that_all_is_well() -> None:
    event = ("NodeNotReady", "Node is not ready")
    found = told(diagnose(pod(running(), ready=False, events=(event,)), running()))
    assert (found.cause, found.class_, found.quiet) == ("node-lost", "waiting", False)
    assert found.what == "node node-1 of pod podinfo-1 does not answer any more"
    assert diagnose(pod(running(), events=(event,)), running()) is None
    assert diagnose(pod(running(), ready=False), running()) is None


def test_an_exit_with_0_waits_and_an_init_container_that_is_done_is_well() -> None:
    assert told(diagnose(pod(), kubelet.ended(0))).cause == "clean-exit"
    assert told(diagnose(pod(), backed_off(0))).class_ == "waiting"
    assert diagnose(pod(), kubelet.ended(0, role="init")) is None
    assert diagnose(pod(), running(role="init", ready=False)) is None
    assert diagnose(pod(), running()) is None


def test_init_containers_and_sidecars_are_named_as_such() -> None:
    assert told(diagnose(pod(), kubelet.ended(1, "migrate", role="init"))).what.startswith("init container migrate crashes")
    assert told(diagnose(pod(), kubelet.ended(1, "proxy", role="sidecar"))).what.startswith("sidecar container proxy crashes")


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (("FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "podinfo-config" not found'), "volume-config-missing"),
        (("FailedMount", 'MountVolume.SetUp failed for volume "v" : references non-existent config key: k'), "volume-key-missing"),
        (("FailedAttachVolume", "Multi-Attach error for volume"), "volume"),
        (("FailedCreatePodSandBox", "container init was OOM-killed (memory limit too low?): unknown"), "sandbox-memory"),
        (("FailedCreatePodSandBox", "no network"), "sandbox"),
        (("BackOff", "unrelated"), "creating"),
    ],
)
def test_what_no_status_tells_is_read_from_events(event: tuple[str, str], cause: str) -> None:
    found = told(diagnose(pod(events=(event,)), waiting("ContainerCreating")))
    assert (found.cause, found.class_, found.quiet) == (cause, "waiting", cause == "creating")


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ('0/1 nodes are available: persistentvolumeclaim "data" not found. not eligible for preemption.', "volume-claim-missing"),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "volume-claim-pending"),
        ("0/1 nodes are available: 1 Insufficient memory.", "unschedulable"),
    ],
)
def test_a_claim_that_keeps_a_pod_from_its_node_is_named(message: str, cause: str) -> None:
    found = told(diagnose(pod(unschedulable=message), kubelet.container()))
    assert (found.cause, found.class_) == (cause, "waiting")


def test_a_pod_that_its_node_refuses_is_doubtful_and_says_what_is_refused() -> None:
    message = 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted'
    found = told(diagnose(pod(kubelet.container(), phase="Failed", reason="SysctlForbidden", message=message), kubelet.container()))
    assert (found.cause, found.class_) == ("pod-rejected", "doubtful")
    assert found.what == "node node-1 refuses pod podinfo-1 (SysctlForbidden)"
    assert "kernel.msgmax" in found.text


def test_an_unschedulable_pod_is_named_with_the_scheduler_s_words() -> None:
    message = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No victims."
    for said in (message, "0/1 nodes are available: 1 Insufficient cpu."):
        found = told(diagnose(pod(unschedulable=said), kubelet.container()))
        assert found.text == "no node takes pod podinfo-1: 0/1 nodes are available: 1 Insufficient cpu"
        assert found.message == said


@pytest.mark.parametrize("probe", ["startup", "readiness", "liveness"])
def test_a_failing_probe_is_named_and_waits(probe: str) -> None:
    message = f"{probe.capitalize()} probe failed: HTTP probe failed with statuscode: 503"
    found = told(diagnose(pod(events=(("Unhealthy", message),)), running(ready=False)))
    assert (found.cause, found.class_, found.quiet) == (f"{probe}-probe", "waiting", False)
    assert "statuscode: 503" in found.text


@pytest.mark.parametrize("container", [running(ready=False), waiting("PodInitializing"), waiting("ContainerCreating"), kubelet.container()])
def test_a_pod_on_its_way_is_quiet(container: ContainerFacts) -> None:
    assert told(diagnose(pod(), container)).quiet


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ('pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3', "pod-quota"),
        ("no node matches its nodeSelector, affinity and tolerations", "no-node"),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', "pod-security"),
        ('pods "x" is forbidden: error looking up service account shop/web: serviceaccount "web" not found', "pod-service-account"),
        ('admission webhook "policy.example.com" denied the request: no', "pod-webhook"),
        (
            'Internal error occurred: failed calling webhook "policy.example.com": failed to call webhook: Post "https://10.0.0.9/": '
            "dial tcp 10.0.0.9:443: connect: connection refused",
            "pod-webhook-down",
        ),
        ("pods \"x\" is forbidden: ValidatingAdmissionPolicy 'owner' with binding 'owner' denied request: no owner", "pod-policy"),
        ("something else", "pod-refused"),
    ],
)
def test_why_no_pod_can_be_made(error: str, cause: str) -> None:
    found = refused_pod(error, namespace="shop")
    assert (found.cause, found.class_) == (cause, "waiting")
    assert error[-10:] in found.text
    assert "(unknown)" not in found.text


def test_commands_name_the_namespace() -> None:
    found = told(diagnose(pod(), kubelet.ended(1), namespace="shop"))
    assert found.command == "kubectl -n shop logs podinfo-1 -c podinfo --previous"


@pytest.mark.parametrize(
    ("message", "clean"),
    [
        (f'failed to generate container "{LONG_ID}" spec', 'failed to generate container "ID" spec'),
        ("read udp 10.0.0.7:43021->10.0.0.53:53: i/o timeout", "read udp FROM->10.0.0.53:53: i/o timeout"),
        (f'(pod: "podinfo-1_shop({UID})")', '(pod: "podinfo-1_shop(UID)")'),
        ("back-off 1m20s restarting failed container=x", "back-off restarting failed container=x"),
        ("back-off 5m0s restarting failed", "back-off restarting failed"),
        ("a\n  b\tc ", "a b c"),
        ("on /var/tmpmounts/containerd-mount405469000: archive/tar", "on /var/tmpmounts/containerd-mount: archive/tar"),
        (f"image x@sha256:{LONG_ID}: not found", f"image x@sha256:{LONG_ID}: not found"),
    ],
)
def test_what_differs_from_try_to_try_is_taken_out(message: str, clean: str) -> None:
    assert normalised(message) == clean


@pytest.mark.parametrize(
    ("image", "host"),
    [("nginx:1", "docker.io"), ("team/app", "docker.io"), ("ghcr.io/team/app:1", "ghcr.io"), ("localhost/app", "localhost"), (IMAGE, HOST)],
)
def test_the_registry_of_an_image(image: str, host: str) -> None:
    assert registry_of(image) == host


FIELDS = {"who", "name", "pod", "node", "image", "host", "reason", "message", "code", "signal", "ns", "secrets", "address"}


@pytest.mark.parametrize("cause", TABLE, ids=lambda cause: cause.id)
def test_every_cause_tells_what_happened_what_it_means_and_what_to_do(cause: object) -> None:
    row = BY_ID[cause.id]  # type: ignore[attr-defined]
    known = FIELDS | set(row.match_message.groupindex)
    for text in (row.what, row.means, row.advice, row.command):
        assert {name for _, name, _, _ in string.Formatter().parse(text) if name is not None} <= known
    assert row.what
    assert row.means
    assert not row.what.endswith(".")
    assert not row.means.endswith(".")
    assert row.advice.endswith(".")
    assert row.command.startswith(("kubectl", "openssl"))
    assert row.example


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(TABLE)


@given(st.text(max_size=40), st.text(max_size=200), st.integers(0, 5), st.sampled_from(["waiting", "running", "terminated", "none"]))
def test_there_is_a_diagnosis_for_whatever_is_reported(reason: str, message: str, code: int, state: str) -> None:
    of = replace(waiting(reason, message), state=state, exit_code=code, last_exit_code=code)  # type: ignore[arg-type]
    found = diagnose(pod(), of)
    assert found is not None
    assert found.text


@given(st.integers(1, 255))
def test_every_exit_code_has_a_cause(code: int) -> None:
    assert ended(code, "Error").cls == "crash"


@given(st.text(max_size=500), st.integers(10, 300))
def test_shortening_keeps_the_bound(text: str, limit: int) -> None:
    assert len(shortened(text, limit)) <= limit
    assert len(text) > limit or shortened(text, limit) == text


def test_a_working_directory_that_cannot_be_entered_is_named() -> None:
    message = 'error during container init: chdir to cwd ("/srv/app") set in config.json failed: permission denied'
    container = waiting("RunContainerError", message)
    found = diagnose(pod(container), container)
    assert found is not None
    assert found.cause == "working-directory"
    assert "/srv/app" in found.what
