{{- /* Whether an option is given: (list VALUES "a.b"). */ -}}
{{- define "webphone.given" -}}
{{- $place := index . 0 -}}
{{- $there := true -}}
{{- range $key := index . 1 | splitList "." -}}
  {{- if and $there (kindIs "map" $place) (hasKey $place $key) -}}
    {{- $place = index $place $key -}}
  {{- else -}}
    {{- $there = false -}}
  {{- end -}}
{{- end -}}
{{- if and $there $place -}}
true
{{- end -}}
{{- end -}}

{{- /* Options that are taken and do nothing: a line for each that is given, for NOTES.txt. */ -}}
{{- define "webphone.notUsed" -}}
{{- $identity := "not supported yet; users are those of the gateways" -}}
{{- range $path, $text := dict
  "webphone.cfgService" $identity
  "webphone.authService" $identity
  "webphone.authRedirectUri" $identity
  "webphone.webphoneService" "not needed; the page finds its gateway under its own address"
  "secrets" $identity
  "rbac.create" "not needed; the pods ask nothing of Kubernetes"
  "k8s" $identity -}}
{{- if include "webphone.given" (list $.Values $path) }}
  {{ $path }}: {{ $text }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The names of those that may do something one day, as a list of TOML, for the log. */ -}}
{{- define "webphone.unsupported" -}}
{{- $names := list -}}
{{- range include "webphone.notUsed" . | splitList "\n" -}}
{{- if contains ": not supported yet" . -}}
{{- $names = append $names (splitList ":" . | first | trim) -}}
{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
