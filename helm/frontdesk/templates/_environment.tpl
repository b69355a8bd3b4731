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

{{/* Address of the database without its password; nothing where the secret holds all of it. */}}
{{- define "frontdesk.databaseUrl" -}}
{{- if .Values.database.bundled.enabled -}}
postgresql://frontdesk@frontdesk-postgres.{{ .Release.Namespace }}:5432/frontdesk
{{- else -}}
{{ .Values.database.url }}
{{- end -}}
{{- end }}

{{/* Where the database is. For an address without a password, libpq takes it from its own variable. */}}
{{- define "frontdesk.databaseEnvironment" -}}
{{- $secret := .Values.database.secret -}}
{{- with include "frontdesk.databaseUrl" . -}}
- name: FRONTDESK_DATABASE
  value: {{ . | quote }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret.name }}, key: password}}
{{- else -}}
- name: FRONTDESK_DATABASE
  valueFrom: {secretKeyRef: {name: {{ $secret.name }}, key: {{ $secret.key }}}}
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

{{/* Files of keys: of the pseudonyms, and of those whose bundles are trusted. */}}
{{- define "frontdesk.keyEnvironment" -}}
{{- if .Values.maskingKey.secret }}
- {name: FRONTDESK_MASKING_KEY_FILE, value: /etc/frontdesk/masking/key}
{{- end }}
{{- if .Values.trust.verifyKeys.secret }}
- {name: FRONTDESK_VERIFY_KEY_FILE, value: /etc/frontdesk/trust/verify.pub}
{{- end }}
{{- end }}

{{- define "frontdesk.keyMounts" -}}
{{- if .Values.maskingKey.secret }}
- {name: masking, mountPath: /etc/frontdesk/masking, readOnly: true}
{{- end }}
{{- if .Values.trust.verifyKeys.secret }}
- {name: trust, mountPath: /etc/frontdesk/trust, readOnly: true}
{{- end }}
{{- end }}

{{- define "frontdesk.keyVolumes" -}}
{{- with .Values.maskingKey.secret }}
- name: masking
  secret: {secretName: {{ . }}, items: [{key: key, path: key}]}
{{- end }}
{{- with .Values.trust.verifyKeys.secret }}
- name: trust
  secret: {secretName: {{ . }}, items: [{key: verify.pub, path: verify.pub}]}
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

{{/* Where pipelines run, and what their steps get; nothing where there is no pipeline server. */}}
{{- define "frontdesk.kfpEnvironment" -}}
{{- $kfp := .Values.pipelines.kfp -}}
{{- if $kfp.address -}}
- name: FRONTDESK_KFP
  value: {{ $kfp.address | quote }}
- {name: FRONTDESK_CLUSTER, value: /etc/frontdesk/cluster/cluster.yaml}
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
{{- include "frontdesk.keyEnvironment" . }}
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
