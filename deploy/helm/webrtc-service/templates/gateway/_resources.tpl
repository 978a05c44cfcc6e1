{{- /* Requests are written for one worker, processor time in milliunits and memory in MiB; limits are the pod's. */ -}}
{{- define "webrtc.gatewayResources" -}}
{{- $workers := int .Values.gateway.workersCount -}}
{{- with .Values.gateway.resources }}
resources:
  {{- with .requests }}
  requests:
    {{- with .cpu }}
    cpu: {{ mul . $workers }}m
    {{- end }}
    {{- with .memory }}
    memory: {{ mul . $workers }}Mi
    {{- end }}
    {{- with omit . "cpu" "memory" }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  {{- with .limits }}
  limits:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}
