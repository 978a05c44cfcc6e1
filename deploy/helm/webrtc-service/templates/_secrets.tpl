{{- /* The secret that gateways and TURN servers share, from where gateway.secrets says. */ -}}

{{- define "webrtc.ownTurnSecret" -}}
webrtc-turn-secret
{{- end -}}

{{- /* The class of the CSI driver that has it; empty where it comes another way. */ -}}
{{- define "webrtc.turnSecretClass" -}}
{{- if eq .Values.gateway.secrets.type "csi" -}}
{{ .Values.gateway.secrets.csi.turn | default "" }}
{{- end -}}
{{- end -}}

{{- /* The Secret that has it; empty where a class has it, or it is written in the values. */ -}}
{{- define "webrtc.turnSecretName" -}}
{{- $secrets := .Values.gateway.secrets -}}
{{- if eq $secrets.type "k8s" -}}
{{ $secrets.k8s.turn | default (include "webrtc.ownTurnSecret" .) }}
{{- else if not (or (include "webrtc.turnSecretClass" .) (and (eq $secrets.type "env") $secrets.env.turnSecret)) -}}
{{ include "webrtc.ownTurnSecret" . }}
{{- end -}}
{{- end -}}

{{- /* What the programs are told: a file, which they read again when it changes, or the text in the values. */ -}}
{{- define "webrtc.turnSecretValue" -}}
{{- if or (include "webrtc.turnSecretClass" .) (include "webrtc.turnSecretName" .) -}}
file:/mnt/secrets/turnSecret
{{- else -}}
{{ .Values.gateway.secrets.env.turnSecret | quote }}
{{- end -}}
{{- end -}}

{{- define "webrtc.turnSecretMount" -}}
{{- if or (include "webrtc.turnSecretClass" .) (include "webrtc.turnSecretName" .) }}
- { name: secrets, mountPath: /mnt/secrets, readOnly: true }
{{- end }}
{{- end -}}

{{- define "webrtc.turnSecretVolume" -}}
{{- with include "webrtc.turnSecretClass" . }}
- name: secrets
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes:
      secretProviderClass: {{ . }}
{{- end }}
{{- with include "webrtc.turnSecretName" . }}
- name: secrets
  secret:
    secretName: {{ . }}
    items: [{ key: turnSecret, path: turnSecret }]
{{- end }}
{{- end -}}
