{{- define "invar.pod" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- $controller := .Values.controller -}}
metadata:
  annotations:
    kubectl.kubernetes.io/default-container: alloy
    {{- if and $alloy.configMap.create (not .Values.configReloader.enabled) }}
    checksum/config: {{ include "invar.configText" . | sha256sum | trunc 63 }}
    {{- end }}
    {{- with $controller.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "invar.selector" . | nindent 4 }}
    {{- with $controller.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "invar.serviceAccount" . }}
  {{- with include "invar.podSecurity" . }}
  securityContext:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with .Values.global.image.pullSecrets | default .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $controller.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{ include "invar.container" . | indent 6 | trim }}
    {{- if .Values.configReloader.enabled }}
    - {{ include "invar.reloader" . | indent 6 | trim }}
    {{- end }}
    {{- with $controller.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $controller.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- if $controller.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- if $controller.hostPID }}
  hostPID: true
  {{- end }}
  dnsPolicy: {{ $controller.dnsPolicy }}
  {{- with $controller.terminationGracePeriodSeconds }}
  terminationGracePeriodSeconds: {{ int . }}
  {{- end }}
  {{- range $field := list "affinity" "nodeSelector" "tolerations" "topologySpreadConstraints" }}
  {{- with index $controller $field }}
  {{ $field }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with $alloy.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "invar.configName" . }}
    {{- range include "invar.scratch" . | trim | default "[]" | fromYamlArray }}
    - name: {{ .name }}
      emptyDir: {}
    {{- end }}
    {{- if $alloy.mounts.varlog }}
    - name: varlog
      hostPath:
        path: /var/log
    {{- end }}
    {{- if $alloy.mounts.dockercontainers }}
    - name: dockercontainers
      hostPath:
        path: /var/lib/docker/containers
    {{- end }}
    {{- with $controller.volumes.extra }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
