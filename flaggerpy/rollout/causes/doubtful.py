"""Every other error of the kubelet: such a cause may heal."""

from __future__ import annotations

from flaggerpy.rollout.causes.cause import Cause
from flaggerpy.rollout.causes.words import DESCRIBE

DOUBTFUL: tuple[Cause, ...] = (
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
        command=DESCRIBE,
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
        command=DESCRIBE,
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
        command=DESCRIBE,
        example="any other message of CreateContainerError, RunContainerError or StartError",
    ),
)
