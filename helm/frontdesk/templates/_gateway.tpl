{{/* {served name: address} of the model servers, as FRONTDESK_MODELS takes it. */}}
{{- define "frontdesk.models" -}}
{{- $models := dict -}}
{{- range $name := include "frontdesk.recipes" . | fromJsonArray -}}
{{- $recipe := index $.Values.recipes $name -}}
{{- $url := printf "http://%s-%s" $name (ternary "transformer" "predictor" (eq $recipe.shape "separate")) -}}
{{- $_ := set $models $name $url -}}
{{- if $recipe.followStore }}{{ $_ := set $models (printf "%s-candidate" $name) $url }}{{ end -}}
{{- end -}}
{{- $models | toJson -}}
{{- end }}

{{- define "frontdesk.gatewayEnvironment" -}}
- {name: HOME, value: /tmp}
- name: FRONTDESK_MODELS
  value: {{ include "frontdesk.models" . | quote }}
{{- include "frontdesk.databaseEnvironment" . }}
{{- include "frontdesk.redisEnvironment" . }}
{{- include "frontdesk.settings" (dict "prefix" "FRONTDESK_GATEWAY_" "settings" .Values.gateway.settings) }}
{{- end }}
