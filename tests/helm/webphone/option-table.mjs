// Where each option must appear (lib/option-checks.mjs says how a row reads).
import { RELEASE } from '../lib/helm.mjs';

const the = (kind) => ({ with: {}, object: `${kind}/${RELEASE}` });
const DEPLOYMENT = the('Deployment');
const SERVICE = the('Service');
const INGRESS = the('Ingress');
const SIGNALLING = { with: {}, object: `Ingress/${RELEASE}-signalling` };
const SCALER = the('HorizontalPodAutoscaler');
const MONITOR = the('PodMonitor');

const POD = 'spec.template.spec';
const CONTAINER = `${POD}.containers.0`;
const GATEWAYS = 'spec.rules.0.http.paths.0.backend.service';
const SCALED = { 'autoscaling.enabled': true };
const MONITORED = { 'monitoring.enabled': true };

const TOLERATION = { key: 'pool', operator: 'Exists', effect: 'NoSchedule' };
const AFFINITY = { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } };
const DNS = { options: [{ name: 'ndots', value: '3' }] };
const RESOURCES = { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '2Gi' } };
const TLS = [{ hosts: ['phone.example.org'], secretName: 'phone-tls' }];
const utilisation = (name, averageUtilization) => ({ type: 'Resource', resource: { name, target: { type: 'Utilization', averageUtilization } } });

export const ROWS = [
  ['image.repository', 'r.example.com/a/page', DEPLOYMENT, `${CONTAINER}.image`, 'r.example.com/a/page:1.2.3', { 'image.tag': '1.2.3' }],
  ['image.tag', '1.2.3', DEPLOYMENT, `${CONTAINER}.image`, 'registry.example.com/webrtc/webrtc-sip-gateway:1.2.3'],
  ['image.pullPolicy', 'Always', DEPLOYMENT, `${CONTAINER}.imagePullPolicy`, 'Always'],
  ['image.imagePullSecrets', ['one', 'two'], DEPLOYMENT, `${POD}.imagePullSecrets`, [{ name: 'one' }, { name: 'two' }]],
  ['replicaCount', 3, DEPLOYMENT, 'spec.replicas', 3],

  ['webphone.webrtcService', 'webrtc-gateway-service-green', SIGNALLING, GATEWAYS, { name: 'webrtc-gateway-service-green', port: { number: 80 } }],
  ['webphone.webrtcServicePort', 8080, SIGNALLING, GATEWAYS, { name: 'gateways', port: { number: 8080 } }],

  ['service.enabled', false, SERVICE, null, undefined, { 'ingress.enabled': false }],
  ['service.type', 'NodePort', SERVICE, 'spec.type', 'NodePort'],
  ['service.port', 8081, SERVICE, 'spec.ports.0.port', 8081],

  ['ingress.enabled', false, INGRESS, null, undefined, { 'ingress.host': '', 'webphone.webrtcService': '' }],
  ['ingress.enabled', false, SIGNALLING, null],
  ...[INGRESS, SIGNALLING].flatMap((ingress) => [
    ['ingress.host', 'phone.example.org', ingress, 'spec.rules.0.host', 'phone.example.org'],
    ['ingress.hosts', [{ host: 'phone.example.org', paths: [{ path: '/' }] }], ingress, 'spec.rules.0.host', 'phone.example.org', { 'ingress.host': '' }],
    ['ingress.hosts', [{ host: 'phone.example.org' }], ingress, 'spec.rules.1.host', 'phone.example.org'],
    ['ingress.ingressClassName', 'nginx', ingress, 'spec.ingressClassName', 'nginx'],
    ['ingress.annotations', { 'a/b': 'true' }, ingress, ['metadata', 'annotations', 'a/b'], 'true'],
    ['ingress.tls', TLS, ingress, 'spec.tls', TLS],
  ]),

  ['resources', RESOURCES, DEPLOYMENT, `${CONTAINER}.resources`, RESOURCES],
  ['podAnnotations', { owner: '1051' }, DEPLOYMENT, 'spec.template.metadata.annotations.owner', '1051'],
  ['podSecurityContext', { runAsUser: 1000 }, DEPLOYMENT, `${POD}.securityContext.runAsUser`, 1000],
  // Ids can be left to the platform.
  ['podSecurityContext', { runAsUser: null, runAsGroup: null, fsGroup: null }, DEPLOYMENT, `${POD}.securityContext`, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }],
  ['securityContext', { readOnlyRootFilesystem: false }, DEPLOYMENT, `${CONTAINER}.securityContext.readOnlyRootFilesystem`, false],

  ['nodeSelector', { pool: 'general' }, DEPLOYMENT, `${POD}.nodeSelector`, { pool: 'general' }],
  ['tolerations', [TOLERATION], DEPLOYMENT, `${POD}.tolerations`, [TOLERATION]],
  ['affinity', AFFINITY, DEPLOYMENT, `${POD}.affinity`, AFFINITY],
  ['priorityClassName', 'high', DEPLOYMENT, `${POD}.priorityClassName`, 'high'],
  ['serviceAccountName', 'phone', DEPLOYMENT, `${POD}.serviceAccountName`, 'phone'],
  ['serviceAccount.name', 'phone', DEPLOYMENT, `${POD}.serviceAccountName`, 'phone'],
  ['serviceAccount.create', false, DEPLOYMENT, `${POD}.serviceAccountName`, 'default'],
  ['dnsPolicy', 'ClusterFirst', DEPLOYMENT, `${POD}.dnsPolicy`, 'ClusterFirst'],
  ['dnsConfig', DNS, DEPLOYMENT, `${POD}.dnsConfig`, DNS],
  ['dnsConfig.nameservers', ['192.0.2.53'], DEPLOYMENT, `${POD}.dnsConfig.nameservers`, ['192.0.2.53']],
  ['dnsConfig.searches', ['example.com'], DEPLOYMENT, `${POD}.dnsConfig.searches`, ['example.com']],

  ['autoscaling.enabled', false, SCALER, null],
  ['autoscaling.enabled', true, SCALER, 'spec.scaleTargetRef.name', RELEASE],
  ['autoscaling.enabled', true, DEPLOYMENT, 'spec.replicas', undefined],
  ['autoscaling.enabled', true, SCALER, 'spec.metrics', [utilisation('cpu', 80)], { resources: { requests: null, limits: { cpu: '1' } } }],
  ['autoscaling.minReplicas', 2, SCALER, 'spec.minReplicas', 2, SCALED],
  ['autoscaling.maxReplicas', 5, SCALER, 'spec.maxReplicas', 5, SCALED],
  ['autoscaling.targetCPUUtilizationPercentage', 75, SCALER, 'spec.metrics', [utilisation('cpu', 75)], SCALED],
  ['autoscaling.targetMemoryUtilizationPercentage', 70, SCALER, 'spec.metrics', [utilisation('cpu', 80), utilisation('memory', 70)], SCALED],

  ['monitoring.enabled', false, MONITOR, null],
  ['monitoring.enabled', true, MONITOR, 'spec.podMetricsEndpoints.0.path', '/metrics'],
  ['monitoring.scrapeInterval', '15s', MONITOR, 'spec.podMetricsEndpoints.0.interval', '15s', MONITORED],

  // Without effect, and named in the notes.
  ...['cfgService', 'authService', 'authRedirectUri'].map((name) => [`webphone.${name}`, 'https://a.example.com', DEPLOYMENT, 'warning', `webphone.${name}: not supported yet`]),
  ['webphone.webphoneService', 'https://a.example.com', DEPLOYMENT, 'warning', 'webphone.webphoneService: not needed'],
  ['rbac.create', true, DEPLOYMENT, 'warning', 'rbac.create: not needed'],
  ['secrets.gwsClientId', 'client', DEPLOYMENT, 'warning', 'secrets: not supported yet'],
  ['secrets.env.gws', 'hush', DEPLOYMENT, 'warning', 'secrets: not supported yet'],
  ['k8s.gws', 'name', DEPLOYMENT, 'warning', 'k8s: not supported yet'],
  ['k8s.gwsSecretPath', 'path', DEPLOYMENT, 'warning', 'k8s: not supported yet'],
];
