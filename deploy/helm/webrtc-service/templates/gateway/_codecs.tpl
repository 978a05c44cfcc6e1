{{- /* The codecs of a side, in order, where options change them: (list ROOT "browser") or (list ROOT "sip"). Two arguments of
       the service that was there before are understood in gateway.arguments: "-codecs LIST" and "-sip-disallowed-codecs
       LIST". A payload type in them (opus=120) is left out: each offer agrees on those. */ -}}
{{- define "webrtc.codecs" -}}
{{- $gateway := (index . 0).Values.gateway -}}
{{- $side := index . 1 -}}
{{- $usual := eq $side "browser" | ternary (list "opus" "pcmu" "pcma") (list "pcmu" "pcma" "opus") -}}
{{- $codecs := $usual -}}
{{- range $gateway.arguments -}}
  {{- $argument := splitList " " . | first -}}
  {{- $named := regexReplaceAll "=[0-9]+" (splitList " " . | last | lower) "" | splitList "," -}}
  {{- if and (eq $side "browser") (eq $argument "-codecs") -}}
    {{- $codecs = without $named "telephone-event" -}}
  {{- else if and (eq $side "sip") (eq $argument "-sip-disallowed-codecs") -}}
    {{- range $named -}}
      {{- $codecs = without $codecs . -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if not $gateway.enableTranscoding -}}
  {{- $codecs = without $codecs "opus" -}}
{{- end -}}
{{- if ne (toJson $codecs) (toJson $usual) -}}
{{ join "," $codecs | default "none" }}
{{- end -}}
{{- end -}}
