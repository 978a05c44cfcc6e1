{{- /* Who may send; everybody where nobody is named. */ -}}
{{- define "webrtc.from" -}}
{{- with . }}
from:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The ports for browsers' media, one a worker. */ -}}
{{- define "webrtc.mediaPorts" -}}
{{- $port := .Values.gateway.media.webrtcPort -}}
{ port: {{ $port }}, endPort: {{ add $port .Values.gateway.workersCount -1 }}, protocol: UDP }
{{- end -}}

{{- /* The gateways of this colour as a TURN server sees them. With media on the nodes' addresses no pod selector finds
       them. */ -}}
{{- define "webrtc.gatewayPeers" -}}
- podSelector:
    matchLabels:
      {{- include "webrtc.selector" (list . "gateway") | nindent 6 }}
{{- if ne .Values.gateway.media.reach "turn" }}
{{- range .Values.coturn.allowPeers }}
- ipBlock: { cidr: {{ contains "/" . | ternary . (printf "%s/%s" . (contains ":" . | ternary "128" "32")) | quote }} }
{{- end }}
{{- end }}
{{- end -}}
