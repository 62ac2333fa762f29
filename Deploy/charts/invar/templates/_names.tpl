{{- /* The word in names and labels. It stays `alloy`, because the selector of a workload cannot change. */ -}}
{{- define "invar.name" -}}
{{- .Values.nameOverride | default "alloy" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "invar.fullname" -}}
{{- $word := .Values.nameOverride | default "alloy" -}}
{{- $whole := printf "%s-%s" .Release.Name $word -}}
{{- if contains $word .Release.Name }}{{ $whole = .Release.Name }}{{ end -}}
{{- .Values.fullnameOverride | default $whole | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "invar.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "invar.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "invar.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "invar.selector" -}}
app.kubernetes.io/name: {{ include "invar.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "invar.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "invar.selector" . }}
app.kubernetes.io/version: {{ include "invar.version" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: alloy
{{- end -}}

{{- /* What the image was chosen by, in the letters a label value may have. */ -}}
{{- define "invar.version" -}}
{{- $version := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest }}{{ $version = trimPrefix "sha256:" .Values.image.digest }}{{ end -}}
{{- regexReplaceAll "@.*$" (toString $version) "" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* Metadata of an object; takes `root` and perhaps component, suffix, namespace, cluster, labels, annotations. */ -}}
{{- define "invar.metadata" -}}
name: {{ include "invar.fullname" .root }}{{ .suffix }}
{{- if not .cluster }}
namespace: {{ .namespace | default (include "invar.namespace" .root) }}
{{- end }}
labels:
  {{- include "invar.labels" .root | nindent 2 }}
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The kind of the workload, or nothing for a type there is not. */ -}}
{{- define "invar.kind" -}}
{{- $kinds := dict "daemonset" "DaemonSet" "deployment" "Deployment" "statefulset" "StatefulSet" -}}
{{- get $kinds .Values.controller.type -}}
{{- end -}}
