{{- /* Security settings are written for pod and container together; some of them Kubernetes takes for a pod only. Each takes
       (list ROOT COMPONENT), and what the component says goes before what is said for both. */ -}}
{{- define "webrtc.podOnlySecurity" -}}
fsGroup fsGroupChangePolicy supplementalGroups supplementalGroupsPolicy sysctls
{{- end -}}

{{- define "webrtc.podSecurityContext" -}}
{{- $values := (index . 0).Values -}}
{{- $context := deepCopy ($values.podSecurityContext | default dict) -}}
{{- range $settings := list $values.securityContext (index $values (index . 1)).securityContext -}}
  {{- range $key := include "webrtc.podOnlySecurity" $ | splitList " " -}}
    {{- if hasKey ($settings | default dict) $key -}}
      {{- $context = set $context $key (index $settings $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{ toYaml $context }}
{{- end -}}

{{- define "webrtc.securityContext" -}}
{{- $values := (index . 0).Values -}}
{{- $own := (index $values (index . 1)).securityContext | default dict -}}
{{- $context := mergeOverwrite (deepCopy ($values.securityContext | default dict)) (deepCopy $own) -}}
{{- range $key := include "webrtc.podOnlySecurity" $ | splitList " " -}}
  {{- $context = omit $context $key -}}
{{- end -}}
{{ toYaml $context }}
{{- end -}}
