{{/* Names are those of Flagger's chart: its release can be upgraded to this one, and selectors cannot change. */}}
{{- define "flagger.name" -}}
{{- default "flagger" .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "flagger.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "flagger.fullname" -}}
{{- $name := include "flagger.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "flagger.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "flagger.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The number of shards; 0 where there is only one: nothing says so then, and all names are Flagger's. */}}
{{- define "flaggerpy.shards" -}}
{{- $shards := int .Values.shards -}}
{{- ternary $shards 0 (gt $shards 1) -}}
{{- end -}}

{{/* What selects the controller's pods; never to be changed. */}}
{{- define "flaggerpy.selector" -}}
app.kubernetes.io/name: {{ include "flagger.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "flaggerpy.labels" -}}
helm.sh/chart: {{ include "flagger.chart" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "flaggerpy.selector" . }}
{{- end -}}

{{- define "flaggerpy.prometheusLabels" -}}
helm.sh/chart: {{ include "flagger.chart" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/name: {{ include "flagger.name" . }}-prometheus
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Whether the values name the image that Flagger's chart has by default: a copy of its values.yaml does, without meaning anything by it. */}}
{{- define "flaggerpy.flaggersImage" -}}
{{- if has .Values.image.repository (list "ghcr.io/fluxcd/flagger" "docker.io/fluxcd/flagger" "fluxcd/flagger" "weaveworks/flagger") -}}
true
{{- end -}}
{{- end -}}

{{/* The image by digest where there is one, else by tag. */}}
{{- define "flaggerpy.image" -}}
{{- $repository := .Values.image.repository -}}
{{- $tag := .Values.image.tag -}}
{{- if include "flaggerpy.flaggersImage" . -}}
{{- $repository = "" -}}
{{- $tag = "" -}}
{{- end -}}
{{- $repository = $repository | default (index .Chart.Annotations "flagger.app/image") -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository ($tag | default .Chart.AppVersion | toString) -}}
{{- end -}}
{{- end -}}

{{/* The namespaces that are watched, as one string with commas; empty is all. */}}
{{- define "flaggerpy.namespaces" -}}
{{- $given := .Values.namespace -}}
{{- $found := list -}}
{{- if kindIs "slice" $given -}}
{{- $found = $given -}}
{{- else if $given -}}
{{- $found = splitList "," $given -}}
{{- end -}}
{{- $names := list -}}
{{- range $found -}}
{{- $names = append $names (trim .) -}}
{{- end -}}
{{- $names | uniq | compact | join "," -}}
{{- end -}}

{{/* Where the Lease lives. By Flagger's rule it is the one namespace that is watched; kube-system is the controller's own default. */}}
{{- define "flaggerpy.leaseNamespace" -}}
{{- $namespaces := include "flaggerpy.namespaces" . -}}
{{- if and $namespaces (or (not (contains "," $namespaces)) (eq .Release.Namespace "kube-system")) -}}
{{- splitList "," $namespaces | first -}}
{{- else -}}
{{- .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{/* A number of a value that may be a text; Helm reads large ones as floats. */}}
{{- define "flaggerpy.number" -}}
{{- if kindIs "float64" . -}}{{- int64 . -}}{{- else -}}{{- toString . -}}{{- end -}}
{{- end -}}

{{/* Labels, annotations and node labels, whose values the API server takes as texts only: --set makes numbers of 1 and true of true. */}}
{{- define "flaggerpy.texts" -}}
{{- $texts := dict -}}
{{- range $name, $value := . -}}
{{- $_ := set $texts $name (include "flaggerpy.number" $value) -}}
{{- end -}}
{{- toYaml $texts -}}
{{- end -}}

{{/*
The controller's flags: name without dash, and value, all texts. An empty one is not given, so that the controller's own default stands. A new
flag is one line here.
*/}}
{{- define "flaggerpy.flags" -}}
{{- $values := .Values -}}
log-level: {{ $values.logLevel | quote }}
mesh-provider: {{ $values.meshProvider | quote }}
{{- if $values.prometheus.install }}
metrics-server: {{ printf "http://%s-prometheus:9090" (include "flagger.fullname" .) | quote }}
{{- else }}
metrics-server: {{ $values.metricsServer | quote }}
{{- end }}
namespace: {{ include "flaggerpy.namespaces" . | quote }}
leader-election-namespace: {{ .Release.Namespace | quote }}
selector-labels: {{ $values.selectorLabels | quote }}
include-label-prefix: {{ $values.includeLabelPrefix | quote }}
enable-config-tracking: {{ $values.configTracking.enabled | toString | quote }}
ingress-annotations-prefix: {{ $values.ingressAnnotationsPrefix | quote }}
ingress-class: {{ $values.ingressClass | quote }}
egress-allow: {{ join "," $values.egress.allow | quote }}
egress-deny: {{ join "," $values.egress.deny | quote }}
egress-schemes: {{ join "," $values.egress.schemes | quote }}
no-cross-namespace-refs: {{ $values.noCrossNamespaceRefs | toString | quote }}
revert-on-deletion: {{ $values.revertOnDeletion | toString | quote }}
kstatus-conditions: {{ $values.kstatusConditions | toString | quote }}
ui: {{ ternary "true" "" $values.ui.enabled | quote }}
ui-auth: {{ ternary "true" "" (and $values.ui.enabled $values.ui.auth) | quote }}
ui-hosts: {{ ternary (join "," $values.ui.hosts) "" $values.ui.enabled | quote }}
ui-actions: {{ ternary "true" "" (and $values.ui.enabled $values.ui.actions) | quote }}
cluster-name: {{ $values.clusterName | quote }}
slack-user: {{ $values.slack.user | quote }}
slack-channel: {{ $values.slack.channel | quote }}
slack-proxy-url: {{ $values.slack.proxyUrl | default $values.slack.proxy | quote }}
msteams-proxy-url: {{ $values.msteams.proxyUrl | quote }}
kubeconfig-qps: {{ include "flaggerpy.number" $values.kubeconfigQPS | quote }}
kubeconfig-burst: {{ include "flaggerpy.number" $values.kubeconfigBurst | quote }}
{{- range $flag, $value := $values.extraFlags }}
{{ $flag }}: {{ include "flaggerpy.number" $value | quote }}
{{- end }}
{{- end -}}

{{/* The flags as arguments. */}}
{{- define "flaggerpy.args" -}}
{{- range $flag, $value := include "flaggerpy.flags" . | fromYaml }}
{{- if $value }}
- {{ printf "-%s=%s" $flag $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What is secret of the alerts, by the environment variable that the controller reads; Flagger had it in its arguments, for all to see. */}}
{{- define "flaggerpy.secrets" -}}
{{- range $name, $value := dict "SLACK_URL" .Values.slack.url "SLACK_TOKEN" .Values.slack.token "MSTEAMS_URL" .Values.msteams.url "EVENT_WEBHOOK_URL" .Values.eventWebhook }}
{{- if $value }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Rules for releases, as a list: what all need and what the providers need. */}}
{{- define "flaggerpy.rules" -}}
{{- $known := .Files.Get "rbac.yaml" | fromYaml -}}
{{- $wanted := .Values.rbac.providers -}}
{{- if $wanted -}}
{{- $wanted = append $wanted (.Values.meshProvider | default "istio") | uniq -}}
{{- else -}}
{{- $wanted = keys $known.providers -}}
{{- end -}}
{{- $rules := concat $known.common $known.optional -}}
{{- $texts := list -}}
{{- range $wanted | sortAlpha -}}
{{- if not (hasKey $known.providers .) -}}
{{- fail (printf "rbac.providers, meshProvider: %s is not built; there are %s" . (keys $known.providers | sortAlpha | join ", ")) -}}
{{- end -}}
{{- range get $known.providers . -}}
{{- if not (has (toJson .) $texts) -}}
{{- $texts = append $texts (toJson .) -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}

{{/*
Rules for the Lease, as a list. The names of the first shards stand in them anyway: while the number of shards changes, who goes can give
its Lease back.
*/}}
{{- define "flaggerpy.leaseRules" -}}
{{- $shards := include "flaggerpy.shards" . | int -}}
{{- $rules := list -}}
{{- range (.Files.Get "rbac.yaml" | fromYaml).lease -}}
{{- $rule := . -}}
{{- with .resourceNames -}}
{{- $whole := first . -}}
{{- $names := . -}}
{{- range $shard := until $shards -}}
{{- $names = append $names (printf "%s-shard-%d" $whole $shard) -}}
{{- end -}}
{{- $rule = set $rule "resourceNames" (uniq $names) -}}
{{- end -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}

{{/* Whether the Deployment that this release has now is Flagger's: the two must not run beside each other. */}}
{{- define "flaggerpy.replacesFlagger" -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (include "flagger.fullname" .) -}}
{{- if hasPrefix "flagger-" (dig "metadata" "labels" "helm.sh/chart" "" ($live | default dict)) -}}
true
{{- end -}}
{{- end -}}

{{/* Flagger ends before ours begins. */}}
{{- define "flaggerpy.strategy" -}}
{{- if .Values.updateStrategy -}}
{{- toYaml .Values.updateStrategy -}}
{{- else if include "flaggerpy.replacesFlagger" . -}}
type: Recreate
{{- else -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: 1
  maxUnavailable: 0
{{- end -}}
{{- end -}}

{{/* Top-level values that this chart does not know, for NOTES.txt. */}}
{{- define "flaggerpy.unknownValues" -}}
{{- $known := list "image" "logLevel" "meshProvider" "metricsServer" "namespace" "selectorLabels" "includeLabelPrefix" "configTracking" "ingressAnnotationsPrefix" "ingressClass" "egress" "noCrossNamespaceRefs" "revertOnDeletion" "kstatusConditions" "ui" "eventWebhook" "clusterName" "slack" "msteams" "env" "extraFlags" "kubeconfigQPS" "kubeconfigBurst" "leaderElection" "shards" "updateStrategy" "serviceAccount" "rbac" "crd" "deploymentLabels" "annotations" "podLabels" "podAnnotations" "podPriorityClassName" "securityContext" "resources" "nodeSelector" "tolerations" "affinity" "additionalVolumes" "additionalVolumeMounts" "podDisruptionBudget" "serviceMonitor" "podMonitor" "prometheusRule" "dashboard" "linkerdAuthPolicy" "prometheus" "nameOverride" "fullnameOverride" "threadiness" "controlplane" "global" -}}
{{- $unknown := list -}}
{{- range $name, $_ := .Values -}}
{{- if and (not (has $name $known)) (not (hasPrefix "x-" $name)) -}}
{{- $unknown = append $unknown $name -}}
{{- end -}}
{{- end -}}
{{- $unknown | join ", " -}}
{{- end -}}

{{/*
Refuses values that lack some which have a default: `helm upgrade --reuse-values` takes those of the chart before, Flagger's or an older
one of ours, as they are. Every template begins with it, as Helm renders them in an order of its own, and what is missing must be said
before a template stumbles over it, or does without it in silence.
*/}}
{{- define "flaggerpy.complete" -}}
{{- $missing := list -}}
{{- range list "configTracking.enabled" "controlplane.kubeconfig" "crd.upgrade" "dashboard.enabled" "egress.schemes" "image" "kstatusConditions" "leaderElection" "linkerdAuthPolicy" "msteams" "noCrossNamespaceRefs" "podDisruptionBudget" "podMonitor" "prometheus.securityContext" "prometheusRule.enabled" "rbac.clusterReads" "revertOnDeletion" "securityContext" "serviceAccount" "serviceMonitor" "shards" "slack" "ui.actions" "ui.auth" "ui.enabled" -}}
{{- $at := $.Values -}}
{{- $path := list -}}
{{- range splitList "." . -}}
{{- if not (kindIs "invalid" $at) -}}
{{- $path = append $path . -}}
{{- $at = index $at . -}}
{{- end -}}
{{- end -}}
{{- if kindIs "invalid" $at -}}
{{- $missing = append $missing (join "." $path) -}}
{{- end -}}
{{- end -}}
{{- with $missing | uniq -}}
{{- fail (printf "these values are missing: %s. Values of another chart version were reused as they are: use --reset-then-reuse-values (Helm 3.14 or later) instead of --reuse-values, or give your values by -f" (join ", " .)) -}}
{{- end -}}
{{- end -}}

{{/* What cannot work is refused here, in a sentence, and not by a pod that crashes. */}}
{{- define "flaggerpy.validate" -}}
{{- if .Values.controlplane.kubeconfig.secretName -}}
{{- fail "controlplane.kubeconfig.secretName: routes in a second cluster are not built yet; Flagger stays the one to use there" -}}
{{- end -}}
{{- if and (include "flaggerpy.shards" . | int) (include "flaggerpy.replacesFlagger" .) -}}
{{- fail (printf "shards: the Deployment %s that this release has now is Flagger's, and would run on beside the shards: upgrade with shards 1 first" (include "flagger.fullname" .)) -}}
{{- end -}}
{{- if and .Values.slack.url (not .Values.slack.channel) -}}
{{- fail "slack.url needs slack.channel: without a channel Slack takes no message (Flagger sent none, and said so in its log only)" -}}
{{- end -}}
{{- if not (include "flaggerpy.flaggersImage" .) -}}
{{- if eq (base (toString .Values.image.repository)) "flagger" -}}
{{- fail (printf "image.repository %s looks like a copy of Flagger's image, which does not take this chart's arguments: name one of flaggerpy" .Values.image.repository) -}}
{{- end -}}
{{- if and (not .Values.image.digest) (regexMatch "^v?1\\.[0-9]+\\.[0-9]+$" (toString .Values.image.tag)) (semverCompare "<1.0.0-0" .Chart.AppVersion) -}}
{{- fail (printf "image.tag %s is a version of Flagger, not of flaggerpy: remove it from your values" (toString .Values.image.tag)) -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.rbac.clusterReads) (not (include "flaggerpy.namespaces" .)) -}}
{{- fail "rbac.clusterReads: without it the controller is for some namespaces only; set namespace too" -}}
{{- end -}}
{{- end -}}
