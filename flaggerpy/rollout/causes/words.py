"""Words that several causes share: reasons of the kubelet, commands, advice."""

from __future__ import annotations

PULL = "ErrImagePull|ImagePullBackOff|RegistryUnavailable|ImageInspectError|SignatureValidationFailed"
RUN = "RunContainerError|StartError|ContainerCannotRun|CreateContainerError|CrashLoopBackOff"
STATUS = r"(?:status(?: code)?(?: from \S+ request to \S+)?:?|\[[^\]]*\]:|received unexpected HTTP status:|StatusCode:?)\s*"
DESCRIBE = "kubectl{ns} describe pod {pod}"
PREVIOUS = "kubectl{ns} logs {pod} -c {name} --previous"
EVENTS = "kubectl{ns} get events --field-selector involvedObject.name={pod}"
PULL_SECRETS = "kubectl{ns} get pod {pod} -o jsonpath='{{.spec.imagePullSecrets}}'"
SHOW_CERTIFICATE = "openssl s_client -connect {address} </dev/null | openssl x509 -noout -subject -issuer -dates -ext subjectAltName"
REFUSED = r"\(refused pull\)"
"""No reason of a kubelet's: these causes are told by what the pod has beside the message."""
FROM_NODE = "Open the registry's address from a node ({host}); check its address, firewall and proxy settings, and the image's host part."
