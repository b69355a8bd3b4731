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

{{/* Where the pods of a part may run, and with which pull secrets. Takes {root, part}. */}}
{{- define "frontdesk.scheduling" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Pods of one kind on different nodes, where there are some. Takes labels. */}}
{{- define "frontdesk.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {{ . | toJson }}}
{{- end }}

{{/* What the pods of ours have in common that are no model servers. Takes {root, part, user}. */}}
{{- define "frontdesk.podBasics" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- include "frontdesk.podSecurity" (.user | default 1000) | nindent 2 }}
{{- include "frontdesk.scheduling" . }}
{{- end }}

{{/*
Pod template of a command of ours that asks no API server. Takes {root, component, image, restart, command (list),
environment (text), mounted (list of {name, path, source})}.
*/}}
{{- define "frontdesk.commandPod" -}}
metadata:
  labels: {{- include "frontdesk.selector" . | nindent 4 }}
spec:
  serviceAccountName: {{ .serviceAccount | default "frontdesk-jobs" }}
  {{- with .restart }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- include "frontdesk.podBasics" (dict "root" .root "part" .root.Values.jobs) | nindent 2 }}
  containers:
    - name: {{ .component }}
      image: {{ include "frontdesk.image" (dict "root" .root "name" (.image | default "python-pipelines")) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      terminationMessagePolicy: FallbackToLogsOnError
      command: {{ prepend .command "frontdesk" | toJson }}
      env:
        - {name: HOME, value: /tmp}
        - {name: OMP_NUM_THREADS, value: "1"}
        {{- range append .environment (include "frontdesk.keyEnvironment" .root) }}
        {{- with trim . }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- end }}
      resources: {{- toYaml .root.Values.jobs.resources | nindent 8 }}
      securityContext: {{- include "frontdesk.containerSecurity" 1000 | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- with include "frontdesk.keyMounts" .root | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- range .mounted }}
        - {name: {{ .name }}, mountPath: {{ .path }}, readOnly: true}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 2Gi}
    {{- with include "frontdesk.keyVolumes" .root | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- range .mounted }}
    - name: {{ .name }}
      {{- toYaml .source | nindent 6 }}
    {{- end }}
{{- end }}

{{/* Nothing; fails where there would be fewer replicas at most than at least, which a schema cannot say. */}}
{{- define "frontdesk.checkedScale" -}}
{{- if lt (int .maxReplicas) (int .minReplicas) }}{{ fail (printf "maxReplicas: %v is less than minReplicas: %v" .maxReplicas .minReplicas) }}{{ end -}}
{{- end }}
