{{- /* Which colour answers for which host: the active one, and for tests the other. A release with everything has one. */ -}}
{{- define "webrtc.routes" -}}
{{- $domain := .Values.deployment.ingress.domain -}}
{{- $routes := dict (printf "webrtc.%s" $domain) (include "webrtc.colour" .) -}}
{{- if eq .Values.deployment.type "cutover" -}}
{{- $routes = set $routes (printf "webrtc-test.%s" $domain) (include "webrtc.otherColour" .) -}}
{{- end -}}
{{ toJson $routes }}
{{- end -}}

{{- define "webrtc.hosts" -}}
{{ include "webrtc.routes" . | fromJson | keys | sortAlpha | toJson }}
{{- end -}}
