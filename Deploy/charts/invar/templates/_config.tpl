{{- define "invar.configName" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- $alloy.configMap.name | default (include "invar.fullname" .) -}}
{{- end -}}

{{- define "invar.configKey" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- $alloy.configMap.key | default "config.alloy" -}}
{{- end -}}

{{- define "invar.configText" -}}
{{- $alloy := mustMergeOverwrite (deepCopy .Values.alloy) (.Values.agent | default dict) -}}
{{- if $alloy.configMap.content -}}
{{- tpl $alloy.configMap.content . -}}
{{- else -}}
{{- .Files.Get "config/example.alloy" | trim -}}
{{- end -}}
{{- end -}}
