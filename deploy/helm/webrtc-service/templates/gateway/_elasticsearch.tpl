{{- /* An Elasticsearch server that has the gateway's log: its address, unless it is the container's output. */ -}}
{{- define "webrtc.elasticsearch" -}}
{{- if ne .Values.gateway.esServer "stdout" }}{{ .Values.gateway.esServer }}{{ end -}}
{{- end -}}

{{- define "webrtc.elasticsearchEnvironment" -}}
{{- $gateway := .Values.gateway -}}
{{- if include "webrtc.elasticsearch" . }}
- name: WSG_LOG__ELASTICSEARCH__URL
  value: {{ $gateway.esServer | quote }}
- name: WSG_LOG__ELASTICSEARCH__QUEUE_PATH
  value: /var/lib/webrtc-sip-gateway
- name: WSG_LOG__ELASTICSEARCH__QUEUE_MEGABYTES
  value: {{ $gateway.esQueueMegabytes | quote }}
{{- with $gateway.esSecret }}
{{- range $variable, $key := dict "USER" "user" "PASSWORD" "password" "API_KEY" "apiKey" }}
- name: WSG_LOG__ELASTICSEARCH__{{ $variable }}
  valueFrom: { secretKeyRef: { name: {{ $gateway.esSecret }}, key: {{ $key }}, optional: true } }
{{- end }}
{{- if hasPrefix "https://" $gateway.esServer }}
- name: WSG_LOG__ELASTICSEARCH__CA
  value: /etc/elasticsearch/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "webrtc.elasticsearchMount" -}}
{{- if include "webrtc.elasticsearch" . }}
- { name: log-queue, mountPath: /var/lib/webrtc-sip-gateway }
{{- if .Values.gateway.esSecret }}
- { name: elasticsearch, mountPath: /etc/elasticsearch, readOnly: true }
{{- end }}
{{- end }}
{{- end -}}

{{- /* What waits outlives a container and not its pod. There is room for a segment that is being written. */ -}}
{{- define "webrtc.elasticsearchVolume" -}}
{{- if include "webrtc.elasticsearch" . }}
- name: log-queue
  emptyDir: { sizeLimit: {{ add .Values.gateway.esQueueMegabytes 32 }}Mi }
{{- with .Values.gateway.esSecret }}
- name: elasticsearch
  secret:
    secretName: {{ . }}
    items: [{ key: ca.crt, path: ca.crt }]
    optional: true
{{- end }}
{{- end }}
{{- end -}}
