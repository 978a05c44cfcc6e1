{{- /* Which colour answers for which hosts and paths: the active one, and for tests the other. Under the path that it tells
       its pages a colour has its own sign-ins' requests, whichever is active. A release with everything has one colour. */ -}}
{{- define "webrtc.routes" -}}
{{- $live := printf "webrtc.%s" .Values.deployment.ingress.domain -}}
{{- $test := printf "webrtc-test.%s" .Values.deployment.ingress.domain -}}
{{- $routes := list (dict "name" "webrtc" "hosts" (list $live) "path" "/" "colour" (include "webrtc.colour" .)) -}}
{{- if eq .Values.deployment.type "cutover" -}}
{{- $routes = append $routes (dict "name" "webrtc-test" "hosts" (list $test) "path" "/" "colour" (include "webrtc.otherColour" .)) -}}
{{- range list "blue" "green" -}}
{{- $routes = append $routes (dict "name" (printf "webrtc-%s" .) "hosts" (list $live $test) "path" (printf "/%s/v1" .) "colour" .) -}}
{{- end -}}
{{- end -}}
{{ toJson $routes }}
{{- end -}}

{{- define "webrtc.hosts" -}}
{{- $hosts := list -}}
{{- range include "webrtc.routes" . | fromJsonArray -}}
{{- $hosts = concat $hosts .hosts -}}
{{- end -}}
{{ $hosts | uniq | sortAlpha | toJson }}
{{- end -}}
