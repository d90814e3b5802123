"""What a real kubelet reports (Kubernetes 1.34, containerd 1.6), row by row: the material that diagnosis and verdict are tested with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flaggerpy.rollout.facts import ContainerFacts, PodFacts

HOST = "registry.example.com:5000"
IMAGE = f"{HOST}/team/podinfo:6.9.9"
PULL = f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": '
HEAD = f'failed to do request: Head "https://{HOST}/v2/team/podinfo/manifests/6.9.9": '
RUNC = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
RUNC += "unable to start container process: "
UID = "0b1c2d3e-4f56-4789-8abc-def012345678"
LONG_ID = "3f" * 32


def status(code: str) -> str:
    return f"{PULL}pulling from host {HOST} failed with status code [manifests 6.9.9]: {code}"


@dataclass(frozen=True)
class Row:
    case: str
    cause: str
    cls: str
    reason: str
    message: str


ROWS = (
    Row("tag missing", "image-missing", "certain", "ErrImagePull", f"rpc error: code = NotFound desc = {PULL}{IMAGE}: not found"),
    Row(
        "manifest list without linux/amd64", "image-platform", "certain", "ErrImagePull",
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": no match for platform in manifest: not found',
    ),
    Row("401", "pull-credentials", "certain", "ErrImagePull", status("401 Unauthorized")),
    Row("403", "pull-forbidden", "certain", "ErrImagePull", status("403 Forbidden")),
    Row("429", "pull-rate-limit", "doubtful", "ErrImagePull", status("429 Too Many Requests")),
    Row("500", "pull-server-error", "doubtful", "ErrImagePull", status("500 Internal Server Error")),
    Row("503", "pull-server-error", "doubtful", "ErrImagePull", status("503 Service Unavailable")),
    Row(
        "token given, still refused", "image-denied", "certain", "ErrImagePull",
        f"{PULL}pull access denied, repository does not exist or may require authorization: server message: "
        "insufficient_scope: authorization failed",
    ),
    Row(
        "token refused", "pull-credentials", "certain", "ErrImagePull",
        f"{PULL}failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized",
    ),
    Row(
        "token server out of reach", "pull-timeout", "doubtful", "ErrImagePull",
        f'{PULL}failed to authorize: failed to fetch anonymous token: Get "https://auth/token": dial tcp 10.0.0.1:443: i/o timeout',
    ),
    Row("connection refused", "pull-refused", "doubtful", "ErrImagePull", f"{PULL}{HEAD}dial tcp {HOST}: connect: connection refused"),
    Row(
        "connection reset", "pull-broken-off", "doubtful", "ErrImagePull",
        f"{PULL}{HEAD}read tcp 10.0.0.7:44574->10.0.0.9:5000: read: connection reset by peer",
    ),
    Row(
        "a layer is missing", "image-incomplete", "doubtful", "ErrImagePull",
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": failed to copy: httpReadSeeker: failed open: '
        f"could not fetch content descriptor sha256:{LONG_ID} (application/vnd.docker.container.image.v1+json) from remote: not found",
    ),
    Row(
        "a layer is no archive", "image-broken", "doubtful", "ErrImagePull",
        f'failed to pull and unpack image "{IMAGE}": failed to extract layer sha256:{LONG_ID}: mount callback failed on '
        "/var/lib/containerd/tmpmounts/containerd-mount405469000: archive/tar: invalid tar header: unknown",
    ),
    Row(
        "a layer comes with an error", "pull-server-error", "doubtful", "ErrImagePull",
        f'failed to pull and unpack image "{IMAGE}": failed to copy: httpReadSeeker: failed open: unexpected status code '
        f"http://{HOST}/v2/team/podinfo/blobs/sha256:{LONG_ID}: 502 Bad Gateway - Server message: unknown: upstream",
    ),
    Row("no route", "pull-unreachable", "doubtful", "ErrImagePull", f"{PULL}{HEAD}dial tcp {HOST}: connect: no route to host"),
    Row("packets dropped", "pull-timeout", "doubtful", "ErrImagePull", f"{PULL}{HEAD}dial tcp {HOST}: i/o timeout"),
    Row("silent, HTTPS", "pull-timeout", "doubtful", "ErrImagePull", f"{PULL}{HEAD}net/http: TLS handshake timeout"),
    Row("plain HTTP", "pull-plain-http", "doubtful", "ErrImagePull", f"{PULL}{HEAD}http: server gave HTTP response to HTTPS client"),
    Row("self-signed", "pull-tls", "doubtful", "ErrImagePull", f"{PULL}{HEAD}x509: certificate signed by unknown authority"),
    Row(
        "certificate of another", "pull-tls-name", "doubtful", "ErrImagePull",
        f"{PULL}{HEAD}x509: certificate is valid for elsewhere.example.com, not registry.example.com",
    ),
    Row(
        "certificate without the address", "pull-tls-name", "doubtful", "ErrImagePull",
        f"{PULL}{HEAD}x509: cannot validate certificate for 10.0.0.9 because it doesn't contain any IP SANs",
    ),
    Row(
        "certificate expired", "pull-tls-expired", "doubtful", "ErrImagePull",
        f"{PULL}{HEAD}x509: certificate has expired or is not yet valid: current time 2026-11-26T18:50:00Z is after 2026-11-25T18:50:00Z",
    ),
    Row("TLS on loopback without hosts.toml", "pull-bad-request", "doubtful", "ErrImagePull", status("400 Bad Request")),
    Row(
        "name server silent", "pull-dns", "doubtful", "ErrImagePull",
        f"{PULL}{HEAD}dial tcp: lookup registry.example.com on 10.0.0.53:53: read udp 10.0.0.7:43021->10.0.0.53:53: i/o timeout",
    ),
    Row(
        "name server says so", "pull-dns", "doubtful", "ErrImagePull",
        f"{PULL}{HEAD}dial tcp: lookup registry.example.com on 10.0.0.53:53: no such host",
    ),
    Row("too many pulls", "pull-qps", "doubtful", "ErrImagePull", "pull QPS exceeded"),
    Row("back-off of a cause that is not told", "pull-unknown", "doubtful", "ImagePullBackOff", f'Back-off pulling image "{IMAGE}"'),
    Row(
        "back-off that tells its cause", "image-missing", "certain", "ImagePullBackOff",
        f'Back-off pulling image "{IMAGE}": ErrImagePull: rpc error: code = NotFound desc = {PULL}{IMAGE}: not found',
    ),
    Row(
        "policy Never", "image-never-pulled", "certain", "ErrImageNeverPull",
        f'Container image "{IMAGE}" is not present with pull policy of Never',
    ),
    Row(
        "image name invalid", "image-name-invalid", "certain", "InvalidImageName",
        'Failed to apply default image tag "Pod:1": couldn\'t parse image name "Pod:1": invalid reference format: '
        "repository name (Pod) must be lowercase",
    ),
    Row("ConfigMap missing", "config-missing", "certain", "CreateContainerConfigError", 'configmap "podinfo-config" not found'),
    Row("Secret missing", "config-missing", "certain", "CreateContainerConfigError", 'secret "podinfo-config" not found'),
    Row(
        "key missing", "config-key-missing", "certain", "CreateContainerConfigError",
        "couldn't find key LEVEL in ConfigMap shop/podinfo-config",
    ),
    Row(
        "runAsNonRoot", "run-as-root", "certain", "CreateContainerConfigError",
        f'container has runAsNonRoot and image will run as root (pod: "podinfo-1_shop({UID})", container: podinfo)',
    ),
    Row(
        "runAsNonRoot and a user by name", "run-as-named-user", "certain", "CreateContainerConfigError",
        f'container has runAsNonRoot and image has non-numeric user (somebody), cannot verify user is non-root '
        f'(pod: "podinfo-1_shop({UID})", container: podinfo)',
    ),
    Row(
        "runAsNonRoot and runAsUser 0", "run-as-root-asked", "certain", "CreateContainerConfigError",
        f'container\'s runAsUser breaks non-root policy (pod: "podinfo-1_shop({UID})", container: podinfo)',
    ),
    Row(
        "a busy node cannot read a Secret", "config-unread", "doubtful", "CreateContainerConfigError",
        "failed to sync secret cache: timed out waiting for the condition",
    ),
    Row(
        "no command", "no-command", "certain", "CreateContainerError",
        f'failed to generate container "{LONG_ID}" spec: failed to generate spec: no command specified',
    ),
    Row(
        "command missing", "command-missing", "certain", "RunContainerError",
        f'{RUNC}exec: "/bin/nope": stat /bin/nope: no such file or directory: unknown',
    ),
    Row(
        "command not in the path", "command-missing", "certain", "RunContainerError",
        f'{RUNC}exec: "nope": executable file not found in $PATH: unknown',
    ),
    Row("not executable", "command-not-executable", "certain", "RunContainerError", f'{RUNC}exec: "/etc/x": permission denied: unknown'),
    Row(
        "working directory is a file", "working-directory", "certain", "RunContainerError",
        f"{RUNC}error during container init: mkdir /etc/passwd: not a directory: unknown",
    ),
    Row("unknown error of the runtime", "start-error", "doubtful", "RunContainerError", f"{RUNC}the moon is full: unknown"),
    Row("an unlisted error", "kubelet-error", "doubtful", "ErrSomethingNew", "who knows"),
    Row("another unlisted error", "kubelet-error", "doubtful", "PreStartHookError", "exit 1"),
)  # fmt: skip

# Other runtimes and registries word it their way.
OTHER_ROWS = (
    Row("CRI-O", "image-missing", "certain", "ErrImagePull", f"reading manifest 6.9.9 in {HOST}/team/podinfo: manifest unknown"),
    Row(
        "CRI-O", "image-denied", "certain", "ErrImagePull",
        f"initializing source docker://{IMAGE}: requested access to the resource is denied",
    ),
    Row("Docker Hub", "pull-rate-limit", "doubtful", "ErrImagePull", f"{PULL}toomanyrequests: You have reached your pull rate limit"),
    Row("ECR", "pull-credentials", "certain", "ErrImagePull", f"{PULL}no basic auth credentials"),
    Row(
        "containerd 2", "pull-server-error", "doubtful", "ErrImagePull",
        f'{PULL}unexpected status from HEAD request to https://{HOST}/v2/team/podinfo/manifests/6.9.9: 502 Bad Gateway',
    ),
    Row(
        "digest", "pull-digest", "doubtful", "ErrImagePull",
        'failed commit on ref "layer": unexpected commit digest sha256:aa, expected sha256:bb: failed precondition',
    ),
)  # fmt: skip


def container(name: str = "podinfo", **changes: object) -> ContainerFacts:
    return replace(ContainerFacts(name=name, image=IMAGE), **changes)  # type: ignore[arg-type]


def waiting(reason: str, message: str = "", name: str = "podinfo", **changes: object) -> ContainerFacts:
    return container(name, state="waiting", reason=reason, message=message, **changes)


def running(name: str = "podinfo", restarts: int = 0, last: int | None = None, ready: bool = True, **changes: object) -> ContainerFacts:
    words: dict[str, object] = {"last_exit_code": last, "last_reason": "" if last is None else "Error" if last else "Completed"}
    return container(name, state="running", restarts=restarts, ready=ready, started=True, **(words | changes))


def ended(code: int = 1, name: str = "podinfo", restarts: int = 0, last: int | None = None, **changes: object) -> ContainerFacts:
    words: dict[str, object] = {"reason": "Error" if code else "Completed", "last_exit_code": last}
    return container(name, state="terminated", exit_code=code, restarts=restarts, **(words | changes))


def backed_off(code: int = 1, name: str = "podinfo", restarts: int = 1, **changes: object) -> ContainerFacts:
    words: dict[str, object] = {"last_reason": "Error" if code else "Completed", "last_exit_code": code}
    message = f"back-off 10s restarting failed container={name} pod=podinfo-1_shop({UID})"
    return waiting("CrashLoopBackOff", message, name, restarts=restarts, **(words | changes))


def pod(*containers: ContainerFacts, name: str = "podinfo-1", node: str = "node-1", **changes: object) -> PodFacts:
    ready = bool(containers) and all(c.ready or c.role == "init" for c in containers)
    made = PodFacts(name=name, node=node, containers=containers, ready=ready, pull_secrets=("registry",))
    return replace(made, **changes)  # type: ignore[arg-type]
