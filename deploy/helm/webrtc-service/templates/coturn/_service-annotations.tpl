{{- /* What the cloud is told of the balancer, as YAML. Without a word AKS and GKE make one that the world reaches, so an internal one is
       asked for by the names that clouds have for it; whoever isn't meant passes over them. The operator's go before these, and
       that option is written both ways. */ -}}
{{- define "webrtc.turnServiceAnnotations" -}}
{{- $service := .Values.deployment.coturnService -}}
{{- $internal := dict -}}
{{- if eq .Values.deployment.coturnDeployment "internal" -}}
{{- $internal = dict
      "service.beta.kubernetes.io/azure-load-balancer-internal" "true"
      "networking.gke.io/load-balancer-type" "Internal"
      "service.beta.kubernetes.io/aws-load-balancer-scheme" "internal"
      "service.beta.kubernetes.io/aws-load-balancer-internal" "true" -}}
{{- end -}}
{{ mergeOverwrite $internal (deepCopy ($service.annotation | default dict)) (deepCopy ($service.annotations | default dict)) | toYaml }}
{{- end -}}
