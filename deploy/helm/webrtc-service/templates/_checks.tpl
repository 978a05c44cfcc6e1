{{- /* What the schema can't say of the options: refused before anything is rendered, by name. */ -}}
{{- define "webrtc.check" -}}
{{- $deployment := .Values.deployment -}}
{{- $colour := include "webrtc.colour" . -}}
{{- if and (has $deployment.type (list "coturn" "gateway" "cutover")) (not $colour) -}}
{{- fail (printf "deployment.color: deployment.type=%s needs blue or green" $deployment.type) -}}
{{- end -}}
{{- if and $deployment.keda $deployment.hpa -}}
{{- fail "deployment.hpa: an autoscaler of its own would fight the one that KEDA makes; leave one of deployment.keda and deployment.hpa off" -}}
{{- end -}}
{{- if include "webrtc.brings" (list . "gateway") -}}
{{- if and (eq .Values.gateway.media.reach "turn") (not (include "webrtc.turnExternalUri" .)) -}}
{{- fail (printf "gateway.turnExternalUri%s: name the host by which browsers reach the TURN server of this colour" (title $colour)) -}}
{{- end -}}
{{- range .Values.gateway.arguments -}}
{{- if not (hasPrefix "--" .) -}}
{{- fail (printf "gateway.arguments: %q isn't an option of webrtc-sip-gateway; what can be set otherwise belongs in gateway.config (codecs: gateway.config.media.browser_codecs and sip_codecs)" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if include "webrtc.brings" (list . "cutover") -}}
{{- if not $deployment.ingress.domain -}}
{{- fail "deployment.ingress.domain: name the domain under which the gateway is webrtc.DOMAIN" -}}
{{- end -}}
{{- if and $deployment.ingress.className (hasKey $deployment.ingress.annotations "kubernetes.io/ingress.class") -}}
{{- fail "deployment.ingress.className: Kubernetes refuses it together with the annotation kubernetes.io/ingress.class" -}}
{{- end -}}
{{- if and $deployment.gatewayApi.enabled (not $deployment.gatewayApi.parentRefs) -}}
{{- fail "deployment.gatewayApi.parentRefs: name the Gateway that takes the route" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $deployment.type "cutover") (not $deployment.forceCutover) -}}
{{- with include "webrtc.notReady" . -}}
{{- fail (printf "deployment.color: %s can't take over:\n%s\nWait until it is ready, or switch nevertheless: --set deployment.forceCutover=true" $colour (trimPrefix "\n" .)) -}}
{{- end -}}
{{- end -}}
{{- range $component := list "gateway" "coturn" -}}
{{- $options := index $.Values $component -}}
{{- if and $options.config $options.configSecret -}}
{{- fail (printf "%s.configSecret: %s.config is set too; the program reads one file" $component $component) -}}
{{- end -}}
{{- $scaledByRequests := or $deployment.hpa (and $deployment.keda (eq $component "coturn")) -}}
{{- if and $scaledByRequests (include "webrtc.brings" (list $ $component)) (not (include "webrtc.utilisationTargets" (list $ $component) | fromYaml)) -}}
{{- fail (printf "%s.resources.requests: scaling compares with what is requested, and nothing is" $component) -}}
{{- end -}}
{{- with $options.logPvc -}}
{{- if and .volumeSpec (not .volumeName) -}}
{{- fail (printf "%s.logPvc.volumeName: the volume of %s.logPvc.volumeSpec needs a name" $component $component) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

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
{{- if ne $gateway.esServer "stdout" }}
gateway.esServer: not supported yet; logs are JSON on standard error, for a collector to take
{{- end -}}
{{- if hasKey $gateway "enable1pccCalls" | and (not $gateway.enable1pccCalls) }}
gateway.enable1pccCalls: switching it off is not supported yet; pages can always make calls
{{- end -}}
{{- range list "gateway" "coturn" -}}
{{- if ne (index $.Values .).logPath "stdout" }}
{{ . }}.logPath: log files are not supported yet; the volume is mounted, and the log is JSON on standard error
{{- end -}}
{{- end -}}
{{- if hasKey .Values.coturn.scaling "thresholdSignins" }}
coturn.scaling.thresholdSignins: not used; TURN servers are scaled by processor and memory
{{- end -}}
{{- end -}}
