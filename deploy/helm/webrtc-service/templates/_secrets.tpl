{{- /* The secret that gateways and TURN servers share, from where gateway.secrets says. */ -}}

{{- define "webrtc.ownTurnSecret" -}}
webrtc-turn-secret
{{- end -}}

{{- /* The Secret it is in; empty where it is written in the values. */ -}}
{{- define "webrtc.turnSecretName" -}}
{{- $secrets := .Values.gateway.secrets -}}
{{- if eq $secrets.type "csi" -}}
{{ $secrets.csi.turn | default (include "webrtc.ownTurnSecret" .) }}
{{- else if eq $secrets.type "k8s" -}}
{{ $secrets.k8s.turn | default (include "webrtc.ownTurnSecret" .) }}
{{- else if not $secrets.env.turnSecret -}}
{{ include "webrtc.ownTurnSecret" . }}
{{- end -}}
{{- end -}}

{{- /* The end of an environment variable's entry. */ -}}
{{- define "webrtc.turnSecretValue" -}}
{{- with include "webrtc.turnSecretName" . -}}
valueFrom: { secretKeyRef: { name: {{ . }}, key: turnSecret } }
{{- else -}}
value: {{ .Values.gateway.secrets.env.turnSecret | quote }}
{{- end -}}
{{- end -}}

{{- define "webrtc.csiTurn" -}}
{{- if eq .Values.gateway.secrets.type "csi" -}}
{{ .Values.gateway.secrets.csi.turn | default "" }}
{{- end -}}
{{- end -}}

{{- /* The CSI driver keeps the Secret while a pod has the volume. */ -}}
{{- define "webrtc.csiMount" -}}
{{- if include "webrtc.csiTurn" . }}
- name: secrets
  mountPath: /mnt/secrets
  readOnly: true
{{- end }}
{{- end -}}

{{- define "webrtc.csiVolume" -}}
{{- with include "webrtc.csiTurn" . }}
- name: secrets
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes:
      secretProviderClass: {{ . }}
{{- end }}
{{- end -}}
