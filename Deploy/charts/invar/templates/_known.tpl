{{- /* Keys under `alloy` and `controller` that this chart understands; NOTES.txt names the others. */ -}}
{{- define "invar.known.alloy" -}}
clustering command configMap enableHttpServerPort enableReporting envFrom extraArgs extraEnv extraPorts hostAliases
initialDelaySeconds lifecycle listenAddr listenPort listenScheme livenessProbe mounts resources securityContext
stabilityLevel storagePath timeoutSeconds uiPathPrefix
{{- end -}}

{{- define "invar.known.controller" -}}
affinity autoscaling dnsPolicy enableStatefulSetAutoDeletePVC extraAnnotations extraContainers extraLabels hostNetwork
hostPID initContainers minReadySeconds nodeSelector parallelRollout podAnnotations podDisruptionBudget podLabels
priorityClassName replicas revisionHistoryLimit terminationGracePeriodSeconds tolerations topologySpreadConstraints type
updateStrategy volumeClaimTemplates volumes
{{- end -}}
