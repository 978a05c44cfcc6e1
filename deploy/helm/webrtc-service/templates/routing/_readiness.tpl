{{- /* Why the colour can't take over yet: a line for each of its programs that isn't ready. Where there is no cluster to
       look at (helm template) nothing is known of them, and looking for all Deployments finds not even an empty list. */ -}}
{{- define "webrtc.notReady" -}}
{{- $namespace := include "webrtc.namespace" . -}}
{{- if lookup "apps/v1" "Deployment" $namespace "" -}}
{{- range $component := eq .Values.gateway.media.reach "turn" | ternary (list "coturn" "gateway") (list "gateway") -}}
{{- $name := include "webrtc.name" (list $ $component) -}}
{{- with lookup "apps/v1" "Deployment" $namespace $name -}}
{{- $wanted := int .spec.replicas -}}
{{- $ready := min (dig "availableReplicas" 0 .status) (dig "updatedReplicas" 0 .status) | int -}}
{{- $seen := ge (dig "observedGeneration" 0 .status | int) (int .metadata.generation) -}}
{{- if or (not $seen) (lt $ready (max 1 $wanted | int)) }}
  {{ $name }} has {{ $seen | ternary $ready 0 }} of {{ $wanted }} pods ready
{{- end -}}
{{- else }}
  {{ $name }} isn't there
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
