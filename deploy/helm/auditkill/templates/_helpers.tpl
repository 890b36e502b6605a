{{- define "auditkill.name" -}}
{{ printf "%s-agent" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "auditkill.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "auditkill.labels" -}}
{{ include "auditkill.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "auditkill.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* The rights that the source needs: see deploy/kubernetes/daemonset-*.yaml. */}}
{{- define "auditkill.capabilities" -}}
{{ get (dict "ebpf" "[BPF, PERFMON, SYS_PTRACE]" "netlink" "[AUDIT_READ, AUDIT_CONTROL, SYS_PTRACE, NET_ADMIN]" "file" "[]") .Values.source }}
{{- end }}

{{- /* The second --config: the source, where the host is, and the receiver's keys of the values. */}}
{{- define "auditkill.receiver" -}}
{{ $source := dict }}{{ if eq .Values.source "file" }}{{ $source = dict "path" "/host/var/log/audit/audit.log" }}{{ end -}}
{{ merge (dict .Values.source $source "root_path" "/host") .Values.receiver | toJson }}
{{- end }}
