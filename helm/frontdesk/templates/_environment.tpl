{{/* {FIELD: value} as environment variables; lists and maps become JSON, numbers and booleans text. Takes {prefix, settings}. */}}
{{- define "frontdesk.settings" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .settings }}
- name: {{ $prefix }}{{ upper $name }}
  value: {{ include "frontdesk.text" $value }}
{{- end }}
{{- end }}

{{/* A value as quoted text. */}}
{{- define "frontdesk.text" -}}
{{- if kindIs "string" . }}{{ . | quote }}{{ else if or (kindIs "slice" .) (kindIs "map" .) }}{{ . | toJson | quote }}{{ else if and (kindIs "float64" .) (eq . (floor .)) }}{{ . | int64 | toString | quote }}{{ else }}{{ . | toString | quote }}{{ end -}}
{{- end }}

{{/* Credentials and address of the object store. */}}
{{- define "frontdesk.s3Environment" -}}
- name: AWS_DEFAULT_REGION
  value: {{ .Values.s3.region | quote }}
{{- with .Values.s3.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.s3.secret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_ACCESS_KEY_ID}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_SECRET_ACCESS_KEY}}
{{- end }}
{{- end }}

{{/* Address of the database. Where the address has no password, libpq takes the one of the secret. */}}
{{- define "frontdesk.databaseEnvironment" -}}
{{- $database := .Values.database -}}
{{- if or $database.bundled.enabled $database.url -}}
- name: FRONTDESK_DATABASE
  value: {{ ternary "postgresql://frontdesk@frontdesk-postgres:5432/frontdesk" $database.url $database.bundled.enabled | quote }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ $database.secret.name }}, key: password}}
{{- else -}}
- name: FRONTDESK_DATABASE
  valueFrom: {secretKeyRef: {name: {{ $database.secret.name }}, key: {{ $database.secret.key }}}}
{{- end }}
{{- end }}

{{/* Address of Redis; nothing where there is none. */}}
{{- define "frontdesk.redisEnvironment" -}}
{{- $redis := .Values.redis -}}
{{- if $redis.bundled.enabled -}}
- name: REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $redis.secret.name }}, key: password}}
- name: FRONTDESK_REDIS
  value: redis://:$(REDIS_PASSWORD)@frontdesk-redis:6379/0
{{- else if $redis.enabled -}}
- name: FRONTDESK_REDIS
  valueFrom: {secretKeyRef: {name: {{ $redis.secret.name }}, key: {{ $redis.secret.key }}}}
{{- end }}
{{- end }}

{{/* Key of the pseudonyms, where there is one. */}}
{{- define "frontdesk.maskingEnvironment" -}}
{{- if .Values.maskingKey.secret -}}
- {name: FRONTDESK_MASKING_KEY_FILE, value: /etc/frontdesk/masking/key}
{{- end }}
{{- end }}

{{/* Where store and registry are. */}}
{{- define "frontdesk.storeEnvironment" -}}
- name: FRONTDESK_STORE
  value: {{ .Values.store | quote }}
{{- with .Values.mlflow }}
- name: FRONTDESK_MLFLOW
  value: {{ . | quote }}
{{- end }}
{{ include "frontdesk.s3Environment" . }}
{{- end }}

{{/* Where pipelines run, and from which image; nothing where there is no pipeline server. */}}
{{- define "frontdesk.kfpEnvironment" -}}
{{- $kfp := .Values.pipelines.kfp -}}
{{- if $kfp.address -}}
- name: FRONTDESK_KFP
  value: {{ $kfp.address | quote }}
- name: FRONTDESK_IMAGE
  value: {{ include "frontdesk.image" (dict "root" . "name" "python-pipelines") }}
{{- with $kfp.namespace }}
- name: FRONTDESK_KFP_NAMESPACE
  value: {{ . }}
{{- end }}
{{- if $kfp.token.enabled }}
- {name: FRONTDESK_KFP_TOKEN_FILE, value: /var/run/secrets/kfp/token}
{{- end }}
{{- end }}
{{- end }}

{{/* The environment of a gateway. */}}
{{- define "frontdesk.gatewayEnvironment" -}}
{{- $gateway := .Values.gateway -}}
- {name: HOME, value: /tmp}
- name: FRONTDESK_MODELS
  value: {{ include "frontdesk.models" . | quote }}
{{ include "frontdesk.databaseEnvironment" . }}
{{- with include "frontdesk.redisEnvironment" . }}
{{ . }}
{{- end }}
{{- with include "frontdesk.maskingEnvironment" . }}
{{ . }}
{{- end }}
{{- range $name := list "lines" "desks" "agents" }}
{{- if index $gateway.files $name }}
- {name: FRONTDESK_GATEWAY_{{ upper $name }}, value: /etc/frontdesk/files/{{ $name }}.yaml}
{{- end }}
{{- end }}
{{- if $gateway.consoleSecret }}
- {name: FRONTDESK_GATEWAY_CONSOLE_SECRET_FILE, value: /etc/frontdesk/console/secret}
{{- end }}
{{- include "frontdesk.settings" (dict "prefix" "FRONTDESK_GATEWAY_" "settings" $gateway.settings) }}
{{- if and $gateway.settings.bundles .Values.s3.secret }}
{{ include "frontdesk.s3Environment" . }}
{{- end }}
{{- end }}

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
