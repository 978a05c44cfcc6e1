{{- /* The TURN server's settings that follow from options. Environment variables go before the file of coturn.config. */ -}}
{{- define "webrtc.coturnEnvironment" -}}
{{- $coturn := .Values.coturn -}}
- name: WST_NODE
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- name: WST_LISTEN
  value: $(POD_IP):3478
- name: WST_HTTP__LISTEN
  value: 0.0.0.0:10053
- name: WST_AUTH__REALM
  value: {{ .Values.deployment.ingress.domain | default "webrtc" | quote }}
- name: WST_AUTH__SECRETS
  value: {{ include "webrtc.turnSecretValue" . }}
- name: WST_RELAY__PORT_LOW
  value: {{ $coturn.relayPortLow | quote }}
- name: WST_RELAY__PORT_HIGH
  value: {{ $coturn.relayPortHigh | quote }}
# Nobody but gateways is reached through it: neither the world, nor servers of TCP.
- name: WST_RELAY__ALLOW_PEERS
  value: {{ join "," $coturn.allowPeers | quote }}
- name: WST_RELAY__DENY_PEERS
  value: 0.0.0.0/0,::/0
- name: WST_LIMITS__PEER_CONNECTIONS
  value: "0"
{{- if $coturn.tlsSecret }}
- name: WST_TLS__CERTIFICATE
  value: /etc/webrtc-sip-turn/tls/tls.crt
- name: WST_TLS__KEY
  value: /etc/webrtc-sip-turn/tls/tls.key
{{- end }}
- name: WST_LOG__FORMAT
  value: json
{{- if ne $coturn.logPath "stdout" }}
- name: WST_LOG__PATH
  value: {{ $coturn.logPath | quote }}
{{- end }}
- name: WST_SHUTDOWN__DRAIN_SECONDS
  value: {{ $coturn.drainSeconds | quote }}
{{- end -}}
