{{- /* An Elasticsearch server that has the gateway's log: its address, unless it is the container's output. */ -}}
{{- define "webrtc.elasticsearch" -}}
{{- if ne .Values.gateway.esServer "stdout" }}{{ .Values.gateway.esServer }}{{ end -}}
{{- end -}}

{{- /* The keys of gateway.esSecret that are mounted as files, with spaces between. */ -}}
{{- define "webrtc.elasticsearchFiles" -}}
{{- $gateway := .Values.gateway -}}
{{- if and (include "webrtc.elasticsearch" .) $gateway.esSecret -}}
{{- $keys := without (list $gateway.esCredentials) "none" -}}
{{- if hasPrefix "https://" $gateway.esServer -}}
{{- $keys = append $keys "ca.crt" -}}
{{- end -}}
{{ join " " $keys }}
{{- end -}}
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
{{- $files := include "webrtc.elasticsearchFiles" . | splitList " " }}
{{- if has "apiKey" $files }}
- name: WSG_LOG__ELASTICSEARCH__API_KEY
  value: file:/etc/elasticsearch/apiKey
{{- end }}
{{- if has "password" $files }}
- name: WSG_LOG__ELASTICSEARCH__USER
  valueFrom: { secretKeyRef: { name: {{ $gateway.esSecret }}, key: user } }
- name: WSG_LOG__ELASTICSEARCH__PASSWORD
  value: file:/etc/elasticsearch/password
{{- end }}
{{- if has "ca.crt" $files }}
- name: WSG_LOG__ELASTICSEARCH__CA
  value: /etc/elasticsearch/ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{- define "webrtc.elasticsearchMount" -}}
{{- if include "webrtc.elasticsearch" . }}
- { name: log-queue, mountPath: /var/lib/webrtc-sip-gateway }
{{- end }}
{{- if include "webrtc.elasticsearchFiles" . }}
- { name: elasticsearch, mountPath: /etc/elasticsearch, readOnly: true }
{{- end }}
{{- end -}}

{{- /* What waits outlives a container and not its pod. There is room for a segment that is being written. */ -}}
{{- define "webrtc.elasticsearchVolume" -}}
{{- if include "webrtc.elasticsearch" . }}
- name: log-queue
  emptyDir: { sizeLimit: {{ add .Values.gateway.esQueueMegabytes 32 }}Mi }
{{- end }}
{{- with include "webrtc.elasticsearchFiles" . }}
- name: elasticsearch
  secret:
    secretName: {{ $.Values.gateway.esSecret }}
    items:
      {{- range splitList " " . }}
      - { key: {{ . }}, path: {{ . }} }
      {{- end }}
{{- end }}
{{- end -}}
