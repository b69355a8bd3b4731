{{/* A container of the serving image, without name, arguments and resources. Takes {root} and, for KServe's storage
initializer to fetch, a bundle; with store it reads the store itself. */}}
{{- define "frontdesk.serverContainer" -}}
{{- $serving := .root.Values.serving -}}
image: {{ include "frontdesk.image" (dict "root" .root "name" "serving") }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
env:
  - {name: HOME, value: /tmp}
  - {name: OMP_NUM_THREADS, value: "1"}
  {{- with include "frontdesk.settings" (dict "prefix" "FRONTDESK_" "settings" $serving.settings) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "frontdesk.redisEnvironment" .root }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "frontdesk.keyEnvironment" .root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if .store }}
  {{- include "frontdesk.s3Environment" .root | nindent 2 }}
  {{- end }}
  {{- if $serving.policy }}
  - {name: FRONTDESK_POLICY, value: /etc/frontdesk/policy/policy.yaml}
  {{- end }}
  {{- with .bundle }}
  - {name: STORAGE_URI, value: {{ . | quote }}}
  {{- end }}
ports:
  - {name: http1, containerPort: 8080, protocol: TCP}
# Golden rows are checked before the first "ready"; until then nothing is killed.
startupProbe:
  httpGet: {path: /v2/health/ready, port: 8080}
  periodSeconds: 1
  failureThreshold: {{ $serving.startSeconds }}
readinessProbe:
  httpGet: {path: /v2/health/ready, port: 8080}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet: {path: /v2/health/live, port: 8080}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
lifecycle: # endpoints forget the pod before it stops to listen
  preStop: {sleep: {seconds: 5}}
securityContext: {{- include "frontdesk.containerSecurity" 1000 | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- if $serving.policy }}
  - {name: policy, mountPath: /etc/frontdesk/policy, readOnly: true}
  {{- end }}
  {{- with include "frontdesk.keyMounts" .root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Its volumes. */}}
{{- define "frontdesk.serverVolumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if .Values.serving.policy }}
- name: policy
  configMap: {name: frontdesk-policy}
{{- end }}
{{- include "frontdesk.keyVolumes" . }}
{{- end }}

{{/* The part of a predictor or transformer that scales it and says where it runs. Takes {root, part, labels}. */}}
{{- define "frontdesk.serverPart" -}}
{{- include "frontdesk.checkedScale" .part -}}
serviceAccountName: frontdesk-serving
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 45
minReplicas: {{ .part.minReplicas }}
maxReplicas: {{ .part.maxReplicas }}
scaleMetric: cpu
scaleTarget: {{ .part.targetCpu }}
deploymentStrategy:
  type: RollingUpdate
  rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
securityContext: {{- include "frontdesk.podSecurity" 1000 | nindent 2 }}
{{- include "frontdesk.scheduling" (dict "root" .root "part" .root.Values.serving) }}
{{ include "frontdesk.spread" .labels }}
{{- end }}

{{/*
An InferenceService. Takes {root, name, recipe, bundle, manager}; without a bundle it lacks storageUri (and the
transformer STORAGE_URI), which the deploy step sets.
*/}}
{{- define "frontdesk.inferenceService" -}}
{{- $root := .root }}{{ $recipe := .recipe }}{{ $separate := eq .recipe.shape "separate" -}}
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "frontdesk.labels" (dict "root" $root "component" "serving" "manager" .manager) | nindent 4 }}
    frontdesk/recipe: {{ .name }}
  annotations:
    serving.kserve.io/deploymentMode: Standard
    serving.kserve.io/autoscalerClass: hpa
spec:
  predictor:
    {{- include "frontdesk.serverPart" (dict "root" $root "part" $recipe "labels" (dict "serving.kserve.io/inferenceservice" .name "component" "predictor")) | nindent 4 }}
    {{- if $recipe.followStore }}
    containers:
      - name: kserve-container
        {{- include "frontdesk.serverContainer" (dict "root" $root "store" true) | nindent 8 }}
        args: [serve, {{ .name }}, {{ .name }}-candidate, --store, {{ $root.Values.store | quote }}, --host, 0.0.0.0, --port, "8080"]
        resources: {{- toYaml ($recipe.resources | default $root.Values.serving.resources) | nindent 10 }}
    volumes: {{- include "frontdesk.serverVolumes" $root | nindent 6 }}
    {{- else }}
    model:
      modelFormat: {name: frontdesk-bundle}
      runtime: frontdesk
      {{- with .bundle }}
      storageUri: {{ . | quote }}
      {{- end }}
      {{- if $separate }}
      args: [--role, predictor]
      {{- end }}
      resources: {{- toYaml ($recipe.resources | default $root.Values.serving.resources) | nindent 8 }}
    {{- end }}
  {{- if $separate }}
  transformer:
    {{- include "frontdesk.serverPart" (dict "root" $root "part" $recipe.transformer "labels" (dict "serving.kserve.io/inferenceservice" .name "component" "transformer")) | nindent 4 }}
    containers:
      - name: kserve-container
        {{- include "frontdesk.serverContainer" (dict "root" $root "bundle" .bundle) | nindent 8 }}
        args: [serve, /mnt/models, --host, 0.0.0.0, --http_port=8080, --model_name={{ .name }}, --predictor_host={{ .name }}-predictor.{{ $root.Release.Namespace }}:80]
        resources: {{- toYaml ($recipe.transformer.resources | default $root.Values.serving.resources) | nindent 10 }}
    volumes: {{- include "frontdesk.serverVolumes" $root | nindent 6 }}
  {{- end }}
{{- end }}
