{{- define "tradefleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "tradefleet.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "tradefleet.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tradefleet.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tradefleet.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tradefleet
{{ include "tradefleet.selector" . }}
{{- end }}

{{- define "tradefleet.selector" -}}
app.kubernetes.io/name: {{ include "tradefleet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tradefleet.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tradefleet.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: name the account that is to be used, or set serviceAccount.create" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* An image's full name: by digest when there is one, else by tag. Takes (dict "image" … "root" $). */}}
{{- define "tradefleet.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) }}
{{- end }}
{{- end }}

{{- define "tradefleet.fleet" -}}
{{- default (printf "%s-%s" .Release.Namespace .Release.Name) .Values.fleet }}
{{- end }}

{{- define "tradefleet.topicPrefix" -}}
{{- default (printf "%s." (include "tradefleet.fleet" .)) .Values.kafka.topicPrefix }}
{{- end }}

{{- define "tradefleet.namespaces" -}}
{{- default (list .Release.Namespace) .Values.watchNamespaces | uniq | toJson }}
{{- end }}

{{- /* The Secret with the database's URL: whoever makes the database makes it. */}}
{{- define "tradefleet.postgresSecret" -}}
{{- if .Values.dev.enabled }}
{{- printf "%s-postgres" (include "tradefleet.fullname" .) }}
{{- else if .Values.cloudnativepg.enabled }}
{{- printf "%s-postgres-app" (include "tradefleet.fullname" .) }}
{{- else }}
{{- .Values.postgres.existingSecret }}
{{- end }}
{{- end }}

{{- define "tradefleet.postgresKey" -}}
{{- if .Values.dev.enabled }}url{{ else if .Values.cloudnativepg.enabled }}uri{{ else }}{{ .Values.postgres.urlKey }}{{ end }}
{{- end }}

{{- define "tradefleet.kafkaBootstrap" -}}
{{- if .Values.dev.enabled }}
{{- printf "%s-kafka.%s.svc:9092" (include "tradefleet.fullname" .) .Release.Namespace }}
{{- else if .Values.strimzi.enabled }}
{{- printf "%s-kafka-bootstrap.%s.svc:9092" (include "tradefleet.fullname" .) .Release.Namespace }}
{{- else }}
{{- .Values.kafka.bootstrap }}
{{- end }}
{{- end }}

{{- /* Whether the chart makes the database itself: then it is not there yet when hooks run. */}}
{{- define "tradefleet.ownDatabase" -}}
{{- if or .Values.dev.enabled .Values.cloudnativepg.enabled }}true{{ end }}
{{- end }}

{{- /* What a values file can get wrong that a schema cannot see. */}}
{{- define "tradefleet.check" -}}
{{- if gt (add (.Values.dev.enabled | ternary 1 0) (.Values.cloudnativepg.enabled | ternary 1 0) (empty .Values.postgres.existingSecret | ternary 0 1)) 1 }}
{{- fail "the database comes from one place: set exactly one of postgres.existingSecret, cloudnativepg.enabled, dev.enabled" }}
{{- end }}
{{- if gt (add (.Values.dev.enabled | ternary 1 0) (.Values.strimzi.enabled | ternary 1 0) (empty .Values.kafka.bootstrap | ternary 0 1)) 1 }}
{{- fail "the broker comes from one place: set exactly one of kafka.bootstrap, strimzi.enabled, dev.enabled" }}
{{- end }}
{{- if not (include "tradefleet.postgresSecret" .) }}
{{- fail "there is no database: name the Secret with its URL in postgres.existingSecret, or set dev.enabled=true to try the fleet" }}
{{- end }}
{{- if not (include "tradefleet.kafkaBootstrap" .) }}
{{- fail "there is no broker: give its host:port in kafka.bootstrap, or set dev.enabled=true to try the fleet" }}
{{- end }}
{{- end }}

{{- define "tradefleet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tradefleet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "tradefleet.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* How the database is reached: the URL as a variable, and the authority that it may name as a file. */}}
{{- define "tradefleet.databaseEnv" -}}
- name: TRADEFLEET_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ include "tradefleet.postgresSecret" . }}, key: {{ include "tradefleet.postgresKey" . }}}
{{- end }}

{{- define "tradefleet.mounts" -}}
- {name: scratch, mountPath: /tmp}
{{- if .Values.postgres.caSecret }}
- {name: postgres-ca, mountPath: /etc/tradefleet/postgres-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "tradefleet.volumes" -}}
- {name: scratch, emptyDir: {}}
{{- if .Values.postgres.caSecret }}
- {name: postgres-ca, secret: {secretName: {{ .Values.postgres.caSecret }}, items: [{key: ca.crt, path: ca.crt}]}}
{{- end }}
{{- end }}
