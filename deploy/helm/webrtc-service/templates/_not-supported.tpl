{{- /* Options that are taken and do nothing yet, or nothing any more: a line for each, for NOTES.txt. */ -}}
{{- define "webrtc.notSupportedYet" -}}
{{- $gateway := .Values.gateway -}}
{{- range list "authService" "authRedirectUri" "envService" "cfgService" -}}
{{- if index $gateway . }}
gateway.{{ . }}: not supported yet; users are those of gateway.config
{{- end -}}
{{- end -}}
{{- if or $gateway.secrets.csi.gws $gateway.secrets.k8s.gws $gateway.secrets.env.gwsClient $gateway.secrets.env.gwsSecret }}
gateway.secrets: the GWS client is not supported yet; only the TURN secret is used
{{- end -}}
{{- if hasKey $gateway "enable1pccCalls" | and (not $gateway.enable1pccCalls) }}
gateway.enable1pccCalls: switching it off is not supported yet; pages can always make calls
{{- end -}}
{{- range $gateway.arguments -}}
{{- if regexMatch "^-sip-disallowed-codecs .*telephone-event" . }}
gateway.arguments: digits (telephone-event) can't be left out yet
{{- end -}}
{{- end -}}
{{- if and .Values.deployment.gatewayApi.enabled .Values.deployment.ingress.tls }}
deployment.ingress.tls: not used with deployment.gatewayApi; the certificate is the Gateway's
{{- end -}}
{{- if hasKey .Values.coturn.scaling "thresholdSignins" }}
coturn.scaling.thresholdSignins: not used; TURN servers are scaled by processor and memory
{{- end -}}
{{- end -}}

{{- /* The names of those of the gateway, with commas between them, for its log. */ -}}
{{- define "webrtc.unsupportedByGateway" -}}
{{- $names := list -}}
{{- range include "webrtc.notSupportedYet" . | splitList "\n" -}}
{{- if hasPrefix "gateway." . -}}
{{- $names = append $names (splitList ":" . | first) -}}
{{- end -}}
{{- end -}}
{{- uniq $names | join "," -}}
{{- end -}}
