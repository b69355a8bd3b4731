{{/* What Pod Security "restricted" asks of a pod. Takes the numeric user. */}}
{{- define "frontdesk.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* What it asks of a container. Takes the numeric user. */}}
{{- define "frontdesk.containerSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Where the pods may run, and with which pull secrets. Takes {root, scheduling}. */}}
{{- define "frontdesk.scheduling" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .scheduling.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .scheduling.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .scheduling.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .scheduling.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Settings as environment: {FIELD: value} under a prefix; numbers and booleans become text, lists and maps JSON. */}}
{{- define "frontdesk.settings" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .settings }}
- name: {{ $prefix }}{{ snakecase $name | upper }}
  value: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else if or (kindIs "slice" $value) (kindIs "map" $value) }}{{ $value | toJson | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}

{{/* Credentials and address of the object store. */}}
{{- define "frontdesk.s3Environment" -}}
{{- $s3 := .Values.s3 }}
- name: AWS_DEFAULT_REGION
  value: {{ $s3.region | quote }}
{{- with $s3.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with $s3.secret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_ACCESS_KEY_ID}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_SECRET_ACCESS_KEY}}
{{- end }}
{{- end }}

{{/* Address of the database; the password comes from the secret, by libpq's own variable where the address has none. */}}
{{- define "frontdesk.databaseEnvironment" -}}
{{- $database := .Values.database }}
{{- if $database.bundled.enabled }}
- name: FRONTDESK_DATABASE
  value: postgresql://frontdesk@frontdesk-postgres:5432/frontdesk
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ $database.secret.name }}, key: password}}
{{- else if $database.url }}
- name: FRONTDESK_DATABASE
  value: {{ $database.url | quote }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ $database.secret.name }}, key: password}}
{{- else }}
- name: FRONTDESK_DATABASE
  valueFrom: {secretKeyRef: {name: {{ $database.secret.name }}, key: {{ $database.secret.key }}}}
{{- end }}
{{- end }}

{{/* Address of Redis, where there is one. */}}
{{- define "frontdesk.redisEnvironment" -}}
{{- $redis := .Values.redis }}
{{- if $redis.bundled.enabled }}
- name: REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $redis.secret.name }}, key: password}}
- name: FRONTDESK_REDIS
  value: redis://:$(REDIS_PASSWORD)@frontdesk-redis:6379/0
{{- else if $redis.enabled }}
- name: FRONTDESK_REDIS
  valueFrom: {secretKeyRef: {name: {{ $redis.secret.name }}, key: {{ $redis.secret.key }}}}
{{- end }}
{{- end }}
