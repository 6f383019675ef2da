{{- /* Address of the page with a heading for each alert: the value, else that of the package's docs, else its path. */ -}}
{{- define "memroll.runbooks" -}}
{{- $docs := index .Chart.Annotations "memroll.dev/docs" | default "docs" | trimSuffix "/" }}
{{- .Values.metrics.prometheusRule.runbookBaseUrl | default (printf "%s/runbooks.md" $docs) }}
{{- end }}

{{- /* The groups that have rules. */ -}}
{{- define "memroll.ruleGroups" -}}
{{- range $group := list "operator" "services" }}
{{- with include "memroll.rules" (list $ (printf "memroll.alerts.%s" $group)) | trim }}
- name: {{ include "memroll.fullname" $ }}-{{ $group }}
  rules:
    {{- . | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The rules of a group without the disabled ones, complete: (list root template). */ -}}
{{- define "memroll.rules" -}}
{{- $root := index . 0 }}
{{- $values := $root.Values.metrics.prometheusRule }}
{{- range (include (index . 1) $root | fromYamlArray) }}
{{- if not (has .alert $values.disabled) }}
{{- $_ := set . "labels" (merge (dict) $values.alertLabels .labels) }}
{{- $_ := set .annotations "runbook_url" (printf "%s#%s" (include "memroll.runbooks" $root) (lower .alert)) }}
{{ list . | toYaml }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Alerts on the operator. */ -}}
{{- define "memroll.alerts.operator" -}}
- alert: MemrollDown
  expr: absent(memroll_build_info{namespace="{{ .Release.Namespace }}"})
  for: 10m
  labels: {severity: critical}
  annotations:
    summary: memroll is not running
    description: >-
      No memroll in namespace {{ .Release.Namespace }} has been scraped for 10 minutes. No pod is assessed or rolled;
      leaking pods will be OOM-killed.
- alert: MemrollWithoutLeader
  expr: sum(memroll_leader{namespace="{{ .Release.Namespace }}"}) == 0
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: no memroll holds the Lease
    description: >-
      memroll runs in namespace {{ .Release.Namespace }}, but none of its processes has held the Lease
      {{ include "memroll.fullname" . }} for 5 minutes. No pod is assessed. The logs contain the reason.
- alert: MemrollPrometheusUnreachable
  expr: memroll_connection_up == 0 and on (job, instance) memroll_leader == 1
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: memroll can't query Prometheus
    description: >-
      The connection {{ `{{ $labels.connection }}` }} has not answered for 15 minutes. The pods of its policies are
      neither assessed nor rolled. The condition PrometheusReachable of these policies contains the reason.
- alert: MemrollPolicyNotReconciled
  expr: >-
    (time() - memroll_last_reconcile_timestamp_seconds > {{ .Values.metrics.prometheusRule.staleAfterSeconds | int }})
    and on (job, instance) memroll_leader == 1
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: a MemoryPolicy is not reconciled
    description: >-
      No reconcile of the policy {{ `{{ $labels.namespace }}/{{ $labels.policy }}` }} has succeeded for
      {{ `{{ $value | humanizeDuration }}` }}: its pods are neither assessed nor rolled. Its conditions contain the
      reason.
- alert: MemrollTaskRestarts
  expr: sum by (job, instance, task) (increase(memroll_task_restarts_total[1h])) > 0
  labels: {severity: warning}
  annotations:
    summary: a background task of memroll fails
    description: >-
      The task "{{ `{{ $labels.task }}` }}" of {{ `{{ $labels.instance }}` }} failed in the last hour and was started
      again: a bug. At 5 failures in a row the process ends. The logs contain the exception; please report it.
- alert: MemrollRollRateLimited
  expr: max by (job, instance) (memroll_roll_rate_limited) == 1 and on (job, instance) memroll_leader == 1
  labels: {severity: critical}
  annotations:
    summary: memroll's rate limit blocks rolls
    description: >-
      More pods are due than the limits in rollRateLimit permit. Either many services leak at once, or something is
      wrong: check `kubectl get podrolls -A` before you raise the limit. Due pods wait until the hour is over. The event
      RollRateLimited on each policy contains the numbers.
{{- end }}

{{- /* Alerts on the services, by policy. A standby that led before has old gauges: only those of the leader count. */ -}}
{{- define "memroll.alerts.services" -}}
- alert: MemrollWorkloadLeaks
  expr: >-
    max by (namespace, policy) (max_over_time(memroll_leaking_workloads[6h])
    and on (job, instance) memroll_leader == 1) > 0
  for: 1h
  labels: {severity: info}
  annotations:
    summary: a workload leaks memory
    description: >-
      {{ `{{ $value }}` }} workloads of the policy {{ `{{ $labels.namespace }}/{{ $labels.policy }}` }} have had a confirmed leak for an
      hour or more. Rolls keep them alive until it is fixed: `memroll report -n {{ `{{ $labels.namespace }}` }}` names
      revision, growth and, with the probe, the lines of code.
- alert: MemrollOOMKillDespitePolicy
  expr: >-
    max by (namespace, policy) (time() - memroll_last_oom_kill_timestamp_seconds < 3600
    and on (job, instance, namespace, policy) memroll_policy_info{mode="Enforce"}
    and on (job, instance) memroll_leader == 1)
  labels: {severity: warning}
  annotations:
    summary: a container was OOM-killed despite its MemoryPolicy
    description: >-
      A container of the policy {{ `{{ $labels.namespace }}/{{ $labels.policy }}` }} was OOM-killed
      {{ `{{ $value | humanizeDuration }}` }} ago. `memroll explain POD -n {{ `{{ $labels.namespace }}` }}` prints
      what blocked its roll, or why it was not seen as a leak.
- alert: MemrollRollsIneffective
  expr: >-
    sum by (namespace, policy) ((increase(memroll_roll_effects_total{effect="Ineffective"}[6h]) > 0)
    or (memroll_roll_effects_total{effect="Ineffective"} unless memroll_roll_effects_total{effect="Ineffective"} offset 6h)) > 0
  labels: {severity: warning}
  annotations:
    summary: rolls of a MemoryPolicy free no memory
    description: >-
      Replacements of pods of the policy {{ `{{ $labels.namespace }}/{{ $labels.policy }}` }} soon used as much memory as the pods before them.
      Further rolls are blocked for a while: the memory is needed, or the limit is too low.
      `kubectl get podrolls -n {{ `{{ $labels.namespace }}` }} -o yaml` prints the effect of each roll.
- alert: MemrollRollsFail
  expr: >-
    sum by (namespace, policy) ((increase(memroll_rolls_total{outcome="Failed"}[1h]) > 0)
    or (memroll_rolls_total{outcome="Failed"} unless memroll_rolls_total{outcome="Failed"} offset 1h)) > 0
  labels: {severity: warning}
  annotations:
    summary: rolls of a MemoryPolicy fail
    description: >-
      Rolls of the policy {{ `{{ $labels.namespace }}/{{ $labels.policy }}` }} failed in the last hour; the pods
      continue to run and leak. `kubectl get podrolls -n {{ `{{ $labels.namespace }}` }}` prints the reason.
- alert: MemrollPodsHeld
  expr: memroll_held_pods > 0 and on (job, instance) memroll_leader == 1
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: leaking pods near their limit are not rolled
    description: >-
      {{ `{{ $value }}` }} pods of the policy {{ `{{ $labels.namespace }}/{{ $labels.policy }}` }} will be OOM-killed:
      they are not Ready, or their workload is in a rollout. The condition RollsBlocked of the policy names the pods
      and the remedy (roll.duringRollout or roll.whenNotReady).
- alert: MemrollCannotKeepUp
  expr: max by (namespace, policy) (memroll_cannot_keep_up and on (job, instance) memroll_leader == 1) == 1
  labels: {severity: warning}
  annotations:
    summary: a MemoryPolicy leaves too little time for its rolls
    description: >-
      Pods of the policy {{ `{{ $labels.namespace }}/{{ $labels.policy }}` }} reach their memory limit before its budgets,
      roll.maxConcurrent or maintenance windows permit their roll. Its condition CannotKeepUp contains the numbers and
      the remedy.
{{- end }}
