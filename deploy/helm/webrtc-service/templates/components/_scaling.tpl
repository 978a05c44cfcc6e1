{{- /* Whether an autoscaler says how many pods there are. */ -}}
{{- define "webrtc.scaled" -}}
{{- if or .Values.deployment.keda .Values.deployment.hpa -}}
true
{{- end -}}
{{- end -}}

{{- /* Slowly down: each pod that goes drains calls first. */ -}}
{{- define "webrtc.scalingBehaviour" -}}
scaleDown:
  stabilizationWindowSeconds: 600
  policies:
    - { type: Pods, value: 1, periodSeconds: 300 }
{{- end -}}

{{- /* Percentages by resource, of (list ROOT COMPONENT). Utilisation is relative to what is requested, so without a request
       there is nothing to compare with. */ -}}
{{- define "webrtc.utilisationTargets" -}}
{{- $options := index (index . 0).Values (index . 1) -}}
{{- $requests := ($options.resources | default dict).requests | default dict -}}
{{- $targets := dict -}}
{{- if and $requests.cpu $options.scaling.thresholdCpu -}}
{{- $targets = set $targets "cpu" $options.scaling.thresholdCpu -}}
{{- end -}}
{{- if and $requests.memory $options.scaling.thresholdMemory -}}
{{- $targets = set $targets "memory" $options.scaling.thresholdMemory -}}
{{- end -}}
{{ toYaml $targets }}
{{- end -}}
