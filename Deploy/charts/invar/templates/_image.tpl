{{- /* A whole image name; takes the root as `root`, an image map as `image` and a tag to fall back on as `tag`. */ -}}
{{- define "invar.image" -}}
{{- $registry := .root.Values.global.image.registry | default .image.registry -}}
{{- $name := .image.repository -}}
{{- if $registry }}{{ $name = printf "%s/%s" $registry $name }}{{ end -}}
{{- if .image.digest -}}
{{- printf "%s@sha256:%s" $name (trimPrefix "sha256:" .image.digest) -}}
{{- else -}}
{{- printf "%s:%v" $name (.image.tag | default .tag) -}}
{{- end -}}
{{- end -}}

{{- define "invar.pullPolicy" -}}
{{- .root.Values.global.image.pullPolicy | default .image.pullPolicy -}}
{{- end -}}
