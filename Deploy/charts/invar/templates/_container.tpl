{{- define "invar.container" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- $image := dict "root" . "image" .Values.image "tag" .Chart.AppVersion -}}
{{- $node := dict "fieldRef" (dict "fieldPath" "spec.nodeName") -}}
name: alloy
image: {{ include "invar.image" $image }}
imagePullPolicy: {{ include "invar.pullPolicy" $image }}
{{- with $alloy.command }}
command:
  {{- toYaml . | nindent 2 }}
{{- end }}
args:
  - run
  - /etc/alloy/{{ include "invar.configKey" . }}
  - --storage.path={{ $alloy.storagePath }}
  - --server.http.listen-addr={{ $alloy.listenAddr }}:{{ $alloy.listenPort }}
  - --server.http.ui-path-prefix={{ $alloy.uiPathPrefix }}
  {{- if not $alloy.enableReporting }}
  - --disable-reporting
  {{- end }}
  {{- if $alloy.clustering.enabled }}
  - --cluster.enabled=true
  - --cluster.join-addresses={{ include "invar.fullname" . }}-cluster
  {{- with $alloy.clustering.name }}
  - --cluster.name={{ . }}
  {{- end }}
  {{- end }}
  {{- with $alloy.stabilityLevel }}
  - --stability.level={{ . }}
  {{- end }}
  {{- with $alloy.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  - name: ALLOY_DEPLOY_MODE
    value: helm
  {{- /* The node's name, not the pod's: configurations select what runs on their node with it. */}}
  {{- range list "HOSTNAME" "K8S_NODE_NAME" }}
  - name: {{ . }}
    valueFrom:
      {{- toYaml $node | nindent 6 }}
  {{- end }}
  {{- with $alloy.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $alloy.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or $alloy.enableHttpServerPort $alloy.extraPorts }}
ports:
  {{- if $alloy.enableHttpServerPort }}
  - name: http-metrics
    containerPort: {{ $alloy.listenPort }}
  {{- end }}
  {{- range $alloy.extraPorts }}
  - name: {{ .name }}
    containerPort: {{ .targetPort }}
    {{- with .hostPort }}
    hostPort: {{ . }}
    {{- end }}
    protocol: {{ .protocol | default "TCP" }}
  {{- end }}
{{- end }}
{{- if $alloy.enableHttpServerPort }}
readinessProbe:
  httpGet:
    path: /-/ready
    port: {{ $alloy.listenPort }}
    scheme: {{ $alloy.listenScheme }}
  initialDelaySeconds: {{ $alloy.initialDelaySeconds }}
  timeoutSeconds: {{ $alloy.timeoutSeconds }}
{{- end }}
{{- range $field := list "livenessProbe" "resources" "lifecycle" }}
{{- with index $alloy $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with include "invar.containerSecurity" . }}
securityContext:
  {{- . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: config
    mountPath: /etc/alloy
  {{- with include "invar.scratch" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if $alloy.mounts.varlog }}
  - name: varlog
    mountPath: /var/log
    readOnly: true
  {{- end }}
  {{- if $alloy.mounts.dockercontainers }}
  - name: dockercontainers
    mountPath: /var/lib/docker/containers
    readOnly: true
  {{- end }}
  {{- with $alloy.mounts.extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* The container that asks for a reload when the mounted configuration changes. */ -}}
{{- define "invar.reloader" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- $reloader := .Values.configReloader -}}
{{- $image := dict "root" . "image" $reloader.image "tag" "v0.91.0" -}}
{{- $url := printf "http://localhost:%v/-/reload" $alloy.listenPort -}}
name: config-reloader
image: {{ include "invar.image" $image }}
imagePullPolicy: {{ include "invar.pullPolicy" $image }}
args:
  {{- if $reloader.customArgs }}
  {{- toYaml $reloader.customArgs | nindent 2 }}
  {{- else if hasSuffix "configmap-reload" $reloader.image.repository }}
  - --volume-dir=/etc/alloy
  - --webhook-url={{ $url }}
  {{- else }}
  - --watched-dir=/etc/alloy
  - --reload-url={{ $url }}
  {{- end }}
volumeMounts:
  - name: config
    mountPath: /etc/alloy
{{- range $field := list "resources" "securityContext" }}
{{- with index $reloader $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}
