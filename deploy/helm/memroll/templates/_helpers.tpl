{{- define "memroll.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* The release's name, with the chart's name unless it contains it. Short enough for a suffix and for a Service. */ -}}
{{- define "memroll.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "memroll.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "memroll.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "memroll.selectorLabels" -}}
app.kubernetes.io/name: {{ include "memroll.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "memroll.baseLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/part-of: memroll
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "memroll.labels" -}}
{{ include "memroll.selectorLabels" . }}
{{ include "memroll.baseLabels" . }}
{{- end }}

{{- /* Labels of pods that helm runs, (list root component): the operator's Service must not select them. */ -}}
{{- define "memroll.hookLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "memroll.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{ include "memroll.baseLabels" $root }}
{{- end }}

{{- define "memroll.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "memroll.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is required when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "memroll.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* The settings of a memroll process. */ -}}
{{- define "memroll.env" -}}
- name: MEMROLL_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: MEMROLL_IDENTITY
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: MEMROLL_WATCH_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: MEMROLL_EXCLUDED_NAMESPACES
  value: {{ include "memroll.excludedNamespaces" . | quote }}
- name: MEMROLL_CONNECTIONS_FILE
  value: /etc/memroll/connections.yaml
- name: MEMROLL_HTTP_PORT
  value: {{ .Values.http.port | quote }}
- name: MEMROLL_ALLOW_ACTING
  value: {{ .Values.enforcement.enabled | quote }}
- name: MEMROLL_ALLOW_SURGE
  value: {{ and .Values.enforcement.enabled .Values.surge.enabled | quote }}
- name: MEMROLL_ALLOW_RESTART
  value: {{ and .Values.enforcement.enabled .Values.restart.enabled | quote }}
- name: MEMROLL_ALLOW_LOGS
  value: {{ and .Values.enforcement.enabled .Values.evidence.logs.enabled | quote }}
- name: MEMROLL_ALLOW_EVIDENCE_HTTP
  value: {{ and .Values.enforcement.enabled .Values.evidence.http.enabled | quote }}
- name: MEMROLL_ALLOW_NODES
  value: {{ and .Values.nodeAllocatable.enabled (eq .Values.rbac.scope "cluster") | quote }}
- name: MEMROLL_MAX_ROLLS_PER_HOUR
  value: {{ .Values.rollRateLimit.maxRollsPerHour | int | quote }}
- name: MEMROLL_MAX_NAMESPACE_SHARE
  value: {{ .Values.rollRateLimit.maxNamespaceShare | quote }}
- name: MEMROLL_NAMESPACE_QUOTA
  value: {{ .Values.rollRateLimit.namespaceQuota | quote }}
- name: MEMROLL_MIN_INTERVAL
  value: {{ .Values.policyBounds.minInterval | quote }}
- name: MEMROLL_MAX_WINDOW
  value: {{ .Values.policyBounds.maxWindow | quote }}
- name: MEMROLL_PODS_PER_POLICY
  value: {{ .Values.policyBounds.podsPerPolicy | int | quote }}
- name: MEMROLL_POLICIES_PER_NAMESPACE
  value: {{ .Values.policyBounds.policiesPerNamespace | int | quote }}
- name: MEMROLL_MANUAL_ROLLS_PER_HOUR
  value: {{ .Values.policyBounds.manualRollsPerHour | int | quote }}
- name: MEMROLL_LEASE_NAME
  value: {{ include "memroll.fullname" . }}
- name: MEMROLL_LEASE_SECONDS
  value: {{ .Values.leaderElection.leaseSeconds | quote }}
- name: MEMROLL_MAX_POLICIES_AT_ONCE
  value: {{ .Values.maxPoliciesAtOnce | quote }}
- name: MEMROLL_LOG_FORMAT
  value: {{ .Values.log.format }}
- name: MEMROLL_LOG_LEVEL
  value: {{ .Values.log.level }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "memroll.excludedNamespaces" -}}
{{- append .Values.excludedNamespaces .Release.Namespace | uniq | join "," }}
{{- end }}

{{- /* Parts of the admission policies; metadata and binding take (list root name). */ -}}
{{- define "memroll.admissionPolicy.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "memroll.fullname" $root }}-{{ index . 1 }}
labels:
  {{- include "memroll.labels" $root | nindent 2 }}
{{- end }}

{{- define "memroll.admissionPolicy.operator" -}}
- name: the-operator
  expression: >-
    request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "memroll.serviceAccountName" . }}'
{{- end }}

{{- define "memroll.admissionPolicy.namespaces" -}}
- expression: "!(request.namespace in {{ splitList "," (include "memroll.excludedNamespaces" .) | toJson | replace "\"" "'" }})"
  reason: Forbidden
  message: memroll changes nothing in an excluded namespace
{{- with .Values.watchNamespaces }}
- expression: request.namespace in {{ toJson . | replace "\"" "'" }}
  reason: Forbidden
  message: memroll changes nothing in a namespace that it does not watch
{{- end }}
{{- end }}

{{- define "memroll.admissionPolicy.binding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  {{- include "memroll.admissionPolicy.metadata" . | nindent 2 }}
spec:
  policyName: {{ include "memroll.fullname" (index . 0) }}-{{ index . 1 }}
  validationActions: [Deny]
{{- end }}

{{- /* The content of connections.yaml. */ -}}
{{- define "memroll.connections" -}}
{{- $connections := dict }}
{{- range $name, $connection := .Values.prometheus.connections }}
{{- if $connection }}
{{- if not $connection.url }}
{{- fail (printf "\n\nmemroll reads memory from Prometheus and needs its address:\n  --set prometheus.connections.%s.url=http://prometheus-operated.monitoring:9090\n(prometheus.connections.%s.url is required; docs/install.md has examples)\n" $name $name) }}
{{- end }}
{{- include "memroll.validateConnection" (dict "name" $name "connection" $connection "secrets" $.Values.prometheus.secrets) }}
{{- $_ := set $connections $name $connection }}
{{- end }}
{{- end }}
{{- if not $connections }}
{{- fail "\n\nmemroll reads memory from Prometheus and needs its address: prometheus.connections.default.url is required\n" }}
{{- end }}
{{- dict "connections" $connections | toYaml }}
{{- end }}

{{- /* Seconds until the Job before an uninstall restores pods: it starts, and takes over the Lease within two lease durations. */ -}}
{{- define "memroll.preDeleteHook.takeoverSeconds" -}}
{{- mulf 2 .Values.leaderElection.leaseSeconds | ceil | int | add 15 }}
{{- end }}

{{- /* Checks for values that contradict each other. */ -}}
{{- define "memroll.validate" -}}
{{- if and (eq .Values.rbac.scope "namespaces") (not .Values.watchNamespaces) }}
{{- fail "\n\nrbac.scope: namespaces needs watchNamespaces: name the namespaces that memroll works in, or use rbac.scope: cluster\n" }}
{{- end }}
{{- range .Values.watchNamespaces }}
{{- if has . (splitList "," (include "memroll.excludedNamespaces" $)) }}
{{- fail (printf "\n\nwatchNamespaces: %s is an excluded namespace (excludedNamespaces, or the release's own)\n" .) }}
{{- end }}
{{- end }}
{{- $minimum := add 15 (include "memroll.preDeleteHook.takeoverSeconds" .) }}
{{- if and .Values.preDeleteHook.enabled (lt (int .Values.preDeleteHook.timeoutSeconds) (int $minimum)) }}
{{- fail (printf "\n\npreDeleteHook.timeoutSeconds must be %d or more: the Job takes over the Lease within two lease durations (leaderElection.leaseSeconds)\n" (int $minimum)) }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) }}
{{- fail "\n\nmetrics.serviceMonitor.enabled needs metrics.service.enabled\n" }}
{{- end }}
{{- end }}

{{- /* Security contexts of pods and containers; OpenShift's SCC assigns user and groups. */ -}}
{{- define "memroll.podSecurityContext" -}}
{{- toYaml (ternary (omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup") .Values.podSecurityContext (eq (include "memroll.isOpenShift" .) "true")) }}
{{- end }}

{{- define "memroll.securityContext" -}}
{{- toYaml (ternary (omit .Values.securityContext "runAsUser" "runAsGroup") .Values.securityContext (eq (include "memroll.isOpenShift" .) "true")) }}
{{- end }}

{{- define "memroll.isOpenShift" -}}
{{- $adapt := .Values.openshift.adaptSecurityContext }}
{{- if or (eq $adapt "force") (and (eq $adapt "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}true{{- end }}
{{- end }}

{{- define "memroll.subjects" -}}
- kind: ServiceAccount
  name: {{ include "memroll.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- /* Checks that the operator makes at its start, made before the installation. */ -}}
{{- define "memroll.validateConnection" -}}
{{- $at := printf "prometheus.connections.%s" .name }}
{{- if and .connection.authorization .connection.basicAuth }}
{{- fail (printf "\n\n%s: authorization and basicAuth exclude each other: give one\n" $at) }}
{{- end }}
{{- if and .connection.tls (not (hasPrefix "https://" .connection.url)) }}
{{- fail (printf "\n\n%s: tls needs a url that starts with https://\n" $at) }}
{{- end }}
{{- $mounted := list }}
{{- range .secrets }}
{{- $mounted = append $mounted .name }}
{{- end }}
{{- range $section := list "authorization" "basicAuth" "tls" }}
{{- range $key, $path := get $.connection $section | default dict }}
{{- if and (hasSuffix "File" $key) (hasPrefix "/etc/memroll/secrets/" $path) }}
{{- $secret := index (splitList "/" (trimPrefix "/etc/memroll/secrets/" $path)) 0 }}
{{- if not (has $secret $mounted) }}
{{- fail (printf "\n\n%s.%s.%s is in the Secret %s, which is not mounted: add {name: %s} to prometheus.secrets\n" $at $section $key $secret $secret) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
