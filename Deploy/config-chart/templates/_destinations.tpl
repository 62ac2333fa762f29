{{- /*
Where things go, from the older and the newer form of the values, as YAML:
`local` and `remote` with `metrics` and `logs`, each of `url` and `whole` (the URL has the signal's path), or absent.
A URL that ends in Loki's push path is `push`.
*/ -}}
{{- define "config.destinations" -}}
{{- $values := .Values -}}
{{- $local := $values.local | default dict -}}
{{- $remote := $values.remote | default dict -}}
{{- $loki := $values.loki | default dict -}}
{{- $old := dict
    "local" (dict "metrics" ($values.prometheus | default dict).localGateway "logs" $loki.localGateway)
    "remote" (dict "metrics" ($values.mimir | default dict).remoteEndpoint "logs" $loki.remoteEndpoint) -}}
{{- $wanted := include "config.places" . | fromYamlArray -}}
{{- $result := dict "local" dict "remote" dict -}}
{{- range $place, $new := dict "local" $local "remote" $remote -}}
{{- if has $place $wanted -}}
{{- range $signal := list "metrics" "logs" -}}
{{- $whole := index $new (printf "%sEndpoint" $signal) -}}
{{- $url := index $old $place $signal | default $whole | default $new.endpoint -}}
{{- if $url -}}
{{- $exact := ternary true false (and (not (index $old $place $signal)) (not (empty $whole))) -}}
{{- $push := hasSuffix "/loki/api/v1/push" (toString $url) -}}
{{- $_ := set (index $result $place) $signal (dict "url" (toString $url) "whole" $exact "push" $push) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $result -}}
{{- end -}}

{{- /* The folder of environments/: the environment's own, or `default` for those that users add. */ -}}
{{- define "config.environment" -}}
{{- has .Values.environment (list "local" "remote" "prod") | ternary .Values.environment "default" -}}
{{- end -}}

{{- /* The places of the environment: "local", "remote" or both. */ -}}
{{- define "config.places" -}}
{{- index (dict "local" "[local]" "remote" "[remote]") (include "config.environment" .) | default "[local, remote]" -}}
{{- end -}}

{{- /* Whether AIStore's pods serve HTTPS: "true" or nothing. */ -}}
{{- define "config.https" -}}
{{- $scrape := .Values.scrape | default dict -}}
{{- if or (eq (toString .Values.https) "true") (eq (toString $scrape.https) "true") }}true{{ end -}}
{{- end -}}

{{- /* The arguments of an exporter for one destination; takes the destination as `to` and the signal. */ -}}
{{- define "config.client" -}}
{{- if .to.whole }}{{ .signal }}_endpoint = {{ quote .to.url }}

{{ end -}}
client {
	endpoint = {{ quote .to.url }}
{{- if eq .place "remote" }}
{{- if eq (toString .root.Values.remote.auth_type) "mtls" }}

	tls {
		ca_pem   = convert.nonsensitive(remote.kubernetes.secret.remote.data["ca.crt"])
		cert_pem = convert.nonsensitive(remote.kubernetes.secret.remote.data["tls.crt"])
		key_pem  = remote.kubernetes.secret.remote.data["tls.key"]
	}
{{- else }}
	auth     = otelcol.auth.oauth2.remote.handler
{{- end }}
{{- end }}
}
{{- end -}}

{{- /* The receivers of a signal that exist, as an Alloy list; takes root and signal. */ -}}
{{- define "config.receivers" -}}
{{- $to := include "config.destinations" .root | fromYaml -}}
{{- $receivers := list -}}
{{- $signal := .signal -}}
{{- range $place := list "local" "remote" -}}
{{- $destination := index $to $place $signal -}}
{{- if $destination -}}
{{- if eq $signal "metrics" -}}
{{- $receivers = append $receivers (printf "otelcol.receiver.prometheus.%s.receiver" $place) -}}
{{- else if eq $place "remote" -}}
{{- $receivers = append $receivers "loki.relabel.remote.receiver" -}}
{{- else if $destination.push -}}
{{- $receivers = append $receivers "loki.write.local.receiver" -}}
{{- else -}}
{{- $receivers = append $receivers "otelcol.receiver.loki.local.receiver" -}}
{{- end -}}
{{- end -}}
{{- end -}}
[{{ join ", " $receivers }}]
{{- end -}}

{{- /* The name of the cluster at a place; takes root and place. */ -}}
{{- define "config.cluster" -}}
{{- $label := (.root.Values.remote | default dict).label | default "local" -}}
{{- if and (eq .place "local") (ne (include "config.environment" .root) "default") }}{{ $label = "local" }}{{ end -}}
{{- $label -}}
{{- end -}}
