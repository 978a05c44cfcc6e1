{{- /* What the pods of both components have in common. Each takes (list ROOT COMPONENT). */ -}}

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
# Longer than preStop, not being ready and draining together, so that nothing is killed that still has time.
terminationGracePeriodSeconds: {{ add $options.preStopSeconds (include "webrtc.unreadySeconds" .) $options.drainSeconds 20 }}
securityContext:
  {{- include "webrtc.podSecurityContext" . | nindent 2 }}
{{- end -}}

{{- /* How long the program says that it isn't ready before it drains. What a Secret of the operator's says isn't known here; then
       it is the program's default. */ -}}
{{- define "webrtc.unreadySeconds" -}}
{{- $config := (index (index . 0).Values (index . 1)).config | default dict -}}
{{ dig "unready_seconds" 3 ($config.shutdown | default dict) }}
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
