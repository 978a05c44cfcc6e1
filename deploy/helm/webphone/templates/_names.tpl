{{- define "webphone.name" -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
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
