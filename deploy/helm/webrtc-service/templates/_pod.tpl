{{- /* What the pods of both components have in common. Each takes (list ROOT COMPONENT). */ -}}

{{- /* Security settings are written for pod and container together; some of them Kubernetes takes for a pod only. */ -}}
{{- define "webrtc.podOnlySecurity" -}}
fsGroup fsGroupChangePolicy supplementalGroups supplementalGroupsPolicy sysctls
{{- end -}}

{{- define "webrtc.podSecurityContext" -}}
{{- $root := index . 0 -}}
{{- $own := (index $root.Values (index . 1)).securityContext | default dict -}}
{{- $context := deepCopy ($root.Values.podSecurityContext | default dict) -}}
{{- range splitList " " (include "webrtc.podOnlySecurity" $root) -}}
{{- if hasKey ($root.Values.securityContext | default dict) . -}}
{{- $context = set $context . (index $root.Values.securityContext .) -}}
{{- end -}}
{{- if hasKey $own . -}}
{{- $context = set $context . (index $own .) -}}
{{- end -}}
{{- end -}}
{{ toYaml $context }}
{{- end -}}

{{- define "webrtc.securityContext" -}}
{{- $root := index . 0 -}}
{{- $own := deepCopy ((index $root.Values (index . 1)).securityContext | default dict) -}}
{{- $context := mergeOverwrite (deepCopy ($root.Values.securityContext | default dict)) $own -}}
{{- range splitList " " (include "webrtc.podOnlySecurity" $root) -}}
{{- $context = omit $context . -}}
{{- end -}}
{{ toYaml $context }}
{{- end -}}

{{- /* Where pods go, as whom they run, and who may pull their images. */ -}}
{{- define "webrtc.podSettings" -}}
{{- $root := index . 0 -}}
{{- $options := index $root.Values (index . 1) -}}
{{- $selector := include "webrtc.selector" . -}}
{{- with $root.Values.deployment -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml . | nindent 4 | trim }}
    {{- if not .labelSelector }}
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end }}
{{- with .dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with $root.Values.image.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $options.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: {{ $options.restartPolicy }}
# Longer than preStop and draining together, so that nothing is killed that still has time.
terminationGracePeriodSeconds: {{ add $options.drainSeconds $options.preStopSeconds 20 }}
securityContext:
  {{- include "webrtc.podSecurityContext" . | nindent 2 }}
{{- end -}}

{{- /* Waits until balancers have heard that the pod goes; draining begins with the SIGTERM behind it. The action is known
       from Kubernetes 1.30 on; before, draining begins at once. */ -}}
{{- define "webrtc.preStop" -}}
{{- $root := index . 0 -}}
{{- $seconds := (index $root.Values (index . 1)).preStopSeconds -}}
{{- if and $seconds (semverCompare ">=1.30.0-0" $root.Capabilities.KubeVersion.Version) }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ $seconds }}
{{- end }}
{{- end -}}

{{- /* The folder of the log, in a volume of its own. */ -}}
{{- define "webrtc.logMount" -}}
{{- $options := index (index . 0).Values (index . 1) -}}
{{- if ne $options.logPath "stdout" }}
- name: log
  mountPath: {{ $options.logPath }}
{{- end }}
{{- end -}}

{{- define "webrtc.logVolume" -}}
{{- $options := index (index . 0).Values (index . 1) -}}
{{- if ne $options.logPath "stdout" }}
- name: log
  {{- with ($options.logPvc | default dict).pvcName }}
  persistentVolumeClaim:
    claimName: {{ . }}
  {{- else }}
  hostPath:
    path: {{ $options.logPath }}
    type: DirectoryOrCreate
  {{- end }}
{{- end }}
{{- end -}}

{{- define "webrtc.logInitContainer" -}}
{{- $root := index . 0 -}}
{{- $options := index $root.Values (index . 1) -}}
{{- if and $root.Values.image.initContainerImage (ne $options.logPath "stdout") }}
initContainers:
  - name: log-folder
    image: {{ $root.Values.image.initContainerImage }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    command: [mkdir, -p, {{ printf "%s/$(POD_NAME)" (trimSuffix "/" $options.logPath) | quote }}]
    env:
      - name: POD_NAME
        valueFrom: { fieldRef: { fieldPath: metadata.name } }
    securityContext:
      {{- include "webrtc.securityContext" . | nindent 6 }}
    volumeMounts:
      {{- include "webrtc.logMount" . | nindent 6 }}
{{- end }}
{{- end -}}

{{- /* The program's file: rendered from COMPONENT.config, or a Secret that is there. */ -}}
{{- define "webrtc.configSecretName" -}}
{{- $root := index . 0 -}}
{{ (index $root.Values (index . 1)).configSecret | default (printf "webrtc-%s-config-%s" (index . 1) (include "webrtc.colour" $root)) }}
{{- end -}}
