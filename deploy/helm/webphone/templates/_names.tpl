{{- define "webphone.name" -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* The host names of the page; the option is written both ways. */ -}}
{{- define "webphone.hosts" -}}
{{- $hosts := list .Values.ingress.host -}}
{{- range .Values.ingress.hosts -}}
{{- $hosts = append $hosts .host -}}
{{- end -}}
{{ $hosts | compact | uniq | toJson }}
{{- end -}}

{{- /* The colours that have a path of their own: those of the chart webrtc-service, where one of its Services is named. */ -}}
{{- define "webphone.colours" -}}
{{ ternary (list "blue" "green") list (regexMatch "^webrtc-gateway-service(-blue|-green)?$" .Values.webphone.webrtcService) | toJson }}
{{- end -}}

{{- define "webphone.selector" -}}
app.kubernetes.io/name: webphone
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "webphone.labels" -}}
{{ include "webphone.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
