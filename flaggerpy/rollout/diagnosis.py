"""What a failing container means: the one home of the texts for a person who is woken at night.

`TABLE` holds every cause: how it is recognised in what the kubelet reports (reason, message, event, exit code), what happened, what that
means, what to do, and one command. `docs/troubleshooting.md` is generated from it. The texts of the kubelet, containerd, CRI-O and
runc that are matched here were measured on Kubernetes 1.34 with containerd 1.6; other versions word the tails alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from flaggerpy.rollout.facts import ContainerFacts, PodFacts

Class = Literal["certain", "doubtful", "waiting", "crash"]
"""certain: will not heal by itself. doubtful: may heal. waiting: only the deadline judges. crash: counted (see `podhealth`)."""


@dataclass(frozen=True)
class Cause:
    """A row of the table.

    `reasons` and `pattern` are regular expressions: the whole reason, and a part of the message, must match; for crashes `codes` are the
    exit codes (None: any but 0). The texts may use {who} ("container podinfo"), {image}, {host} (the registry), {pod}, {name} (the
    container), {code}, {signal}, {message} and the pattern's own groups. `quiet` is no failure: the pod is on its way.
    """

    id: str
    cls: Class
    reasons: str
    pattern: str
    what: str
    means: str
    advice: str
    command: str
    example: str = ""
    codes: tuple[int, ...] | None = None
    quiet: bool = False
    match_reason: re.Pattern[str] = field(init=False, compare=False, repr=False)
    match_message: re.Pattern[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "match_reason", re.compile(rf"(?:{self.reasons})\Z"))
        object.__setattr__(self, "match_message", re.compile(self.pattern, re.IGNORECASE | re.DOTALL))


@dataclass(frozen=True)
class Diagnosis:
    """A cause, filled in for one container of one pod. `message` is the kubelet's own, normalised."""

    cause: str
    class_: Class
    reason: str
    message: str
    what: str
    means: str
    advice: str
    command: str
    quiet: bool = False

    @property
    def text(self) -> str:
        """What happened and what it means, as one sentence."""
        return f"{self.what}: {self.means}"


PULL = "ErrImagePull|ImagePullBackOff|RegistryUnavailable|ImageInspectError|SignatureValidationFailed"
RUN = "RunContainerError|StartError|ContainerCannotRun|CreateContainerError|CrashLoopBackOff"
_STATUS = r"(?:status(?: code)?(?: from \S+ request to \S+)?:?|\[[^\]]*\]:|received unexpected HTTP status:|StatusCode:?)\s*"
_DESCRIBE = "kubectl{ns} describe pod {pod}"
_PREVIOUS = "kubectl{ns} logs {pod} -c {name} --previous"
_EVENTS = "kubectl{ns} get events --field-selector involvedObject.name={pod}"
_PULL_SECRETS = "kubectl{ns} get pod {pod} -o jsonpath='{{.spec.imagePullSecrets}}'"
_SHOW_CERTIFICATE = "openssl s_client -connect {address} </dev/null | openssl x509 -noout -subject -issuer -dates -ext subjectAltName"
_REFUSED = r"\(refused pull\)"
"""No reason of a kubelet's: these causes are told by what the pod has beside the message."""
_FROM_NODE = "Open the registry's address from a node ({host}); check its address, firewall and proxy settings, and the image's host part."

TABLE: tuple[Cause, ...] = (
    # ---- certain: the pod as it is written cannot start
    Cause(
        id="image-name-invalid",
        cls="certain",
        reasons="InvalidImageName",
        pattern="",
        what="the image name {image} of {who} is not a valid image name",
        means="the kubelet cannot even ask a registry for it",
        advice="Correct the image in the target's pod template: the repository is lower case, the tag follows one colon.",
        command="kubectl{ns} get pod {pod} -o jsonpath='{{.spec.containers[*].image}}'",
        example="Failed to apply default image tag \"IMAGE\": couldn't parse image name \"IMAGE\": invalid reference format",
    ),
    Cause(
        id="image-never-pulled",
        cls="certain",
        reasons="ErrImageNeverPull",
        pattern="",
        what="image {image} of {who} is not on the node",
        means="imagePullPolicy Never forbids fetching it",
        advice="Load the image on every node, or set imagePullPolicy to IfNotPresent.",
        command=_DESCRIBE,
        example='Container image "IMAGE" is not present with pull policy of Never',
    ),
    Cause(
        id="pull-qps",
        cls="doubtful",
        reasons=PULL,
        pattern=r"pull QPS exceeded",
        what="the kubelet held back the pull of image {image} of {who}",
        means="too many pulls began on the node at once (registryPullQPS); the image itself is not in question and is tried again",
        advice="Wait; if it comes again, raise registryPullQPS in the kubelet's configuration.",
        command=_DESCRIBE,
        example="pull QPS exceeded",
    ),
    Cause(
        id="image-platform",
        cls="certain",
        reasons=PULL,
        pattern=r"no match for platform|no image found in (?:image index|manifest list) for architecture|"
        r"does not match the specified platform",
        what="image {image} of {who} was not built for this node's platform",
        means="its manifest list has no entry for the node's operating system and architecture",
        advice="Build the image for the platform of the nodes, or select nodes whose platform it has.",
        command="kubectl get nodes -L kubernetes.io/arch,kubernetes.io/os",
        example='failed to pull and unpack image "IMAGE": no match for platform in manifest: not found',
    ),
    Cause(
        id="pull-dns",
        cls="doubtful",
        reasons=PULL,
        pattern=r"dial tcp: lookup \S+|no such host|server misbehaving|temporary failure in name resolution",
        what="the registry's name {host}, for image {image} of {who}, cannot be resolved",
        means="the node's name server does not know it or does not answer",
        advice="Check the host part of the image for a typing mistake, then the name servers in /etc/resolv.conf of the node.",
        command=_EVENTS,
        example='dial tcp: lookup HOST on SERVER:53: no such host; dial tcp: lookup HOST on SERVER:53: read udp ..: i/o timeout',
    ),
    Cause(
        id="pull-refused",
        cls="doubtful",
        reasons=PULL,
        pattern=r"connection refused",
        what="the registry {host} refused the connection for image {image} of {who}",
        means="nothing listens at that address: the registry is down, or the host or port of the image is wrong",
        advice=_FROM_NODE,
        command=_EVENTS,
        example="dial tcp HOST: connect: connection refused",
    ),
    Cause(
        id="pull-broken-off",
        cls="doubtful",
        reasons=PULL,
        pattern=r"connection reset by peer|broken pipe|\bEOF\b",
        what="the registry {host} broke off the connection for image {image} of {who}",
        means="it restarts or is overloaded, or a firewall or proxy on the way ends its connections",
        advice=_FROM_NODE,
        command=_EVENTS,
        example="read tcp FROM->HOST: read: connection reset by peer; unexpected EOF",
    ),
    Cause(
        id="pull-unreachable",
        cls="doubtful",
        reasons=PULL,
        pattern=r"no route to host|network is unreachable|host is down",
        what="the registry {host} of image {image} of {who} cannot be reached",
        means="the node has no route to that address",
        advice=_FROM_NODE,
        command=_EVENTS,
        example="dial tcp HOST: connect: no route to host",
    ),
    Cause(
        id="pull-tls-name",
        cls="doubtful",
        reasons=PULL,
        pattern=r"certificate is valid for (?P<names>.+?), not \S+|doesn't contain any IP SANs|"
        r"certificate is not valid for any names|relies on legacy Common Name",
        what="the certificate of the registry {host}, for image {image} of {who}, is for another name",
        means="it is valid for {names}, not for what the image calls the registry",
        advice="Name the registry in the image as its certificate does, or give it a certificate that holds this name too.",
        command=_SHOW_CERTIFICATE,
        example="x509: certificate is valid for NAME, not HOST; "
        "x509: cannot validate certificate for IP because it doesn't contain any IP SANs",
    ),
    Cause(
        id="pull-tls-expired",
        cls="doubtful",
        reasons=PULL,
        pattern=r"certificate has expired or is not yet valid|certificate has expired|certificate is not yet valid",
        what="the certificate of the registry {host}, for image {image} of {who}, is out of date",
        means="it has expired or is not valid yet, by the clock of the node",
        advice="Renew the registry's certificate; if it is sound, set the clock of the node right.",
        command=_SHOW_CERTIFICATE,
        example="x509: certificate has expired or is not yet valid: current time TIME is after TIME",
    ),
    Cause(
        id="pull-tls",
        cls="doubtful",
        reasons=PULL,
        pattern=r"x509: |certificate (?:signed by|is not|verif)|tls: (?:failed to verify|bad certificate|unknown)|remote error: tls",
        what="the certificate of the registry {host}, for image {image} of {who}, is not trusted",
        means="the node does not know who signed it: it is self-signed, or of an authority of your own",
        advice="Give every node the certificate of that authority (containerd: ca in certs.d/{host}/hosts.toml); "
        "pulls then succeed by themselves.",
        command=_SHOW_CERTIFICATE,
        example="x509: certificate signed by unknown authority",
    ),
    Cause(
        id="pull-plain-http",
        cls="doubtful",
        reasons=PULL,
        pattern=r"server gave HTTP response to HTTPS client",
        what="the registry {host} of image {image} of {who} speaks plain HTTP where the node expects HTTPS",
        means="the runtime refuses it until it is told that this registry has no TLS",
        advice="Give the registry TLS, or name it as plain HTTP in the node's hosts.toml.",
        command=_EVENTS,
        example="http: server gave HTTP response to HTTPS client",
    ),
    Cause(
        id="pull-bad-request",
        cls="doubtful",
        reasons=PULL,
        pattern=rf"{_STATUS}400\b|400 Bad Request|HTTP request to an HTTPS server",
        what="the registry {host} did not understand the request for image {image} of {who}",
        means="most often the node speaks plain HTTP to a registry that wants HTTPS",
        advice="Name the registry with https:// in the node's hosts.toml.",
        command=_EVENTS,
        example="pulling from host HOST failed with status code [manifests TAG]: 400 Bad Request",
    ),
    Cause(
        id="pull-rate-limit",
        cls="doubtful",
        reasons=PULL,
        pattern=r"429\b.{0,3}Too Many Requests|toomanyrequests|rate limit",
        what="the registry {host} holds back image {image} of {who}",
        means="too many pulls came from here (429); the limit passes by itself",
        advice="Pull with credentials of an account with a higher limit, or through a mirror.",
        command=_EVENTS,
        example="pulling from host HOST failed with status code [manifests TAG]: 429 Too Many Requests",
    ),
    Cause(
        id="pull-server-error",
        cls="doubtful",
        reasons=PULL,
        pattern=r"(?P<status>\b5\d\d (?:Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out|[a-z]+))|"
        rf"{_STATUS}5\d\d\b",
        what="the registry {host} failed on image {image} of {who} with {status}",
        means="the registry itself, or something before it, is in trouble; the kubelet tries again",
        advice="Look after the registry; nothing is wrong with the release as far as can be told.",
        command=_EVENTS,
        example="pulling from host HOST failed with status code [manifests TAG]: 503 Service Unavailable",
    ),
    Cause(
        id="image-denied",
        cls="certain",
        reasons=PULL,
        pattern=r"pull access denied|insufficient_scope|requested access to the resource is denied|"
        r"repository does not exist or may require",
        what="the registry {host} gives out no image {image} for {who}",
        means="the repository does not exist, or may not be read {secrets} (public registries do not say which)",
        advice="Check the repository's name; then that imagePullSecrets name a secret whose account may read it.",
        command=_PULL_SECRETS,
        example="pull access denied, repository does not exist or may require authorization: server message: insufficient_scope",
    ),
    Cause(
        id="pull-credentials",
        cls="certain",
        reasons=PULL,
        pattern=r"401\b.{0,3}Unauthorized|\bunauthorized: |authentication required|no basic auth credentials|"
        r"authorization token has expired|incorrect username or password",
        what="the registry {host} refuses the credentials for image {image} of {who}",
        means="it was asked {secrets}, which is wrong or expired, or holds nothing for this registry",
        advice="Make the docker-registry secret anew, with the registry's name {host} as its server.",
        command=_PULL_SECRETS,
        example="pulling from host HOST failed with status code [manifests TAG]: 401 Unauthorized",
    ),
    Cause(
        id="pull-forbidden",
        cls="certain",
        reasons=PULL,
        pattern=r"403\b.{0,3}Forbidden|\bdenied: ",
        what="the registry {host} forbids the pull of image {image} of {who}",
        means="it may not be read {secrets}",
        advice="Give the account the right to read the repository, or name the secret of another account in imagePullSecrets.",
        command=_PULL_SECRETS,
        example="pulling from host HOST failed with status code [manifests TAG]: 403 Forbidden",
    ),
    Cause(
        id="pull-no-credentials",
        cls="certain",
        reasons=_REFUSED,
        pattern="",
        what="the registry {host} wants credentials for image {image} of {who}, and the pod brings none",
        means="neither the pod nor its service account names a pull secret",
        advice="Make a docker-registry secret in the pod's namespace and name it in imagePullSecrets of the pod template.",
        command=_PULL_SECRETS,
        example="401 Unauthorized, and no imagePullSecrets in the pod",
    ),
    Cause(
        id="pull-secret-missing",
        cls="doubtful",
        reasons=_REFUSED,
        pattern=r"some image pull secrets \((?P<object>[^)]+)\)",
        what="pull secret {object} of pod {pod} does not exist, and the registry {host} refuses image {image} of {who} without it",
        means="the kubelet asks without it, and the image is not for everybody; a secret that comes a moment late is found at the next try",
        advice="Create the secret in the pod's namespace (secrets are not shared between namespaces), or correct imagePullSecrets.",
        command="kubectl{ns} get secret {object}",
        example="401 Unauthorized or pull access denied, and the event: Unable to retrieve some image pull secrets (NAME); "
        "attempting to pull the image may not succeed.",
    ),
    Cause(
        id="pull-digest",
        cls="doubtful",
        reasons=PULL,
        pattern=r"failed size validation|unexpected commit (?:digest|size)|digest mismatch|"
        r"does not match (?:the )?(?:expected )?digest|failed commit on ref",
        what="what the registry {host} sent of image {image} of {who} is not what was asked for",
        means="the digest does not match: a broken transfer, proxy or cache",
        advice="Pull the image by hand through the same path; if it stays, push the image again.",
        command=_EVENTS,
        example="failed commit on ref \"layer-sha256:..\": unexpected commit digest sha256:.., expected sha256:..: failed precondition",
    ),
    Cause(
        id="pull-timeout",
        cls="doubtful",
        reasons=PULL,
        pattern=r"i/o timeout|TLS handshake timeout|context deadline exceeded|Client\.Timeout|timed? ?out",
        what="the registry {host} of image {image} of {who} does not answer in time",
        means="packets are dropped on the way, or the registry hangs",
        advice=_FROM_NODE,
        command=_EVENTS,
        example="dial tcp HOST: i/o timeout; net/http: TLS handshake timeout",
    ),
    Cause(
        id="pull-disk",
        cls="doubtful",
        reasons=PULL,
        pattern=r"no space left on device|disk quota exceeded",
        what="the node has no room for image {image} of {who}",
        means="its disk is full; the kubelet's garbage collection may make room",
        advice="Free the node's disk, or move the pod to another node.",
        command="kubectl describe node {node}",
        example="write /var/lib/containerd/..: no space left on device",
    ),
    Cause(
        id="image-incomplete",
        cls="doubtful",
        reasons=PULL,
        pattern=r"could not fetch content descriptor|blob unknown|BLOB_UNKNOWN",
        what="a part of image {image} of {who} is missing in the registry {host}",
        means="the tag is there, but a layer or the configuration that it names is not: a push that did not finish, or a mirror that lags",
        advice="Push the image again; if a mirror serves it, wait until that has the whole.",
        command=_EVENTS,
        example="could not fetch content descriptor sha256:.. from remote: not found",
    ),
    Cause(
        id="image-broken",
        cls="doubtful",
        reasons=PULL,
        pattern=r"failed to extract layer|invalid tar header|wrong diff id|gzip: invalid|invalid compressed|mismatched image rootfs|"
        r"failed to register layer",
        what="image {image} of {who} cannot be unpacked on the node",
        means="it came as the registry {host} has it, but a layer is no archive or not the one that the image names: it was pushed broken",
        advice="Build and push the image again, under a new tag.",
        command=_EVENTS,
        example="failed to extract layer sha256:..: archive/tar: invalid tar header: unknown",
    ),
    Cause(
        id="image-missing",
        cls="certain",
        reasons=PULL,
        pattern=r"code = NotFound|: not found\b|manifest unknown|name unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN|404\b.{0,3}Not Found",
        what="image {image} of {who} does not exist",
        means="the registry {host} answered that it has no such repository or tag",
        advice="Push the image, or correct repository and tag in the target's pod template.",
        command="kubectl{ns} get pod {pod} -o jsonpath='{{.spec.containers[*].image}}'",
        example='rpc error: code = NotFound desc = failed to pull and unpack image "IMAGE": failed to resolve reference "IMAGE": '
        "IMAGE: not found",
    ),
    Cause(
        id="pull-signature",
        cls="doubtful",
        reasons=PULL,
        pattern=r"SignatureValidationFailed|signature",
        what="the signature of image {image} of {who} is not accepted",
        means="the node's policy wants images signed by somebody else",
        advice="Sign the image with the key that the policy of the nodes names.",
        command=_EVENTS,
        example="SignatureValidationFailed",
    ),
    Cause(
        id="pull-unknown",
        cls="doubtful",
        reasons=PULL,
        pattern="",
        what="image {image} of {who} cannot be pulled",
        means="the kubelet does not say why; it tries again at growing intervals",
        advice="Read the pod's events: the first of them carries the cause.",
        command=_EVENTS,
        example='Back-off pulling image "IMAGE"',
    ),
    Cause(
        id="config-missing",
        cls="certain",
        reasons="CreateContainerConfigError",
        pattern=r"(?P<kind>configmap|secret)s? \"(?P<object>[^\"]+)\" not found",
        what="{kind} {object}, which {who} needs, does not exist",
        means="its environment refers to it, so the container is not created",
        advice="Create the {kind}, or mark the reference as optional.",
        command="kubectl{ns} get {kind} {object}",
        example='configmap "NAME" not found; secret "NAME" not found',
    ),
    Cause(
        id="config-key-missing",
        cls="certain",
        reasons="CreateContainerConfigError",
        pattern=r"couldn't find key (?P<key>\S+) in (?P<kind>ConfigMap|Secret) (?:[^/\s]+/)?(?P<object>\S+)",
        what="{kind} {object} has no key {key}, which {who} needs",
        means="its environment refers to that key, so the container is not created",
        advice="Add the key to the {kind}, or correct it in the pod template, or mark the reference as optional.",
        command="kubectl{ns} get {kind} {object} -o yaml",
        example="couldn't find key KEY in ConfigMap NAMESPACE/NAME",
    ),
    Cause(
        id="run-as-named-user",
        cls="certain",
        reasons="CreateContainerConfigError",
        pattern=r"non-numeric user(?: \((?P<object>[^)]*)\))?",
        what="{who} may not run as root, and its image {image} names its user only by name ({object})",
        means="runAsNonRoot is set, and the kubelet cannot tell whether that name is root",
        advice="Set runAsUser in the securityContext, or USER with a number in the image.",
        command=_DESCRIBE,
        example="container has runAsNonRoot and image has non-numeric user (NAME), cannot verify user is non-root",
    ),
    Cause(
        id="run-as-root-asked",
        cls="certain",
        reasons="CreateContainerConfigError",
        pattern=r"runAsUser breaks non-root policy",
        what="{who} may not run as root, but its securityContext asks for that",
        means="runAsNonRoot is set beside runAsUser 0",
        advice="Set runAsUser to another number than 0, or take runAsNonRoot out.",
        command="kubectl{ns} get pod {pod} -o jsonpath='{{.spec.securityContext}}{{.spec.containers[*].securityContext}}'",
        example="container's runAsUser breaks non-root policy",
    ),
    Cause(
        id="run-as-root",
        cls="certain",
        reasons="CreateContainerConfigError",
        pattern=r"runAsNonRoot",
        what="{who} may not run as root, but its image {image} does",
        means="runAsNonRoot is set, and the image names no other user",
        advice="Set runAsUser in the securityContext, or USER with a number in the image.",
        command=_DESCRIBE,
        example='container has runAsNonRoot and image will run as root (pod: "POD_NAMESPACE(UID)", container: NAME)',
    ),
    Cause(
        id="no-command",
        cls="certain",
        reasons=RUN,
        pattern=r"no command specified",
        what="neither image {image} nor the pod template names a command for {who}",
        means="there is nothing to start",
        advice="Set command in the pod template, or ENTRYPOINT or CMD in the image.",
        command=_DESCRIBE,
        example='failed to generate container "ID" spec: failed to generate spec: no command specified',
    ),
    Cause(
        id="command-missing",
        cls="certain",
        reasons=RUN,
        pattern=r"exec: \\?\"(?P<path>[^\"\\]+)\\?\": (?:stat \S+: no such file or directory|executable file not found)",
        what="the command {path} of {who} does not exist in image {image}",
        means="the container cannot start",
        advice="Correct command in the pod template, or build the program into the image.",
        command=_DESCRIBE,
        example='exec: "PATH": stat PATH: no such file or directory: unknown',
    ),
    Cause(
        id="command-not-executable",
        cls="certain",
        reasons=RUN,
        pattern=r"exec: \\?\"(?P<path>[^\"\\]+)\\?\": permission denied",
        what="the command {path} of {who} may not be executed in image {image}",
        means="the file is there, but it is not executable for the container's user, or it is a directory",
        advice="Set the executable bit in the image (chmod +x), or let the container run as a user who may.",
        command=_DESCRIBE,
        example='exec: "PATH": permission denied: unknown',
    ),
    Cause(
        id="command-format",
        cls="certain",
        reasons=RUN,
        pattern=r"exec format error",
        what="the command of {who} in image {image} is not a program for this node",
        means="it was built for another architecture, or it is a script without its first line (#!)",
        advice="Build the image for the platform of the nodes; give scripts their #! line.",
        command="kubectl get nodes -L kubernetes.io/arch,kubernetes.io/os",
        example='exec /app: exec format error',
    ),
    Cause(
        id="working-directory",
        cls="certain",
        reasons=RUN,
        pattern=r"mkdir (?P<path>\S+): not a directory|chdir to cwd \(\\?\"(?P<cwd>[^\"\\]+)",
        what="the working directory {path} of {who} cannot be used in image {image}",
        means="it is a file, or it may not be entered",
        advice="Correct workingDir in the pod template, or WORKDIR in the image.",
        command=_DESCRIBE,
        example="error during container init: mkdir PATH: not a directory: unknown",
    ),
    # ---- doubtful: every other error of the kubelet
    Cause(
        id="config-unread",
        cls="doubtful",
        reasons="CreateContainerConfigError",
        pattern=r"failed to sync (?P<kind>configmap|secret) cache",
        what="the kubelet could not read a {kind} that {who} needs",
        means="the API server did not answer it within a second, as on a busy node; it tries again",
        advice="Wait; if it comes again, look at the load of the node and of the API server.",
        command="kubectl describe node {node}",
        example="failed to sync secret cache: timed out waiting for the condition",
    ),
    Cause(
        id="pod-rejected",
        cls="doubtful",
        reasons="SysctlForbidden|AppArmor|NodePorts|PodOS\\w+|PodFeatureUnsupported|InvalidNodeInfo",
        pattern="",
        what="node {node} refuses pod {pod} ({reason})",
        means="{message}",
        advice="Take out of the pod template what the message names, or allow it in the configuration of the nodes' kubelets.",
        command=_DESCRIBE,
        example='SysctlForbidden: Pod was rejected: forbidden sysctl: "NAME" not allowlisted',
    ),
    Cause(
        id="config-error",
        cls="doubtful",
        reasons="CreateContainerConfigError",
        pattern="",
        what="the configuration of {who} cannot be put together",
        means="{message}",
        advice="Compare the container's environment and security context with what the message names.",
        command=_DESCRIBE,
        example="any other message of CreateContainerConfigError",
    ),
    Cause(
        id="start-error",
        cls="doubtful",
        reasons="RunContainerError|StartError|ContainerCannotRun|CreateContainerError",
        pattern="",
        what="{who} cannot be started",
        means="{message}",
        advice="Read the message of the runtime in the pod's description.",
        command=_DESCRIBE,
        example="any other message of CreateContainerError, RunContainerError or StartError",
    ),
    # ---- crashes: the program ran and ended
    Cause(
        id="crash-oom",
        cls="crash",
        reasons="OOMKilled",
        pattern="",
        what="{who} was killed for passing its memory limit (OOMKilled)",
        means="the kernel ends what needs more memory than resources.limits.memory gives",
        advice="Raise the memory limit, or find what needs the memory.",
        command="kubectl{ns} get pod {pod} -o jsonpath='{{.spec.containers[?(@.name==\"{name}\")].resources}}'",
        example="OOMKilled, exit code 137",
    ),
    Cause(
        id="crash-126",
        cls="crash",
        reasons=".*",
        pattern="",
        codes=(126,),
        what="{who} crashes with exit code 126",
        means="its shell found the command but may not execute it",
        advice="Set the executable bit, or correct the command that the entry script calls.",
        command=_PREVIOUS,
        example="exit code 126",
    ),
    Cause(
        id="crash-127",
        cls="crash",
        reasons=".*",
        pattern="",
        codes=(127,),
        what="{who} crashes with exit code 127",
        means="its shell did not find the command, or a shared library is missing",
        advice="Correct the command that the entry script calls, or build the program into the image.",
        command=_PREVIOUS,
        example="exit code 127",
    ),
    Cause(
        id="crash-134",
        cls="crash",
        reasons=".*",
        pattern="",
        codes=(134,),
        what="{who} crashes with exit code 134 (SIGABRT)",
        means="the program aborted itself: a failed assertion, or a runtime that gave up",
        advice="Read its last lines; they name the assertion or the error.",
        command=_PREVIOUS,
        example="exit code 134",
    ),
    Cause(
        id="crash-137",
        cls="crash",
        reasons=".*",
        pattern="",
        codes=(137,),
        what="{who} was killed with exit code 137 (SIGKILL)",
        means="something outside ended it at once: the node short of memory, or a stop that took longer than its grace period",
        advice="Look at the node's memory and the pod's events; the program itself reports nothing.",
        command=_DESCRIBE,
        example="exit code 137 without OOMKilled",
    ),
    Cause(
        id="crash-139",
        cls="crash",
        reasons=".*",
        pattern="",
        codes=(139,),
        what="{who} crashes with exit code 139 (SIGSEGV)",
        means="the program touched memory that is not its own: a fault in native code, or a library of another version",
        advice="Compare the libraries of this image with the last good one; get a core dump or stack trace.",
        command=_PREVIOUS,
        example="exit code 139",
    ),
    Cause(
        id="crash-143",
        cls="crash",
        reasons=".*",
        pattern="",
        codes=(143,),
        what="{who} ended with exit code 143 (SIGTERM)",
        means="something asked it to stop: a probe, another process in the pod, or the node",
        advice="Look for a failed probe or a stop in the pod's events.",
        command=_EVENTS,
        example="exit code 143",
    ),
    Cause(
        id="crash-signal",
        cls="crash",
        reasons=".*",
        pattern="",
        codes=tuple(code for code in range(129, 166) if code not in (134, 137, 139, 143)),
        what="{who} crashes with exit code {code} (signal {signal})",
        means="a signal ended the program",
        advice="Read its last lines before the end.",
        command=_PREVIOUS,
        example="exit code 128 + signal number",
    ),
    Cause(
        id="crash",
        cls="crash",
        reasons=".*",
        pattern="",
        codes=(),
        what="{who} crashes with exit code {code}",
        means="the program itself ended with an error",
        advice="Read its last lines before the end.",
        command=_PREVIOUS,
        example="Error, exit code 1; CrashLoopBackOff",
    ),
    # ---- waiting: only the deadline judges
    Cause(
        id="probe-kill",
        cls="waiting",
        reasons="ProbeKill",
        pattern="",
        what="{who} is restarted because its liveness or startup probe fails",
        means="the program runs but does not answer its probe in time; that is no crash, and the progress deadline judges it",
        advice="Compare the probe's path, port and times with how long the program needs to start.",
        command=_DESCRIBE,
        example="event Killing: Container NAME failed liveness probe, will be restarted",
    ),
    Cause(
        id="clean-exit",
        cls="waiting",
        reasons="CleanExit",
        pattern="",
        what="{who} ends by itself with exit code 0",
        means="a Deployment's containers are to run on, so it is started again and again",
        advice="Let the program stay in the foreground, or use a Job for work that ends.",
        command=_PREVIOUS,
        example="Completed, exit code 0",
    ),
    Cause(
        id="evicted",
        cls="waiting",
        reasons="Evicted|Preempting|Preempted|TaintToleration|NodeAffinity|OutOf.*|DeletionByTaintManager|UnexpectedAdmissionError",
        pattern="",
        what="pod {pod} was taken off its node ({reason})",
        means="{message}; a new pod takes its place",
        advice="Look at what the message names: the node's conditions, or the pod's own limits and volumes.",
        command="kubectl describe node {node}",
        example="Evicted: The node was low on resource: memory",
    ),
    Cause(
        id="node-shutdown",
        cls="waiting",
        reasons="Terminated|NodeShutdown|Shutdown|NodeLost",
        pattern="",
        what="the node of pod {pod} shuts down",
        means="its pods end with it and are made anew elsewhere",
        advice="Nothing to do for the release; see that other nodes have room.",
        command="kubectl get nodes",
        example="Terminated: Pod was terminated in response to imminent node shutdown.",
    ),
    Cause(
        id="node-lost",
        cls="waiting",
        reasons="NodeNotReady",
        pattern="",
        what="node {node} of pod {pod} does not answer any more",
        means="what ran there may be gone; after the pod's tolerationSeconds (five minutes, if it names none) a new pod takes its place",
        advice="Look after the node; the release itself is not in question.",
        command="kubectl describe node {node}",
        example="event NodeNotReady: Node is not ready",
    ),
    Cause(
        id="volume-claim-missing",
        cls="waiting",
        reasons="Unschedulable|FailedScheduling",
        pattern=r"persistentvolumeclaim \"(?P<object>[^\"]+)\" not found",
        what="volume claim {object}, which pod {pod} needs, does not exist",
        means="no node is chosen for the pod before it does",
        advice="Create the claim, or correct its name in the pod template.",
        command="kubectl{ns} get persistentvolumeclaims",
        example='0/N nodes are available: persistentvolumeclaim "NAME" not found',
    ),
    Cause(
        id="volume-claim-pending",
        cls="waiting",
        reasons="Unschedulable|FailedScheduling",
        pattern=r"unbound immediate PersistentVolumeClaims",
        what="a volume claim of pod {pod} has no volume yet",
        means="{message}",
        advice="See why the claim is pending: whether its storage class exists, and whether a volume fits it.",
        command="kubectl{ns} describe persistentvolumeclaims",
        example="0/N nodes are available: pod has unbound immediate PersistentVolumeClaims",
    ),
    Cause(
        id="unschedulable",
        cls="waiting",
        reasons="Unschedulable|FailedScheduling",
        pattern="",
        what="no node takes pod {pod}",
        means="{message}",
        advice="Free or add a node, or change the pod's requests, selectors, affinities or tolerations.",
        command=_DESCRIBE,
        example="0/N nodes are available: 1 Insufficient cpu",
    ),
    Cause(
        id="volume-config-missing",
        cls="waiting",
        reasons="FailedMount",
        pattern=r"(?P<kind>configmap|secret)s? \"(?P<object>[^\"]+)\" not found",
        what="{kind} {object}, which a volume of pod {pod} needs, does not exist",
        means="no container of the pod starts before it does",
        advice="Create the {kind}, or mark the volume as optional.",
        command="kubectl{ns} get {kind} {object}",
        example='MountVolume.SetUp failed for volume "V" : configmap "NAME" not found',
    ),
    Cause(
        id="volume-key-missing",
        cls="waiting",
        reasons="FailedMount",
        pattern=r"references non-existent (?:config|secret) key:? ?(?P<key>\S+)",
        what="key {key}, which a volume of pod {pod} needs, does not exist in its config",
        means="no container of the pod starts before it does",
        advice="Add the key to the ConfigMap or Secret, or correct the volume's items.",
        command=_DESCRIBE,
        example='MountVolume.SetUp failed for volume "V" : references non-existent config key: KEY',
    ),
    Cause(
        id="volume",
        cls="waiting",
        reasons="FailedMount|FailedAttachVolume|FailedMapVolume|VolumeFailedDelete",
        pattern=r"(?:volumes?\s+\"(?P<volume>[^\"]+)\")?",
        what="a volume of pod {pod} cannot be mounted",
        means="{message}",
        advice="Look at the claim and at the storage driver on the node.",
        command=_DESCRIBE,
        example="FailedMount, FailedAttachVolume",
    ),
    Cause(
        id="sandbox-memory",
        cls="waiting",
        reasons="FailedCreatePodSandBox|FailedCreatePodSandbox",
        pattern=r"OOM-killed|memory limit too low",
        what="the memory limit of pod {pod} is too small even to begin",
        means="the kernel kills the pod's sandbox before any container starts",
        advice="Raise resources.limits.memory: below some 10 MiB no pod starts.",
        command="kubectl{ns} get pod {pod} -o jsonpath='{{.spec.containers[*].resources}}'",
        example="Failed to create pod sandbox: .. container init was OOM-killed (memory limit too low?): unknown",
    ),
    Cause(
        id="sandbox",
        cls="waiting",
        reasons="FailedCreatePodSandBox|FailedCreatePodSandbox|NetworkNotReady",
        pattern="",
        what="the sandbox of pod {pod} cannot be made",
        means="{message}",
        advice="Look at the network plugin and the container runtime of the node.",
        command="kubectl describe node {node}",
        example="Failed to create pod sandbox: ..",
    ),
    Cause(
        id="startup-probe",
        cls="waiting",
        reasons="Unhealthy",
        pattern=r"startup probe (?:failed|errored)(?::\s*(?P<detail>.*))?",
        what="{who} runs but does not pass its startup probe",
        means="{message}",
        advice="Compare the startup probe's path, port and times with how long the program needs.",
        command=_DESCRIBE,
        example="Startup probe failed: ..",
    ),
    Cause(
        id="readiness-probe",
        cls="waiting",
        reasons="Unhealthy",
        pattern=r"readiness probe (?:failed|errored)(?::\s*(?P<detail>.*))?",
        what="{who} runs but does not pass its readiness probe",
        means="{message}",
        advice="See what the program says to that request, and whether something that it needs is missing.",
        command="kubectl{ns} logs {pod} -c {name}",
        example="Readiness probe failed: HTTP probe failed with statuscode: 503",
    ),
    Cause(
        id="liveness-probe",
        cls="waiting",
        reasons="Unhealthy",
        pattern=r"liveness probe",
        what="{who} does not pass its liveness probe",
        means="{message}",
        advice="Compare the probe's path, port and times with what the program needs.",
        command=_DESCRIBE,
        example="Liveness probe failed: ..",
    ),
    Cause(
        id="pod-quota",
        cls="waiting",
        reasons="FailedCreate",
        pattern=r"exceeded quota: (?P<quota>[^,\s]+)",
        what="no pod can be made: quota {quota} is used up",
        means="{message}",
        advice="Raise the ResourceQuota or free what it counts.",
        command="kubectl{ns} describe resourcequota {quota}",
        example='pods "NAME" is forbidden: exceeded quota: QUOTA, requested: .., used: .., limited: ..',
    ),
    Cause(
        id="pod-security",
        cls="waiting",
        reasons="FailedCreate",
        pattern=r"violates PodSecurity \"?(?P<level>[^\":]+)",
        what="no pod can be made: the namespace's pod security level {level} forbids it",
        means="{message}",
        advice="Set what the message names in the pod's securityContext, or change the namespace's level.",
        command="kubectl get namespace -L pod-security.kubernetes.io/enforce",
        example='pods "NAME" is forbidden: violates PodSecurity "restricted:latest": ..',
    ),
    Cause(
        id="pod-service-account",
        cls="waiting",
        reasons="FailedCreate",
        pattern=r"serviceaccount \"(?P<object>[^\"]+)\" not found",
        what="no pod can be made: service account {object} does not exist",
        means="{message}",
        advice="Create the service account, or correct serviceAccountName.",
        command="kubectl{ns} get serviceaccount {object}",
        example='pods "NAME" is forbidden: error looking up service account NAMESPACE/NAME: serviceaccount "NAME" not found',
    ),
    Cause(
        id="pod-webhook",
        cls="waiting",
        reasons="FailedCreate",
        pattern=r"admission webhook \"(?P<object>[^\"]+)\" denied",
        what="no pod can be made: admission webhook {object} forbids it",
        means="{message}",
        advice="Read what the webhook asks for, and set it in the pod template.",
        command="kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations",
        example='admission webhook "NAME" denied the request: ..',
    ),
    Cause(
        id="pod-webhook-down",
        cls="waiting",
        reasons="FailedCreate",
        pattern=r"failed calling webhook \"(?P<object>[^\"]+)\"",
        what="no pod can be made: admission webhook {object} does not answer",
        means="{message}",
        advice="Look after the webhook's service; the release itself is not in question.",
        command="kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations",
        example='Internal error occurred: failed calling webhook "NAME": failed to call webhook: Post "URL": .. connection refused',
    ),
    Cause(
        id="pod-policy",
        cls="waiting",
        reasons="FailedCreate",
        pattern=r"ValidatingAdmissionPolicy '(?P<object>[^']+)'",
        what="no pod can be made: the cluster's admission policy {object} forbids it",
        means="{message}",
        advice="Set in the pod template what the message asks for, or change the policy.",
        command="kubectl get validatingadmissionpolicy {object} -o yaml",
        example="ValidatingAdmissionPolicy 'NAME' with binding 'BINDING' denied request: ..",
    ),
    Cause(
        id="pod-refused",
        cls="waiting",
        reasons="FailedCreate",
        pattern="",
        what="no pod can be made",
        means="{message}",
        advice="Read the events of the ReplicaSet.",
        command="kubectl{ns} get events --field-selector reason=FailedCreate",
        example="FailedCreate of a ReplicaSet, any other message",
    ),
    Cause(
        id="initialising",
        cls="waiting",
        reasons="PodInitializing",
        pattern="",
        what="{who} waits for the init containers",
        means="they run one after the other before it",
        advice="Wait; if it takes long, read the logs of the init container that runs.",
        command=_DESCRIBE,
        quiet=True,
        example="PodInitializing",
    ),
    Cause(
        id="pulling",
        cls="waiting",
        reasons=r"\(pulling\)",
        pattern="",
        what="image {image} of {who} is still being pulled",
        means="it is large or its registry is slow, or the node pulls other images first; nothing has failed so far",
        advice="Wait. If it takes this long each time, raise progressDeadlineSeconds, or make the image smaller.",
        command=_EVENTS,
        quiet=True,
        example="ContainerCreating, and the event Pulling",
    ),
    Cause(
        id="creating",
        cls="waiting",
        reasons="ContainerCreating|",
        pattern="",
        what="{who} is being created",
        means="its image {image} is being pulled, or its volumes are being mounted",
        advice="Wait; a pull that hangs shows nothing but the event Pulling.",
        command=_EVENTS,
        quiet=True,
        example="ContainerCreating",
    ),
    Cause(
        id="starting",
        cls="waiting",
        reasons="Starting",
        pattern="",
        what="{who} runs and is not ready yet",
        means="its probes have not passed so far",
        advice="Wait; if it takes long, compare the probes with how long the program needs.",
        command="kubectl{ns} logs {pod} -c {name}",
        quiet=True,
        example="running, not ready",
    ),
    # ---- and what is not listed
    Cause(
        id="kubelet-error",
        cls="doubtful",
        reasons="Err.*|.*Error",
        pattern="",
        what="{who} fails with {reason}",
        means="{message}",
        advice="Read the pod's description and events.",
        command=_DESCRIBE,
        example="every other reason that begins with Err or ends with Error",
    ),
    Cause(
        id="unknown",
        cls="waiting",
        reasons=".*",
        pattern="",
        what="{who} waits ({reason})",
        means="{message}",
        advice="Read the pod's description and events.",
        command=_DESCRIBE,
        example="every other reason",
    ),
)
BY_ID = {cause.id: cause for cause in TABLE}

_VOLATILE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "UID"),
    (re.compile(r"(?<!sha256:)(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])"), "ID"),
    (re.compile(r"(?P<verb>read|write) (?P<net>udp|tcp)[46]? \S+:\d+->"), r"\g<verb> \g<net> FROM->"),
    (re.compile(r"\bback-off (?:\d+h)?(?:\d+m)?(?:\d+(?:\.\d+)?s)?\s*(?=restarting)", re.IGNORECASE), "back-off "),
    (re.compile(r"/proc/\d+/"), "/proc/PID/"),
    (re.compile(r"\bcontainerd-mount\d+"), "containerd-mount"),
    (re.compile(r"\bpid[= ]\d+", re.IGNORECASE), "pid PID"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"\s+"), " "),
)
# In a pull's message all that comes from the user's own names, so that an image called `timeout` or a tag `503` is no cause.
_NAMES = re.compile(r'"[^"]*"|\[(?:manifests|blobs) [^\]]*\]|(?<=from host )\S+|\S+(?=: not found)')
_PREEMPTION = re.compile(r"\.? (?:no new claims to deallocate, )?preemption: .*\Z")
"""What the scheduler adds to why no node fits: whom it cannot put out instead, which helps nobody."""
_PULL_REASON = re.compile(rf"(?:{PULL})\Z")
_DISTURBING = frozenset(
    {"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedCreatePodSandbox", "NetworkNotReady"}
)
_POD_ENDS = BY_ID["evicted"], BY_ID["node-shutdown"], BY_ID["pod-rejected"]


def normalised(message: str) -> str:
    """The kubelet's text without what differs from one try to the next: container ids, UIDs, local ports, pids, back-off times.

    Equal failures then give equal texts, and a status is not written for nothing. Digests of images stay.
    """
    for pattern, replacement in _VOLATILE:
        message = pattern.sub(replacement, message)
    return message.strip()


def shortened(message: str, limit: int) -> str:
    """At most `limit` characters: head and tail stay, as the cause stands at the end of what a runtime says."""
    if len(message) <= limit:
        return message
    head = limit // 3
    return f"{message[:head]}…{message[len(message) - (limit - head - 1) :]}"


def recognise(reason: str, message: str, pod: PodFacts | None = None) -> tuple[Cause, re.Match[str] | None]:
    """The cause of a waiting or terminated reason with its message; crashes are told by their exit code instead (`ended`).

    With its pod a refused pull is told apart by the pull secrets that the pod names.
    """
    if _PULL_REASON.match(reason):
        message = _NAMES.sub("NAME", message)
    for cause in TABLE:
        if cause.cls == "crash" or not cause.match_reason.match(reason):
            continue
        found = cause.match_message.search(message)
        if found:
            return _with_secrets(cause, found, pod) if pod else (cause, found)
    return BY_ID["unknown"], None


def _with_secrets(cause: Cause, found: re.Match[str], pod: PodFacts) -> tuple[Cause, re.Match[str]]:
    """A refused pull with what is known of the pod's pull secrets: none named, or one that does not exist (the kubelet's event)."""
    if cause.id not in ("pull-credentials", "pull-forbidden", "image-denied"):
        return cause, found
    missing = BY_ID["pull-secret-missing"]
    for reason, message in pod.events:
        told = missing.match_message.search(message) if reason == "FailedToRetrieveImagePullSecret" else None
        if told:
            return missing, told
    return (BY_ID["pull-no-credentials"], found) if cause.id == "pull-credentials" and not pod.pull_secrets else (cause, found)


def ended(code: int, reason: str) -> Cause:
    """The cause of an end with an exit code other than 0."""
    if reason == "OOMKilled":
        return BY_ID["crash-oom"]
    for cause in TABLE:
        if cause.codes and code in cause.codes:
            return cause
    return BY_ID["crash"]


def diagnose(pod: PodFacts, container: ContainerFacts, *, namespace: str = "") -> Diagnosis | None:
    """What is the matter with this container; None when nothing is (it runs and is ready, or is an init container that is done)."""
    for cause in _POD_ENDS:
        if pod.phase == "Failed" and pod.reason and cause.match_reason.match(pod.reason):
            return filled(cause, None, pod, container, reason=pod.reason, message=pod.message, namespace=namespace)
    if container.state == "running":
        return _running(pod, container, namespace)
    if container.state == "terminated":
        return _ended(pod, container, container.reason, container.message, container.exit_code, namespace)
    if container.state == "waiting" and container.reason == "CrashLoopBackOff":
        # the last end is the cause; a code that cannot be told any more (the dead container was removed) counts as an error
        code = 1 if container.last_exit_code is None else container.last_exit_code
        return _ended(pod, container, container.last_reason, container.last_message, code, namespace)
    reason, message = container.reason, container.message
    if reason in ("", "ContainerCreating", "PodInitializing"):
        if pod.unschedulable:
            reason, message = "Unschedulable", pod.unschedulable
        else:
            for event_reason, event_message in pod.events:
                if event_reason in _DISTURBING:
                    reason, message = event_reason, event_message
                    break
            else:
                if container.name in pod.pulling:
                    return filled(BY_ID["pulling"], None, pod, container, reason="Pulling", message="", namespace=namespace)
    cause, found = recognise(reason, message, pod)
    return filled(cause, found, pod, container, reason=reason, message=message, namespace=namespace)


def _running(pod: PodFacts, container: ContainerFacts, namespace: str) -> Diagnosis | None:
    if container.role == "init":
        return None
    if container.ready and container.started is not False:
        # a node that is lost leaves its last words: the node controller only takes the pod's own readiness away
        lost = next((message for reason, message in pod.events if reason == "NodeNotReady"), None) if not pod.ready else None
        if lost is None:
            return None
        return filled(BY_ID["node-lost"], None, pod, container, reason="NodeNotReady", message=lost, namespace=namespace)
    if container.name in pod.probe_kills:
        return filled(BY_ID["probe-kill"], None, pod, container, reason="ProbeKill", message="", namespace=namespace)
    for reason, message in pod.events:
        if reason == "Unhealthy":
            cause, found = recognise(reason, message)
            return filled(cause, found, pod, container, reason=reason, message=message, namespace=namespace)
    return filled(BY_ID["starting"], None, pod, container, reason="Starting", message="", namespace=namespace)


def _ended(pod: PodFacts, container: ContainerFacts, reason: str, message: str, code: int | None, namespace: str) -> Diagnosis | None:
    if code in (None, 0) and container.role == "init" and container.state == "terminated":
        return None
    if container.name in pod.probe_kills:  # a program that ends well when it is told to ends with 0
        return filled(BY_ID["probe-kill"], None, pod, container, reason=reason or "Error", message=message, namespace=namespace)
    if code in (None, 0):
        return filled(BY_ID["clean-exit"], None, pod, container, reason=reason or "Completed", message=message, namespace=namespace)
    assert code is not None
    if reason in ("StartError", "ContainerCannotRun"):
        cause, found = recognise(reason, message)
        return filled(cause, found, pod, container, reason=reason, message=message, namespace=namespace)
    shown = container.reason or reason or "Error"
    return filled(ended(code, reason), None, pod, container, reason=shown, message=message, code=code, namespace=namespace)


def refused_pod(error: str, *, namespace: str = "") -> Diagnosis:
    """Why a ReplicaSet cannot make pods, from its ReplicaFailure message: it waits for the deadline, but is named."""
    cause, found = recognise("FailedCreate", error)
    return filled(cause, found, PodFacts(name=""), ContainerFacts(name=""), reason="FailedCreate", message=error, namespace=namespace)


def filled(
    cause: Cause,
    found: re.Match[str] | None,
    pod: PodFacts,
    container: ContainerFacts,
    *,
    reason: str,
    message: str,
    code: int | None = None,
    namespace: str = "",
) -> Diagnosis:
    """The table's texts with the names of this container in them."""
    clean = normalised(message)
    groups = {name: value for name, value in (found.groupdict() if found else {}).items() if value}
    words = {
        "who": _who(container),
        "name": container.name,
        "pod": pod.name,
        "node": pod.node or "NODE",
        "image": container.image or "(unknown)",
        "host": registry_of(container.image),
        "address": host if ":" in (host := registry_of(container.image)) else f"{host}:443",
        "secrets": _secrets(pod),
        "reason": reason,
        "message": shortened(_PREEMPTION.sub("", clean).rstrip("."), 300) or f"the kubelet says no more than {reason}",
        "code": code,
        "signal": (code or 0) - 128,
        "ns": f" -n {namespace}" if namespace else "",
        "status": "an error of its own",
        "kind": "config",
        "object": "(unknown)",
        "key": "(unknown)",
        "path": groups.get("cwd", "(unknown)"),
        "names": "other names",
        "quota": "(unknown)",
        "level": "(unknown)",
    } | groups
    if cause.id.startswith(("config-", "volume-")):
        words["kind"] = {"configmap": "ConfigMap", "secret": "Secret"}.get(str(words["kind"]).lower(), words["kind"])
    return Diagnosis(
        cause=cause.id,
        class_=cause.cls,
        reason=reason,
        message=clean,
        what=cause.what.format(**words),
        means=cause.means.format(**words),
        advice=cause.advice.format(**words),
        command=cause.command.format(**words),
        quiet=cause.quiet,
    )


def _secrets(pod: PodFacts) -> str:
    if not pod.pull_secrets:
        return "without credentials, as the pod names no pull secret"
    return f"with pull secret{'' if len(pod.pull_secrets) == 1 else 's'} {', '.join(pod.pull_secrets)}"


def _who(container: ContainerFacts) -> str:
    return {"init": "init container ", "sidecar": "sidecar container ", "main": "container "}[container.role] + container.name


def registry_of(image: str) -> str:
    """The host part of an image name as container runtimes read it: docker.io when none is named."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
