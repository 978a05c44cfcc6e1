{{- /* What things are called, and which of them a release brings. */ -}}

{{- define "webrtc.namespace" -}}
{{ .Values.deployment.namespace | default .Release.Namespace }}
{{- end -}}

{{- define "webrtc.colour" -}}
{{- if and (eq .Values.deployment.type "all") (not .Values.deployment.color) -}}
blue
{{- else -}}
{{ .Values.deployment.color }}
{{- end -}}
{{- end -}}

{{- define "webrtc.otherColour" -}}
{{ eq (include "webrtc.colour" .) "blue" | ternary "green" "blue" }}
{{- end -}}

{{- /* "true" unless this release would bring a TURN server that nobody is told of: with everything in one release, and browsers
       that reach the nodes. */ -}}
{{- define "webrtc.hasTurn" -}}
{{- $isNamed := or (include "webrtc.turnExternalUri" .) (include "webrtc.hasSetting" (list .Values.gateway.config (list "turn" "urls"))) -}}
{{- if or (ne .Values.deployment.type "all") (eq .Values.gateway.media.reach "turn") $isNamed .Values.gateway.configSecret -}}
true
{{- end -}}
{{- end -}}

{{- /* "true" where this release brings a step of the deployment: common, colour, coturn, gateway or cutover. */ -}}
{{- define "webrtc.brings" -}}
{{- $root := index . 0 -}}
{{- $step := index . 1 -}}
{{- $type := $root.Values.deployment.type -}}
{{- $coloured := ne (include "webrtc.colour" $root) "" -}}
{{- if or
      (and (eq $type "all") (or (ne $step "coturn") (include "webrtc.hasTurn" $root)))
      (eq $type $step)
      (and (eq $type "infra") (eq $step "colour") $coloured)
      (and (eq $type "infra") (eq $step "common") (not $coloured)) -}}
true
{{- end -}}
{{- end -}}

{{- /* A component's Deployment, and what belongs to it: webrtc-gateway-blue. */ -}}
{{- define "webrtc.name" -}}
{{- $root := index . 0 -}}
webrtc-{{ index . 1 }}-{{ include "webrtc.colour" $root }}
{{- end -}}

{{- define "webrtc.serviceName" -}}
{{- $root := index . 0 -}}
webrtc-{{ index . 1 }}-service-{{ include "webrtc.colour" $root }}
{{- end -}}

{{- /* The ports of every Service that leads to gateways. */ -}}
{{- define "webrtc.gatewayPorts" -}}
- { name: web, port: 80, targetPort: 8080 }
- { name: http, port: 8080, targetPort: 8080 }
{{- end -}}

{{- define "webrtc.selector" -}}
{{- $root := index . 0 -}}
servicename: webrtc-{{ index . 1 }}
color: {{ include "webrtc.colour" $root }}
{{- end -}}

{{- define "webrtc.labelsOfAll" -}}
service: webrtc
app.kubernetes.io/part-of: webrtc
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* One map of labels made of several: what two of them have is as the later one says. */ -}}
{{- define "webrtc.mergedLabels" -}}
{{- $labels := dict -}}
{{- range . -}}
{{- range $name, $value := . -}}
{{- $labels = set $labels $name $value -}}
{{- end -}}
{{- end -}}
{{ toYaml $labels }}
{{- end -}}

{{- /* Labels of what belongs to neither component. */ -}}
{{- define "webrtc.commonLabels" -}}
{{ include "webrtc.mergedLabels" (list (include "webrtc.labelsOfAll" . | fromYaml) .Values.labels.common) }}
{{- end -}}

{{- /* Labels of a component's objects and pods. */ -}}
{{- define "webrtc.labels" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $name := dict "app.kubernetes.io/name" (printf "webrtc-%s" $component) "app.kubernetes.io/component" $component -}}
{{- $ofAll := include "webrtc.labelsOfAll" $root | fromYaml -}}
{{- $selected := include "webrtc.selector" . | fromYaml -}}
{{ include "webrtc.mergedLabels" (list $ofAll $name $selected (index $root.Values.labels $component)) }}
{{- end -}}

{{- define "webrtc.gatewayImage" -}}
{{- $image := .Values.image -}}
{{ required "image.webrtc: name the registry and folder of the gateway's image" $image.webrtc | trimSuffix "/" }}/{{ $image.webrtcName }}:{{ $image.webrtcVersion | default .Chart.AppVersion }}
{{- end -}}

{{- define "webrtc.coturnImage" -}}
{{- $image := .Values.image -}}
{{ required "image.coturn: name the registry and folder of the TURN server's image" $image.coturn | trimSuffix "/" }}/{{ $image.coturnName }}:{{ $image.coturnVersion | default .Chart.AppVersion }}
{{- end -}}

{{- /* Where browsers reach the TURN server of this colour. */ -}}
{{- define "webrtc.turnExternalUri" -}}
{{ index .Values.gateway (printf "turnExternalUri%s" (include "webrtc.colour" . | title)) | default "" }}
{{- end -}}

{{- /* A host becomes the URIs (RFC 7065) of every way in; whole URIs stay as they are. */ -}}
{{- define "webrtc.turnUrls" -}}
{{- $uri := include "webrtc.turnExternalUri" . -}}
{{- if regexMatch "^turns?:" $uri -}}
{{ $uri }}
{{- else if $uri -}}
{{- $host := regexMatch ":[0-9]+$" $uri | ternary $uri (printf "%s:%v" $uri .Values.coturn.port) -}}
{{- $urls := list -}}
{{- if has "UDP" .Values.coturn.protocols -}}
{{- $urls = append $urls (printf "turn:%s?transport=udp" $host) -}}
{{- end -}}
{{- if has "TCP" .Values.coturn.protocols -}}
{{- $urls = append $urls (printf "%s:%s?transport=tcp" (empty .Values.coturn.tlsSecret | ternary "turn" "turns") $host) -}}
{{- end -}}
{{ join "," $urls }}
{{- end -}}
{{- end -}}

{{- /* The Secret with the program's file: rendered from COMPONENT.config, or one that is there. */ -}}
{{- define "webrtc.configSecretName" -}}
{{- $root := index . 0 -}}
{{ (index $root.Values (index . 1)).configSecret | default (printf "webrtc-%s-config-%s" (index . 1) (include "webrtc.colour" $root)) }}
{{- end -}}
