{{/* Labels of every object. Takes {root, component} and, for what Helm does not own, manager. */}}
{{- define "frontdesk.labels" -}}
app.kubernetes.io/name: frontdesk
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: frontdesk
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .manager | default .root.Release.Service }}
{{- end }}

{{/* Labels that a selector may name: they never change. Takes {root, component}. */}}
{{- define "frontdesk.selector" -}}
app.kubernetes.io/name: frontdesk
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Address of an image of ours. Takes {root, name}: gateway, serving or python-pipelines. */}}
{{- define "frontdesk.image" -}}
{{- $image := .root.Values.image -}}
{{- $digest := index $image.digests .name | default "" -}}
{{- if $digest -}}
{{ $image.registry }}/{{ .name }}@{{ $digest }}
{{- else -}}
{{ $image.registry }}/{{ .name }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Names of the recipes that are on, in alphabetical order, as JSON. */}}
{{- define "frontdesk.recipes" -}}
{{- $on := list -}}
{{- range $name, $recipe := .Values.recipes -}}
{{- if $recipe.enabled }}{{ $on = append $on $name }}{{ end -}}
{{- end -}}
{{- $on | sortAlpha | toJson -}}
{{- end }}

{{/* Namespace that the pipelines' steps run in. */}}
{{- define "frontdesk.pipelinesNamespace" -}}
{{ .Values.pipelines.namespace | default .Release.Namespace }}
{{- end }}
