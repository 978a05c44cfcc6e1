{{- /* Settings in COMPONENT.config that would do nothing, since an environment variable of the pods has them and goes before the file: a
       line for each, with the option that sets it. Takes (list ROOT COMPONENT). */ -}}
{{- define "webrtc.settingsOfTheChart" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $config := (index $root.Values $component).config | default dict -}}
{{- $options := include "webrtc.optionsOfSettings" . | fromYaml -}}
{{- range include (printf "webrtc.%sEnvironment" $component) $root | fromYamlArray -}}
{{- if regexMatch "^WS[GT]_" .name -}}
{{- $setting := regexReplaceAll "^WS[GT]_" .name "" | lower | replace "__" "." -}}
{{- if include "webrtc.hasSetting" (list $config (splitList "." $setting)) }}
{{ $component }}.config.{{ $setting }}: without effect, {{ get $options $setting | default "the chart" }} sets it
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* "true" where a map has something at a path: (list MAP KEYS). */ -}}
{{- define "webrtc.hasSetting" -}}
{{- $map := index . 0 -}}
{{- $keys := index . 1 -}}
{{- if kindIs "map" $map -}}
{{- $value := dig (first $keys) nil $map -}}
{{- if eq (len $keys) 1 -}}
{{- if not (kindIs "invalid" $value) }}true{{ end -}}
{{- else -}}
{{- include "webrtc.hasSetting" (list $value (rest $keys)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The options by which what environment variables have is set. What isn't here follows from no option. */ -}}
{{- define "webrtc.optionsOfSettings" -}}
{{- if eq (index . 1) "gateway" -}}
colour: deployment.color
http.trusted_proxies: gateway.trustedProxies
http.allowed_origins: gateway.allowedOrigins
sip.domain: gateway.sip.domain
sip.trusted: gateway.sip.trusted
sip.proxy.target: gateway.voiceSipProxy
sip.proxy.tcp: gateway.voiceSipProxy
sip.proxy.domain: gateway.sip.domain
media.listen: gateway.media.reach
media.advertised: gateway.media.reach
media.workers: gateway.workersCount
media.webrtc_port: gateway.media.webrtcPort
media.rtp_port_low: gateway.media.rtpPortLow
media.rtp_port_high: gateway.media.rtpPortHigh
media.browser_codecs: gateway.enableTranscoding or gateway.arguments
media.sip_codecs: gateway.enableTranscoding or gateway.arguments
turn.urls: gateway.turnExternalUri{{ include "webrtc.colour" (index . 0) | title }}
turn.secret: gateway.secrets
log.path: gateway.logPath
log.elasticsearch.url: gateway.esServer
log.elasticsearch.queue_megabytes: gateway.esQueueMegabytes
log.elasticsearch.api_key: gateway.esSecret
log.elasticsearch.user: gateway.esSecret
log.elasticsearch.password: gateway.esSecret
log.elasticsearch.ca: gateway.esSecret
shutdown.drain_seconds: gateway.drainSeconds
{{- else -}}
auth.realm: deployment.ingress.domain
auth.secrets: gateway.secrets
relay.port_low: coturn.relayPortLow
relay.port_high: coturn.relayPortHigh
relay.allow_peers: coturn.allowPeers
tls.certificate: coturn.tlsSecret
tls.key: coturn.tlsSecret
log.path: coturn.logPath
shutdown.drain_seconds: coturn.drainSeconds
{{- end -}}
{{- end -}}
