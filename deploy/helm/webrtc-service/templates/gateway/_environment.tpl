{{- /* The gateway's settings that follow from options. Environment variables go before the file of gateway.config. */ -}}
{{- define "webrtc.gatewayEnvironment" -}}
{{- $gateway := .Values.gateway -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- name: WSG_NODE
  value: $(POD_NAME)
- name: WSG_COLOUR
  value: {{ include "webrtc.colour" . }}
{{- with include "webrtc.unsupportedByGateway" . }}
- name: WSG_UNSUPPORTED_OPTIONS
  value: {{ . | quote }}
{{- end }}
- name: WSG_HTTP__LISTEN
  value: 0.0.0.0:8080
- name: WSG_HTTP__TRUSTED_PROXIES
  value: {{ join "," $gateway.trustedProxies | quote }}
{{- with $gateway.allowedOrigins }}
- name: WSG_HTTP__ALLOWED_ORIGINS
  value: {{ join "," . | quote }}
{{- end }}
{{- /* The path that the cutover has a route for. */ -}}
{{- if eq .Values.deployment.type "gateway" }}
- name: WSG_HTTP__COLOUR_PATH
  value: "true"
{{- end }}
- name: WSG_METRICS__LISTEN
  value: 0.0.0.0:10052
- name: WSG_SIP__LISTEN
  value: $(POD_IP):5060
{{- with $gateway.sip.domain | default .Values.deployment.ingress.domain }}
- name: WSG_SIP__DOMAIN
  value: {{ . | quote }}
{{- end }}
{{- with $gateway.sip.trusted }}
- name: WSG_SIP__TRUSTED
  value: {{ join "," . | quote }}
{{- end }}
{{- with $gateway.voiceSipProxy }}
{{- $target := splitList ";" . | first }}
- name: WSG_SIP__PROXY__TARGET
  value: {{ $target | quote }}
- name: WSG_SIP__PROXY__TCP
  value: {{ contains ";transport=tcp" (lower .) | quote }}
- name: WSG_SIP__PROXY__DOMAIN
  value: {{ $gateway.sip.domain | default (regexReplaceAll ":[0-9]+$" $target "") | quote }}
{{- end }}
- name: WSG_MEDIA__LISTEN
  value: $(POD_IP)
{{- if eq $gateway.media.reach "hostPorts" }}
- name: HOST_IP
  valueFrom: { fieldRef: { fieldPath: status.hostIP } }
- name: WSG_MEDIA__ADVERTISED
  value: $(HOST_IP)
{{- end }}
- name: WSG_MEDIA__WORKERS
  value: {{ $gateway.workersCount | quote }}
- name: WSG_MEDIA__WEBRTC_PORT
  value: {{ $gateway.media.webrtcPort | quote }}
- name: WSG_MEDIA__RTP_PORT_LOW
  value: {{ $gateway.media.rtpPortLow | quote }}
- name: WSG_MEDIA__RTP_PORT_HIGH
  value: {{ $gateway.media.rtpPortHigh | quote }}
{{- with include "webrtc.codecs" (list . "browser") }}
- name: WSG_MEDIA__BROWSER_CODECS
  value: {{ . | quote }}
{{- end }}
{{- with include "webrtc.codecs" (list . "sip") }}
- name: WSG_MEDIA__SIP_CODECS
  value: {{ . | quote }}
{{- end }}
{{- with include "webrtc.turnUrls" . }}
- name: WSG_TURN__URLS
  value: {{ . | quote }}
- name: WSG_TURN__SECRET
  value: {{ include "webrtc.turnSecretValue" $ }}
{{- end }}
- name: WSG_LOG__FORMAT
  value: json
{{- if ne $gateway.logPath "stdout" }}
- name: WSG_LOG__PATH
  value: {{ $gateway.logPath | quote }}
{{- end }}
{{- include "webrtc.elasticsearchEnvironment" . }}
- name: WSG_SHUTDOWN__DRAIN_SECONDS
  value: {{ $gateway.drainSeconds | quote }}
{{- end -}}
