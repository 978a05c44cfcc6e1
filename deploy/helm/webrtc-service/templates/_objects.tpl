{{- /* Objects that both components have. Each takes (list ROOT COMPONENT). */ -}}

{{- define "webrtc.disruptionBudget" -}}
{{- $root := index . 0 -}}
{{- $options := index $root.Values (index . 1) -}}
{{- if and (include "webrtc.brings" .) (hasKey ($options.budget | default dict) "minAvailable") }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "webrtc.name" . }}
  namespace: {{ include "webrtc.namespace" $root }}
  labels:
    {{- include "webrtc.labels" . | nindent 4 }}
spec:
  minAvailable: {{ $options.budget.minAvailable }}
  selector:
    matchLabels:
      {{- include "webrtc.selector" . | nindent 6 }}
{{- end }}
{{- end -}}

{{- /* Slowly down: each pod that goes drains calls first. */ -}}
{{- define "webrtc.scalingBehaviour" -}}
scaleDown:
  stabilizationWindowSeconds: 600
  policies:
    - { type: Pods, value: 1, periodSeconds: 300 }
{{- end -}}

{{- /* Utilisation is relative to what is requested, so without a request there is nothing to compare with. */ -}}
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

{{- define "webrtc.scaling" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $options := index $root.Values $component -}}
{{- $scaling := $options.scaling -}}
{{- $targets := include "webrtc.utilisationTargets" . | fromYaml -}}
{{- if and (include "webrtc.brings" .) $root.Values.deployment.keda }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "webrtc.name" . }}
  namespace: {{ include "webrtc.namespace" $root }}
  labels:
    {{- include "webrtc.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ include "webrtc.name" . }}
  pollingInterval: {{ $scaling.pollingInterval }}
  minReplicaCount: {{ $options.replicas }}
  maxReplicaCount: {{ $scaling.maxReplicaCount }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- include "webrtc.scalingBehaviour" $root | nindent 8 }}
  triggers:
    {{- if eq $component "gateway" }}
    - type: prometheus
      metadata:
        serverAddress: {{ $scaling.prometheusAddress }}
        query: sum(wrtc_current_signins{namespace="{{ include "webrtc.namespace" $root }}",pod=~"{{ include "webrtc.name" . }}-.*"})
        threshold: {{ $scaling.thresholdSignins | quote }}
    {{- end }}
    {{- range $resource, $percent := $targets }}
    - type: {{ $resource }}
      metricType: Utilization
      metadata:
        value: {{ $percent | quote }}
    {{- end }}
{{- else if and (include "webrtc.brings" .) $root.Values.deployment.hpa }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "webrtc.name" . }}
  namespace: {{ include "webrtc.namespace" $root }}
  labels:
    {{- include "webrtc.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "webrtc.name" . }}
  minReplicas: {{ $options.replicas }}
  maxReplicas: {{ $scaling.maxReplicaCount }}
  behavior:
    {{- include "webrtc.scalingBehaviour" $root | nindent 4 }}
  metrics:
    {{- range $resource, $percent := $targets }}
    - type: Resource
      resource:
        name: {{ $resource }}
        target: { type: Utilization, averageUtilization: {{ $percent }} }
    {{- end }}
{{- end }}
{{- end -}}

{{- define "webrtc.podMonitor" -}}
{{- $root := index . 0 -}}
{{- $monitoring := $root.Values.monitoring -}}
{{- if and (include "webrtc.brings" (list $root "common")) $monitoring.enabled $monitoring.prometheusMetrics }}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: webrtc-{{ index . 1 }}
  namespace: {{ include "webrtc.namespace" $root }}
  labels:
    {{- include "webrtc.commonLabels" $root | nindent 4 }}
spec:
  # Both colours.
  selector:
    matchLabels:
      servicename: webrtc-{{ index . 1 }}
  podTargetLabels: [color]
  podMetricsEndpoints:
    - port: metrics
      path: /metrics
      interval: 30s
{{- end }}
{{- end -}}

{{- /* One volume for the logs of both colours. */ -}}
{{- define "webrtc.logStorage" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $pvc := (index $root.Values $component).logPvc | default dict -}}
{{- if include "webrtc.brings" (list $root "common") -}}
{{- $modes := ($pvc.volumeSpec | default dict).accessModes | default (list "ReadWriteMany") -}}
{{- with $pvc.volumeSpec }}
apiVersion: v1
kind: PersistentVolume
metadata:
  name: {{ $pvc.volumeName }}
  labels:
    {{- include "webrtc.commonLabels" $root | nindent 4 }}
  {{- with $pvc.volumeAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- $given := dict "accessModes" $modes "capacity" (dict "storage" ($pvc.capacity | default "50Gi")) "storageClassName" ($pvc.storageClassName | default "") }}
  {{- toYaml (mergeOverwrite $given (deepCopy .)) | nindent 2 }}
---
{{- end }}
{{- with $pvc.pvcName }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ . }}
  namespace: {{ include "webrtc.namespace" $root }}
  labels:
    {{- include "webrtc.commonLabels" $root | nindent 4 }}
spec:
  accessModes:
    {{- toYaml $modes | nindent 4 }}
  {{- if or $pvc.storageClassName $pvc.volumeSpec }}
  storageClassName: {{ $pvc.storageClassName | default "" | quote }}
  {{- end }}
  {{- with $pvc.volumeName }}
  volumeName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ $pvc.capacity | default "50Gi" }}
{{- end }}
{{- end }}
{{- end -}}
