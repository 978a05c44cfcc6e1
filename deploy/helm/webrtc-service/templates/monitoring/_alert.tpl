{{- /* (list ROOT NAME SEVERITY FOR EXPRESSION DESCRIPTION) */ -}}
{{- define "webrtc.alert" -}}
- alert: {{ index . 1 }}
  expr: {{ index . 4 | quote }}
  for: {{ get ((index . 0).Values.monitoring.alertFor | default dict) (index . 1) | default (index . 3) }}
  labels:
    {{- include "webrtc.mergedLabels" (list (dict "severity" (index . 2)) (index . 0).Values.labels.alerts) | nindent 4 }}
  annotations:
    description: {{ index . 5 | quote }}
{{- end -}}
