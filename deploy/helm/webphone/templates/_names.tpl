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
