{{- /* Who may send; everybody where nobody is named. */ -}}
{{- define "webrtc.from" -}}
{{- with . }}
from:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The ports for browsers' media, one a worker: those of the most workers that there can be, since another release says
       how many there are, but none that is for something else. */ -}}
{{- define "webrtc.mediaPorts" -}}
{{- $media := .Values.gateway.media -}}
{{- $last := min 65535 (add $media.webrtcPort 255) -}}
{{- range $other := list 5060 $media.rtpPortLow -}}
{{- if lt (int $media.webrtcPort) (int $other) -}}
{{- $last = min $last (sub $other 1) -}}
{{- end -}}
{{- end -}}
{ port: {{ $media.webrtcPort }}, endPort: {{ $last }}, protocol: UDP }
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
