{{- /*
Root is needed to read what only the node's root may read, for capabilities asked for (they have no effect without),
and for ports below 1024. Prints a reason, or nothing.
*/ -}}
{{- define "invar.rootReason" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- $reason := "" -}}
{{- if or $alloy.mounts.varlog $alloy.mounts.dockercontainers }}{{ $reason = "node" }}{{ end -}}
{{- range .Values.controller.volumes.extra }}{{ if .hostPath }}{{ $reason = "node" }}{{ end }}{{ end -}}
{{- $capabilities := ($alloy.securityContext | default dict).capabilities | default dict -}}
{{- if and (not $reason) $capabilities.add }}{{ $reason = "capabilities" }}{{ end -}}
{{- if not $reason -}}
{{- if lt (int $alloy.listenPort) 1024 }}{{ $reason = "port" }}{{ end -}}
{{- range $alloy.extraPorts }}{{ if lt (int .targetPort) 1024 }}{{ $reason = "port" }}{{ end }}{{ end -}}
{{- end -}}
{{- $reason -}}
{{- end -}}

{{- /* Whether a port below 1024 is listened on: "true" or nothing. */ -}}
{{- define "invar.lowPort" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- $low := lt (int $alloy.listenPort) 1024 -}}
{{- range $alloy.extraPorts }}{{ if lt (int .targetPort) 1024 }}{{ $low = true }}{{ end }}{{ end -}}
{{- if $low }}true{{ end -}}
{{- end -}}

{{- /* The collector's security context: what the values ask for, laid over safe settings. */ -}}
{{- define "invar.containerSecurity" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- $asked := $alloy.securityContext | default dict -}}
{{- $pod := .Values.global.podSecurityContext | default dict -}}
{{- $result := deepCopy $asked -}}
{{- if and .Values.hardening.enabled (not $asked.privileged) -}}
  {{- $safe := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true -}}
  {{- if has "SYS_ADMIN" (($asked.capabilities | default dict).add | default list) -}}
    {{- $_ := unset $safe "allowPrivilegeEscalation" -}}
  {{- end -}}
  {{- if not $pod.seccompProfile }}{{ $_ := set $safe "seccompProfile" (dict "type" "RuntimeDefault") }}{{ end -}}
  {{- $capabilities := dict "drop" (list "ALL") -}}
  {{- $reason := include "invar.rootReason" . -}}
  {{- $settled := or (hasKey $asked "runAsUser") (hasKey $asked "runAsNonRoot")
      (hasKey $pod "runAsUser") (hasKey $pod "runAsNonRoot") -}}
  {{- if not $settled -}}
    {{- if $reason }}{{ $_ := set $safe "runAsUser" 0 }}{{ else }}{{ $_ := set $safe "runAsNonRoot" true }}{{ end -}}
  {{- end -}}
  {{- $add := list -}}
  {{- if eq $reason "node" }}{{ $add = append $add "DAC_READ_SEARCH" }}{{ end -}}
  {{- if include "invar.lowPort" . }}{{ $add = append $add "NET_BIND_SERVICE" }}{{ end -}}
  {{- if and $asked.capabilities (not $asked.capabilities.drop) -}}
    {{- $add = concat $add ($asked.capabilities.add | default list) | uniq -}}
    {{- $_ := unset $result "capabilities" -}}
  {{- end -}}
  {{- if $add }}{{ $_ := set $capabilities "add" $add }}{{ end -}}
  {{- if not $result.capabilities }}{{ $_ := set $safe "capabilities" $capabilities }}{{ end -}}
  {{- range $key, $value := $result }}{{ $_ := set $safe $key $value }}{{ end -}}
  {{- $result = $safe -}}
{{- end -}}
{{- if $result }}{{ toYaml $result }}{{ end -}}
{{- end -}}

{{- /* The pod's: volumes belong to the group of a collector that is not root. */ -}}
{{- define "invar.podSecurity" -}}
{{- $pod := deepCopy (.Values.global.podSecurityContext | default dict) -}}
{{- if and .Values.hardening.enabled (not (include "invar.rootReason" .)) (not (hasKey $pod "fsGroup")) -}}
  {{- if or .Values.controller.volumeClaimTemplates .Values.controller.volumes.extra -}}
    {{- $_ := set $pod "fsGroup" 65532 -}}
  {{- end -}}
{{- end -}}
{{- if $pod }}{{ toYaml $pod }}{{ end -}}
{{- end -}}

{{- /*
Volumes of the chart's own, as a list of name and mountPath: places the collector writes to. A path that a mount of
the values covers is left to that mount.
*/ -}}
{{- define "invar.scratch" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- $wanted := list (dict "name" "invar-storage" "mountPath" (trimSuffix "/" $alloy.storagePath)) -}}
{{- if and .Values.hardening.enabled (not (($alloy.securityContext | default dict).privileged)) -}}
{{- $wanted = append $wanted (dict "name" "invar-tmp" "mountPath" "/tmp") -}}
{{- end -}}
{{- range $place := $wanted -}}
{{- $covered := not (hasPrefix "/" $place.mountPath) -}}
{{- range $alloy.mounts.extra -}}
{{- $mounted := printf "%s/" (trimSuffix "/" .mountPath) -}}
{{- if hasPrefix $mounted (printf "%s/" $place.mountPath) }}{{ $covered = true }}{{ end -}}
{{- end -}}
{{- if not $covered }}
- name: {{ $place.name }}
  mountPath: {{ $place.mountPath }}
{{- end -}}
{{- end -}}
{{- end -}}
