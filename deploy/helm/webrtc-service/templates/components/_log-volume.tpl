{{- /* Each takes (list ROOT COMPONENT). */ -}}

{{- /* The volume for it, as YAML. The option is written both ways. */ -}}
{{- define "webrtc.logVolumeSpec" -}}
{{- $pvc := (index (index . 0).Values (index . 1)).logPvc | default dict -}}
{{ mergeOverwrite (deepCopy ($pvc.volumespec | default dict)) (deepCopy ($pvc.volumeSpec | default dict)) | toYaml }}
{{- end -}}

{{- /* The folder of the log, in a volume of its own. */ -}}
{{- define "webrtc.logMount" -}}
{{- $options := index (index . 0).Values (index . 1) -}}
{{- if ne $options.logPath "stdout" }}
- name: log
  mountPath: {{ $options.logPath }}
{{- end }}
{{- end -}}

{{- define "webrtc.logVolume" -}}
{{- $options := index (index . 0).Values (index . 1) -}}
{{- if ne $options.logPath "stdout" }}
- name: log
  {{- with ($options.logPvc | default dict).pvcName }}
  persistentVolumeClaim:
    claimName: {{ . }}
  {{- else }}
  hostPath:
    path: {{ $options.logPath }}
    type: DirectoryOrCreate
  {{- end }}
{{- end }}
{{- end -}}

{{- define "webrtc.logInitContainer" -}}
{{- $root := index . 0 -}}
{{- $options := index $root.Values (index . 1) -}}
{{- if and $root.Values.image.initContainerImage (ne $options.logPath "stdout") }}
initContainers:
  - name: log-folder
    image: {{ $root.Values.image.initContainerImage }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    command: [mkdir, -p, {{ printf "%s/$(POD_NAME)" (trimSuffix "/" $options.logPath) | quote }}]
    env:
      - name: POD_NAME
        valueFrom: { fieldRef: { fieldPath: metadata.name } }
    securityContext:
      {{- include "webrtc.securityContext" . | nindent 6 }}
    volumeMounts:
      {{- include "webrtc.logMount" . | nindent 6 }}
{{- end }}
{{- end -}}
