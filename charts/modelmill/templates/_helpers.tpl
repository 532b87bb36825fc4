{{- define "modelmill.name" -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "modelmill.selectorLabels" -}}
app.kubernetes.io/name: modelmill-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelmill.labels" -}}
{{ include "modelmill.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: modelmill
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "modelmill.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "modelmill.name" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "modelmill.tokenSecretName" -}}
{{- .Values.alerts.tokenSecretName | default (printf "%s-alerts" (include "modelmill.name" .)) -}}
{{- end -}}

{{/* Image of one component: what the values say, else the release's own. Arguments: root context, component. */}}
{{- define "modelmill.image" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- index $root.Values.images $component | default (printf "modelmill/%s:%s" $component $root.Chart.AppVersion) -}}
{{- end -}}

{{/*
What the operator may do in the namespaces that it watches: exactly the requests that its engine makes, as engine/access.py
tells them from the table of the controllers. There is no wildcard and nothing on secrets.
*/}}
{{- define "modelmill.rules" -}}
- apiGroups: [modelmill.dev]
  # Specs are never written.
  resources: [trainingjobs, inferenceservices]
  verbs: [get, list, watch]
- apiGroups: [modelmill.dev]
  # patch: the finalizer that keeps a served version. delete: those beyond spec.versions.historyLimit of their TrainingJob.
  resources: [modelversions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [modelmill.dev]
  resources: [trainingjobs/status, modelversions/status, inferenceservices/status]
  verbs: [update]
- apiGroups: [modelmill.dev]
  # Needed to own children where the admission plugin OwnerReferencesPermissionEnforcement is on.
  resources: [trainingjobs/finalizers, modelversions/finalizers, inferenceservices/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  # They tell which pods are of a Deployment of ours: anybody may put a label on a pod.
  resources: [replicasets]
  verbs: [list, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  # Of routes of others only the weights of two backends are patched, and only where an InferenceService of the namespace says so.
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  # Of the Prometheus operator, where it is installed: what watches an InferenceService.
  resources: [prometheusrules, podmonitors, alertmanagerconfigs]
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.networkPolicy.enabled }}
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
- apiGroups: [""]
  # They tell why a Job has no pod.
  resources: [events]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
