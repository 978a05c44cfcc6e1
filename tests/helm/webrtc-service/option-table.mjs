// Where each option must appear (lib/option-checks.mjs says how a row reads). A value of another type than the schema's would be
// refused, so a row also shows that the option is taken.

// Objects by the step that brings them.
const step = (type, color, object) => ({ with: { 'deployment.type': type, 'deployment.color': color }, object });
const at = (one, object) => ({ ...one, object });
const GATEWAY = step('gateway', 'blue', 'Deployment/webrtc-gateway-blue');
const GREEN_GATEWAY = step('gateway', 'green', 'Deployment/webrtc-gateway-green');
const COTURN = step('coturn', 'blue', 'Deployment/webrtc-coturn-blue');
const IN = { gateway: GATEWAY, coturn: COTURN };
const COMMON = step('infra', '');
const INFRA = step('infra', 'blue');
const CUTOVER = step('cutover', 'blue', 'Ingress/webrtc-ingress-int');
const TURN_SERVICE = at(INFRA, 'Service/webrtc-coturn-service-blue');
const scaled = (component) => at(IN[component], `ScaledObject/webrtc-${component}-blue`);
const ALERTS = at(COMMON, 'PrometheusRule/webrtc-alerts');

const POD = 'spec.template.spec';
const CONTAINER = `${POD}.containers.0`;
const both = (option, value, path, expected, more) => [[option, value, GATEWAY, path, expected, more], [option, value, COTURN, path, expected, more]];
/** A row for each component; `rows` makes them from its name. */
const each = (rows) => ['gateway', 'coturn'].flatMap(rows);
const variable = (name) => `env.${name}`;

const MONITORED = { 'monitoring.enabled': true };
const KEDA = { 'deployment.keda': true };
const ES = { 'gateway.esServer': 'es' };
const TOLERATION = { key: 'pool', operator: 'Exists', effect: 'NoSchedule' };
const AFFINITY = { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } };
const PVC = { pvcName: 'log-pvc', volumeName: 'log-volume', volumeSpec: { nfs: { server: '192.0.2.7', path: '/logs' } } };
/** A log in files, and in files of a volume. */
const filed = (component) => ({ [`${component}.logPath`]: '/mnt/log' });
const stored = (component) => ({ ...filed(component), [`${component}.logPvc`]: PVC });
const RACK = { topologyKey: 'rack', maxSkew: 2, whenUnsatisfiable: 'DoNotSchedule' };
const SPREAD = [{ ...RACK, labelSelector: { matchLabels: { a: 'b' } } }];
const PEERS = [{ namespaceSelector: { matchLabels: { a: 'b' } } }];
/** By these names AKS, GKE and EKS know that a balancer is for the private network. */
const AZURE = 'service.beta.kubernetes.io/azure-load-balancer-internal';
const INTERNAL = {
  [AZURE]: 'true',
  'networking.gke.io/load-balancer-type': 'Internal',
  'service.beta.kubernetes.io/aws-load-balancer-scheme': 'internal',
  'service.beta.kubernetes.io/aws-load-balancer-internal': 'true',
};
const PARENTS = [{ name: 'web', namespace: 'ingress' }];

export const ROWS = [
  // deployment
  ['deployment.type', 'coturn', COTURN, 'metadata.name', 'webrtc-coturn-blue'],
  ['deployment.color', 'green', GREEN_GATEWAY, variable('WSG_COLOUR'), 'green'],
  ['deployment.forceCutover', true, CUTOVER, 'spec.rules.0.http.paths.0.backend.service.name', 'webrtc-gateway-service-green'],
  ...both('deployment.namespace', 'production', 'metadata.namespace', 'production'),
  ...both('deployment.priorityClassName', 'high', `${POD}.priorityClassName`, 'high'),
  ...both('deployment.nodeSelector', { pool: 'general' }, `${POD}.nodeSelector`, { pool: 'general' }),
  ...both('deployment.tolerations', [TOLERATION], `${POD}.tolerations`, [TOLERATION]),
  ...both('deployment.affinity', AFFINITY, `${POD}.affinity`, AFFINITY),
  ...both('deployment.topologySpread', SPREAD, `${POD}.topologySpreadConstraints`, SPREAD),
  ['deployment.topologySpread', [RACK], GATEWAY, `${POD}.topologySpreadConstraints`, [{ ...RACK, labelSelector: { matchLabels: { servicename: 'webrtc-gateway', color: 'blue' } } }]],
  ...both('deployment.dnsPolicy', 'Default', `${POD}.dnsPolicy`, 'Default'),
  ...both('deployment.dnsConfig', { options: [{ name: 'ndots', value: '3' }] }, `${POD}.dnsConfig`, { options: [{ name: 'ndots', value: '3' }] }),
  ['deployment.ingress.domain', 'example.net', CUTOVER, 'spec.rules.0.host', 'webrtc-test.example.net'],
  ['deployment.ingress.className', 'nginx', CUTOVER, 'spec.ingressClassName', 'nginx'],
  ['deployment.ingress.annotations', { 'kubernetes.io/ingress.class': 'nginx01' }, CUTOVER, ['metadata', 'annotations', 'kubernetes.io/ingress.class'], 'nginx01'],
  ['deployment.ingress.annotations', { 'nginx.ingress.kubernetes.io/session-cookie-path': '/; Secure' }, CUTOVER, ['metadata', 'annotations', 'nginx.ingress.kubernetes.io/session-cookie-path'], '/; Secure'],
  ['deployment.ingress.tls.secretName', 'tls', CUTOVER, 'spec.tls', [{ secretName: 'tls', hosts: ['webrtc-test.example.com', 'webrtc.example.com'] }]],
  ['deployment.ingress.tls.hosts', ['a.example.com'], CUTOVER, 'spec.tls.0.hosts', ['a.example.com']],
  ['deployment.ingress.tls', [{ secretName: 'one' }, { secretName: 'two', hosts: ['b'] }], CUTOVER, 'spec.tls.1', { secretName: 'two', hosts: ['b'] }],
  ['deployment.gatewayApi.enabled', true, at(CUTOVER, 'HTTPRoute/webrtc'), 'spec.hostnames', ['webrtc.example.com'], { 'deployment.gatewayApi.parentRefs': PARENTS }],
  ['deployment.gatewayApi.parentRefs', PARENTS, at(CUTOVER, 'HTTPRoute/webrtc'), 'spec.parentRefs', PARENTS, { 'deployment.gatewayApi.enabled': true }],
  ['deployment.gatewayApi.sessionPersistence', true, at(CUTOVER, 'HTTPRoute/webrtc'), 'spec.rules.0.sessionPersistence.sessionName', 'WSGINGRESS', { 'deployment.gatewayApi.enabled': true, 'deployment.gatewayApi.parentRefs': PARENTS }],
  ['deployment.networkPolicy.enabled', false, at(INFRA, 'NetworkPolicy/webrtc-gateway-blue'), null],
  ['deployment.networkPolicy.httpFrom', PEERS, at(INFRA, 'NetworkPolicy/webrtc-gateway-blue'), 'spec.ingress.0.from', PEERS],
  ['deployment.networkPolicy.metricsFrom', PEERS, at(INFRA, 'NetworkPolicy/webrtc-gateway-blue'), 'spec.ingress.1.from', PEERS],
  ['deployment.networkPolicy.metricsFrom', PEERS, at(INFRA, 'NetworkPolicy/webrtc-coturn-blue'), 'spec.ingress.1.from', PEERS],
  ['deployment.networkPolicy.coturnTo', PEERS, at(INFRA, 'NetworkPolicy/webrtc-coturn-blue'), 'spec.egress.1', { ports: [{ protocol: 'TCP' }], to: PEERS }],
  ['deployment.networkPolicy.coturnTo', PEERS, at(INFRA, 'NetworkPolicy/webrtc-coturn-blue'), 'spec.egress.2', { ports: [{ port: 53, protocol: 'UDP' }, { port: 53 }] }],
  ['deployment.networkPolicy.coturnTo', [], at(INFRA, 'NetworkPolicy/webrtc-coturn-blue'), 'spec.egress.length', 1],
  ['deployment.networkPolicy.sipFrom', PEERS, at(INFRA, 'NetworkPolicy/webrtc-gateway-blue'), 'spec.ingress.2.from', PEERS],
  ...each((component) => [
    ['deployment.keda', true, scaled(component), 'spec.scaleTargetRef.name', `webrtc-${component}-blue`],
    ['deployment.keda', true, IN[component], 'spec.replicas', undefined],
    ['deployment.hpa', true, at(IN[component], `HorizontalPodAutoscaler/webrtc-${component}-blue`), 'spec.metrics.0.resource', { name: 'cpu', target: { type: 'Utilization', averageUtilization: 60 } }],
    ['deployment.hpa', true, IN[component], 'spec.replicas', undefined],
  ]),
  ['deployment.coturnDeployment', 'internal', TURN_SERVICE, 'spec.loadBalancerIP', undefined, { 'coturn.lbIpBlue': '192.0.2.1' }],
  ['deployment.coturnDeployment', 'internal', TURN_SERVICE, 'metadata.annotations', INTERNAL],
  ['deployment.coturnDeployment', 'external', TURN_SERVICE, 'metadata.annotations', undefined],
  ['deployment.coturnService.annotations', { [AZURE]: 'false', group: 'a' }, TURN_SERVICE, 'metadata.annotations', { ...INTERNAL, [AZURE]: 'false', group: 'a' }, { 'deployment.coturnDeployment': 'internal' }],
  ['deployment.coturnDeployment', 'external', TURN_SERVICE, 'spec.loadBalancerIP', '192.0.2.1', { 'coturn.lbIpBlue': '192.0.2.1' }],
  ['deployment.coturnService.annotation', { group: 'a' }, TURN_SERVICE, 'metadata.annotations', { group: 'a' }],
  ['deployment.coturnService.annotations', { group: 'a' }, TURN_SERVICE, 'metadata.annotations', { group: 'a' }],

  // monitoring
  ['monitoring.enabled', false, ALERTS, null, undefined, { 'monitoring.prometheusAlerts': true }],
  ['monitoring.dashboards', true, at(COMMON, 'ConfigMap/webrtc-dashboard-gateway'), 'metadata.labels.grafana_dashboard', '1', MONITORED],
  ['monitoring.prometheusMetrics', true, at(COMMON, 'PodMonitor/webrtc-gateway'), 'spec.podMetricsEndpoints', [{ port: 'metrics', path: '/metrics', interval: '30s' }], MONITORED],
  ['monitoring.prometheusMetrics', true, at(COMMON, 'PodMonitor/webrtc-coturn'), 'spec.selector.matchLabels.servicename', 'webrtc-coturn', MONITORED],
  ['monitoring.prometheusAlerts', true, ALERTS, 'spec.groups.0.name', 'webrtc-gateway', MONITORED],
  ['monitoring.alertFor', { 'webrtc-gateway-signins': '30m' }, ALERTS, 'spec.groups.0.rules.0.for', '30m', { ...MONITORED, 'monitoring.prometheusAlerts': true }],
  ['monitoring.alertFor', { 'webrtc-gateway-signins': '30m' }, ALERTS, 'spec.groups.0.rules.4.for', '5m', { ...MONITORED, 'monitoring.prometheusAlerts': true }],
  ['monitoring.certificateDays', 30, ALERTS, 'spec.groups.0.rules.9.expr', 'wsg_certificate_expiry_timestamp_seconds{namespace="webrtc"} - time() < 30 * 86400', { ...MONITORED, 'monitoring.prometheusAlerts': true }],
  ['monitoring.certificateDays', 30, ALERTS, 'spec.groups.1.rules.3.expr', 'wst_certificate_expiry_timestamp_seconds{namespace="webrtc"} - time() < 30 * 86400', { ...MONITORED, 'monitoring.prometheusAlerts': true }],

  // image
  ...both('image.imagePullSecrets', ['one', 'two'], `${POD}.imagePullSecrets`, [{ name: 'one' }, { name: 'two' }]),
  ...both('image.pullPolicy', 'IfNotPresent', `${CONTAINER}.imagePullPolicy`, 'IfNotPresent'),
  ...each((component) => [
    ['image.initContainerImage', 'busybox', IN[component], `${POD}.initContainers.0.image`, 'busybox', { [`${component}.logPath`]: '/log' }],
    ['image.initContainerImage', 'busybox', IN[component], `${POD}.initContainers.0.command`, ['mkdir', '-p', '/log/$(POD_NAME)'], { [`${component}.logPath`]: '/log/' }],
    ['image.initContainerImage', '', IN[component], `${POD}.initContainers`, undefined, { [`${component}.logPath`]: '/log' }],
  ]),
  ['image.webrtc', 'r.example.com/a', GATEWAY, `${CONTAINER}.image`, 'r.example.com/a/webrtc-sip-gateway:0.1.0'],
  ['image.webrtcName', 'gw', GATEWAY, `${CONTAINER}.image`, 'registry.example.com/webrtc/gw:0.1.0'],
  ['image.webrtcVersion', '7.8', GATEWAY, `${CONTAINER}.image`, 'registry.example.com/webrtc/webrtc-sip-gateway:7.8'],
  ['image.coturn', 'r.example.com/a', COTURN, `${CONTAINER}.image`, 'r.example.com/a/webrtc-sip-turn:0.1.0'],
  ['image.coturnName', 'turn', COTURN, `${CONTAINER}.image`, 'registry.example.com/webrtc/turn:0.1.0'],
  ['image.coturnVersion', '7.8', COTURN, `${CONTAINER}.image`, 'registry.example.com/webrtc/webrtc-sip-turn:7.8'],

  // security of both
  ...both('podSecurityContext', { runAsUser: null, runAsGroup: 0, fsGroup: null }, `${POD}.securityContext`, { runAsNonRoot: true, runAsGroup: 0, seccompProfile: { type: 'RuntimeDefault' } }),
  ...both('securityContext', { runAsUser: null, runAsGroup: 0 }, `${CONTAINER}.securityContext`, { runAsNonRoot: true, runAsGroup: 0, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } }),
  ...both('securityContext', { fsGroup: 700 }, `${POD}.securityContext.fsGroup`, 700),

  // both components
  ...each((component) => [
    [`${component}.replicas`, 3, IN[component], 'spec.replicas', 3],
    [`${component}.replicas`, 3, scaled(component), 'spec.minReplicaCount', 3, KEDA],
    [`${component}.podAnnotations`, { 'pods/owner': '1051' }, IN[component], ['spec', 'template', 'metadata', 'annotations', 'pods/owner'], '1051'],
    [`${component}.resources`, null, IN[component], `${CONTAINER}.resources`, undefined],
    [`${component}.resources.limits.memory`, '6Gi', IN[component], `${CONTAINER}.resources.limits`, { memory: '6Gi' }],
    [`${component}.resources.limits`, { cpu: 4 }, IN[component], `${CONTAINER}.resources.limits.cpu`, 4],
    [`${component}.scaling.pollingInterval`, 15, scaled(component), 'spec.pollingInterval', 15, KEDA],
    [`${component}.scaling.maxReplicaCount`, 9, scaled(component), 'spec.maxReplicaCount', 9, KEDA],
    [`${component}.scaling.maxReplicaCount`, 9, at(IN[component], `HorizontalPodAutoscaler/webrtc-${component}-blue`), 'spec.maxReplicas', 9, { 'deployment.hpa': true }],
    [`${component}.scaling.thresholdCpu`, 55, scaled(component), 'triggers.cpu', { type: 'cpu', metricType: 'Utilization', metadata: { value: '55' } }, KEDA],
    [`${component}.scaling.thresholdMemory`, 45, scaled(component), 'triggers.memory', { type: 'memory', metricType: 'Utilization', metadata: { value: '45' } }, KEDA],
    [`${component}.budget.minAvailable`, '50%', at(IN[component], `PodDisruptionBudget/webrtc-${component}-blue`), 'spec.minAvailable', '50%'],
    [`${component}.budget`, {}, at(IN[component], `PodDisruptionBudget/webrtc-${component}-blue`), null],
    [`${component}.securityContext`, { runAsUser: 1000, fsGroup: 1001 }, IN[component], `${CONTAINER}.securityContext.runAsUser`, 1000],
    [`${component}.securityContext`, { runAsUser: 1000, fsGroup: 1001 }, IN[component], `${CONTAINER}.securityContext.fsGroup`, undefined],
    [`${component}.securityContext`, { runAsUser: 1000, fsGroup: 1001 }, IN[component], `${POD}.securityContext.fsGroup`, 1001],
    [`${component}.serviceAccountName`, 'bot', IN[component], `${POD}.serviceAccountName`, 'bot'],
    [`${component}.restartPolicy`, 'Always', IN[component], `${POD}.restartPolicy`, 'Always'],
    [`${component}.preStopSeconds`, 9, IN[component], `${CONTAINER}.lifecycle.preStop.sleep.seconds`, 9],
    [`${component}.drainSeconds`, 100, IN[component], `${POD}.terminationGracePeriodSeconds`, 128],
    [`${component}.configSecret`, 'mine', IN[component], 'configSecret', 'mine'],
    [`${component}.logPath`, '/mnt/log', IN[component], 'volumes.log', { name: 'log', hostPath: { path: '/mnt/log', type: 'DirectoryOrCreate' } }],
    [`${component}.logPath`, '/mnt/log', IN[component], 'mounts.log', { name: 'log', mountPath: '/mnt/log' }],
    [`${component}.logPath`, 'stdout', IN[component], 'volumes.log', undefined],
    [`${component}.logPvc`, null, IN[component], 'volumes.log.hostPath.path', '/mnt/log', filed(component)],
    [`${component}.logPath`, 'stdout', IN[component], variable(component === 'gateway' ? 'WSG_LOG__FORMAT' : 'WST_LOG__FORMAT'), 'json'],
    [`${component}.logPvc.pvcName`, 'log-pvc', IN[component], 'volumes.log.persistentVolumeClaim.claimName', 'log-pvc', filed(component)],
    [`${component}.logPvc`, { pvcName: 'log-pvc' }, at(COMMON, 'PersistentVolumeClaim/log-pvc'), 'spec', { accessModes: ['ReadWriteMany'], resources: { requests: { storage: '50Gi' } } }, filed(component)],
    [`${component}.logPvc.storageClassName`, 'slow', at(COMMON, 'PersistentVolumeClaim/log-pvc'), 'spec.storageClassName', 'slow', stored(component)],
    [`${component}.logPvc.storageClassName`, 'slow', at(COMMON, 'PersistentVolume/log-volume'), 'spec.storageClassName', 'slow', stored(component)],
    [`${component}.logPvc.capacity`, '5Gi', at(COMMON, 'PersistentVolumeClaim/log-pvc'), 'spec.resources.requests.storage', '5Gi', stored(component)],
    [`${component}.logPvc.capacity`, '5Gi', at(COMMON, 'PersistentVolume/log-volume'), 'spec.capacity.storage', '5Gi', stored(component)],
    [`${component}.logPvc.volumeName`, 'named', at(COMMON, 'PersistentVolumeClaim/log-pvc'), 'spec.volumeName', 'named', { ...filed(component), [`${component}.logPvc.pvcName`]: 'log-pvc' }],
    [`${component}.logPvc.volumeSpec`, { accessModes: ['ReadWriteOnce'], persistentVolumeReclaimPolicy: 'Retain' }, at(COMMON, 'PersistentVolume/log-volume'), 'spec', { accessModes: ['ReadWriteOnce'], capacity: { storage: '50Gi' }, nfs: { path: '/logs', server: '192.0.2.7' }, persistentVolumeReclaimPolicy: 'Retain', storageClassName: '' }, stored(component)],
    [`${component}.logPvc.volumespec`, { accessModes: ['ReadWriteOnce'], hostPath: { path: '/logs' } }, at(COMMON, 'PersistentVolume/log-volume'), 'spec', { accessModes: ['ReadWriteOnce'], capacity: { storage: '50Gi' }, hostPath: { path: '/logs' }, storageClassName: '' }, { ...filed(component), [`${component}.logPvc.volumeName`]: 'log-volume' }],
    [`${component}.logPvc.volumeSpec.accessModes`, ['ReadWriteOnce'], at(COMMON, 'PersistentVolumeClaim/log-pvc'), 'spec.accessModes', ['ReadWriteOnce'], stored(component)],
    [`${component}.logPvc.volumeAnnotations`, { 'bound-by-controller': 'yes' }, at(COMMON, 'PersistentVolume/log-volume'), 'metadata.annotations', { 'bound-by-controller': 'yes' }, stored(component)],
  ]),

  // gateway
  ['gateway.resources', null, scaled('gateway'), 'triggers.cpu', undefined, KEDA],
  ['gateway.workersCount', 5, GATEWAY, variable('WSG_MEDIA__WORKERS'), '5'],
  ['gateway.workersCount', 5, GATEWAY, `${CONTAINER}.resources.requests`, { cpu: '4000m', memory: '750Mi' }],
  ['gateway.resources.requests.cpu', 500, GATEWAY, `${CONTAINER}.resources.requests.cpu`, '1500m'],
  ['gateway.resources.requests.memory', 100, GATEWAY, `${CONTAINER}.resources.requests.memory`, '300Mi'],
  ['gateway.voiceSipProxy', 'sip.voice.svc:5080;transport=tcp', GATEWAY, variable('WSG_SIP__PROXY__TARGET'), 'sip.voice.svc:5080'],
  ['gateway.voiceSipProxy', 'sip.voice.svc:5080;transport=tcp', GATEWAY, variable('WSG_SIP__PROXY__TCP'), 'true'],
  ['gateway.voiceSipProxy', 'sip.voice.svc:5080;transport=udp', GATEWAY, variable('WSG_SIP__PROXY__TCP'), 'false'],
  ['gateway.voiceSipProxy', 'sip.voice.svc:5080', GATEWAY, variable('WSG_SIP__PROXY__DOMAIN'), 'sip.voice.svc'],
  ['gateway.sip.domain', 'users.example.com', GATEWAY, variable('WSG_SIP__PROXY__DOMAIN'), 'users.example.com', { 'gateway.voiceSipProxy': 'sip.voice.svc' }],
  ['gateway.sip.domain', 'users.example.com', GATEWAY, variable('WSG_SIP__DOMAIN'), 'users.example.com'],
  ['gateway.sip.trusted', ['10.1.0.0/16', '10.2.0.1'], GATEWAY, variable('WSG_SIP__TRUSTED'), '10.1.0.0/16,10.2.0.1'],
  ['gateway.turnExternalUriBlue', '192.0.2.1', GATEWAY, variable('WSG_TURN__URLS'), 'turn:192.0.2.1:443?transport=udp,turn:192.0.2.1:443?transport=tcp'],
  ['gateway.turnExternalUriBlue', 'turns:a:443?transport=tcp,turn:b', GATEWAY, variable('WSG_TURN__URLS'), 'turns:a:443?transport=tcp,turn:b'],
  ['gateway.turnExternalUriGreen', 'green.example.com:3478', GREEN_GATEWAY, variable('WSG_TURN__URLS'), 'turn:green.example.com:3478?transport=udp,turn:green.example.com:3478?transport=tcp'],
  ...['authRedirectUri', 'authService', 'envService', 'cfgService'].map((name) => [`gateway.${name}`, 'http://auth.example.com', GATEWAY, 'warning', `gateway.${name}: not supported yet`]),
  ...['authRedirectUri', 'authService', 'envService', 'cfgService'].map((name) => [`gateway.${name}`, 'http://auth.example.com', GATEWAY, variable('WSG_UNSUPPORTED_OPTIONS'), `gateway.${name}`]),
  ['gateway.enableTranscoding', false, GATEWAY, variable('WSG_MEDIA__BROWSER_CODECS'), 'pcmu,pcma'],
  ['gateway.enableTranscoding', false, GATEWAY, variable('WSG_MEDIA__SIP_CODECS'), 'pcmu,pcma'],
  ['gateway.enableTranscoding', true, GATEWAY, variable('WSG_MEDIA__BROWSER_CODECS'), undefined],
  ['gateway.enable1pccCalls', false, GATEWAY, 'warning', 'gateway.enable1pccCalls: switching it off is not supported yet'],
  ['gateway.enable1pccCalls', false, GATEWAY, variable('WSG_UNSUPPORTED_OPTIONS'), 'gateway.enable1pccCalls'],
  ['gateway.enable1pccCalls', true, GATEWAY, variable('WSG_UNSUPPORTED_OPTIONS'), undefined],
  ['gateway.media.reach', 'hostNetwork', GATEWAY, `${POD}.hostNetwork`, true],
  ['gateway.media.webrtcPort', 30000, GATEWAY, variable('WSG_MEDIA__WEBRTC_PORT'), '30000'],
  ['gateway.media.webrtcPort', 30000, at(INFRA, 'NetworkPolicy/webrtc-coturn-blue'), 'spec.egress.0.ports.0', { port: 30000, endPort: 30255, protocol: 'UDP' }],
  ['gateway.media.rtpPortLow', 21000, GATEWAY, variable('WSG_MEDIA__RTP_PORT_LOW'), '21000'],
  ['gateway.media.rtpPortHigh', 28000, GATEWAY, variable('WSG_MEDIA__RTP_PORT_HIGH'), '28000'],
  ['gateway.media.rtpPortHigh', 28000, at(INFRA, 'NetworkPolicy/webrtc-gateway-blue'), 'spec.ingress.2.ports.2.endPort', 28000],
  ['gateway.trustedProxies', ['10.9.0.0/16'], GATEWAY, variable('WSG_HTTP__TRUSTED_PROXIES'), '10.9.0.0/16'],
  ['gateway.allowedOrigins', ['https://a', 'https://b'], GATEWAY, variable('WSG_HTTP__ALLOWED_ORIGINS'), 'https://a,https://b'],
  ['gateway.config', { limits: { calls: 500 } }, at(GATEWAY, 'Secret/webrtc-gateway-config-blue'), ['stringData', 'gateway.toml'], '[limits]\n  calls = 500.0\n\n[turn]\n  listen = []\n'],
  ['gateway.arguments', ['-codecs pcmu,PCMA,opus=120'], GATEWAY, variable('WSG_MEDIA__BROWSER_CODECS'), 'pcmu,pcma,opus'],
  ['gateway.arguments', ['-codecs pcmu,telephone-event'], GATEWAY, `${CONTAINER}.args`, ['--config', '/etc/webrtc-sip-gateway/gateway.toml']],
  ['gateway.arguments', ['-codecs pcmu,telephone-event'], GATEWAY, variable('WSG_MEDIA__SIP_CODECS'), undefined],
  ['gateway.arguments', ['-codecs opus,pcma'], GATEWAY, variable('WSG_MEDIA__BROWSER_CODECS'), 'pcma', { 'gateway.enableTranscoding': false }],
  ['gateway.arguments', ['-sip-disallowed-codecs opus,telephone-event'], GATEWAY, variable('WSG_MEDIA__SIP_CODECS'), 'pcmu,pcma'],
  ['gateway.arguments', ['-sip-disallowed-codecs opus,telephone-event'], GATEWAY, variable('WSG_MEDIA__BROWSER_CODECS'), undefined],
  ['gateway.arguments', ['-sip-disallowed-codecs opus,telephone-event'], GATEWAY, 'warning', "gateway.arguments: digits (telephone-event) can't be left out yet"],
  ['gateway.arguments', ['-sip-disallowed-codecs opus,telephone-event'], GATEWAY, variable('WSG_UNSUPPORTED_OPTIONS'), 'gateway.arguments'],
  ['gateway.arguments', ['-sip-disallowed-codecs opus'], GATEWAY, variable('WSG_UNSUPPORTED_OPTIONS'), undefined],
  ['gateway.scaling.prometheusAddress', 'http://prometheus:9090', scaled('gateway'), 'triggers.prometheus.metadata.serverAddress', 'http://prometheus:9090', KEDA],
  ['gateway.scaling.thresholdSignins', 25, scaled('gateway'), 'triggers.prometheus.metadata.threshold', '25', KEDA],
  ['gateway.scaling.thresholdSignins', 25, ALERTS, 'spec.groups.0.rules.0.expr', 'avg by (namespace, color) (wrtc_current_signins{namespace="webrtc"}) > 25', { ...MONITORED, 'monitoring.prometheusAlerts': true }],
  ['gateway.secrets.type', 'csi', GATEWAY, 'volumes.secrets', { name: 'secrets', csi: { driver: 'secrets-store.csi.k8s.io', readOnly: true, volumeAttributes: { secretProviderClass: 'class' } } }, { 'gateway.secrets.csi.turn': 'class' }],
  ['gateway.secrets.csi.turn', 'class', GATEWAY, variable('WSG_TURN__SECRET'), 'file:/mnt/secrets/turnSecret', { 'gateway.secrets.type': 'csi' }],
  ['gateway.secrets.csi.turn', 'class', COTURN, 'volumes.secrets.csi.volumeAttributes.secretProviderClass', 'class', { 'gateway.secrets.type': 'csi' }],
  ...both('gateway.secrets.k8s.turn', 'mine', 'volumes.secrets', { name: 'secrets', secret: { secretName: 'mine', items: [{ key: 'turnSecret', path: 'turnSecret' }] } }),
  ...both('gateway.secrets.k8s.turn', 'mine', 'mounts.secrets', { name: 'secrets', mountPath: '/mnt/secrets', readOnly: true }),
  ['gateway.secrets.k8s.turn', 'mine', GATEWAY, variable('WSG_TURN__SECRET'), 'file:/mnt/secrets/turnSecret'],
  ['gateway.secrets.k8s.turn', 'mine', COTURN, variable('WST_AUTH__SECRETS'), 'file:/mnt/secrets/turnSecret'],
  ['gateway.secrets.env.turnSecret', 'in clear', GATEWAY, variable('WSG_TURN__SECRET'), 'in clear', { 'gateway.secrets.type': 'env' }],
  ['gateway.secrets.env.turnSecret', 'in clear', COTURN, variable('WST_AUTH__SECRETS'), 'in clear', { 'gateway.secrets.type': 'env' }],
  ['gateway.secrets.env.turnSecret', 'in clear', GATEWAY, 'volumes.secrets', undefined, { 'gateway.secrets.type': 'env' }],
  ...['csi.gws', 'k8s.gws', 'env.gwsClient', 'env.gwsSecret'].flatMap((name) => [
    [`gateway.secrets.${name}`, 'x', GATEWAY, 'warning', 'gateway.secrets: the GWS client is not supported yet'],
    [`gateway.secrets.${name}`, 'x', GATEWAY, variable('WSG_UNSUPPORTED_OPTIONS'), 'gateway.secrets'],
  ]),
  ['gateway.esServer', 'http://es.example.com:9200', GATEWAY, variable('WSG_LOG__ELASTICSEARCH__URL'), 'http://es.example.com:9200'],
  ['gateway.esServer', 'es.logging.svc', GATEWAY, variable('WSG_LOG__ELASTICSEARCH__QUEUE_PATH'), '/var/lib/webrtc-sip-gateway'],
  ['gateway.esServer', 'es.logging.svc', GATEWAY, 'mounts.log-queue.mountPath', '/var/lib/webrtc-sip-gateway'],
  ['gateway.esServer', 'stdout', GATEWAY, variable('WSG_LOG__ELASTICSEARCH__URL'), undefined],
  ['gateway.esServer', 'stdout', GATEWAY, 'volumes.log-queue', undefined],
  ['gateway.esQueueMegabytes', 100, GATEWAY, variable('WSG_LOG__ELASTICSEARCH__QUEUE_MEGABYTES'), '100', ES],
  ['gateway.esQueueMegabytes', 100, GATEWAY, 'volumes.log-queue', { name: 'log-queue', emptyDir: { sizeLimit: '132Mi' } }, ES],
  ['gateway.esSecret', 'es', GATEWAY, variable('WSG_LOG__ELASTICSEARCH__API_KEY'), 'file:/etc/elasticsearch/apiKey', ES],
  ['gateway.esSecret', 'es', GATEWAY, 'volumes.elasticsearch.secret', { secretName: 'es', items: [{ key: 'apiKey', path: 'apiKey' }] }, ES],
  ['gateway.esSecret', 'es', GATEWAY, 'volumes.elasticsearch.secret.items.1', { key: 'ca.crt', path: 'ca.crt' }, { 'gateway.esServer': 'https://es' }],
  ['gateway.esCredentials', 'password', GATEWAY, variable('WSG_LOG__ELASTICSEARCH__PASSWORD'), 'file:/etc/elasticsearch/password', { ...ES, 'gateway.esSecret': 'es' }],
  ['gateway.esCredentials', 'password', GATEWAY, variable('WSG_LOG__ELASTICSEARCH__USER'), { secretKeyRef: { name: 'es', key: 'user' } }, { ...ES, 'gateway.esSecret': 'es' }],
  ['gateway.esCredentials', 'password', GATEWAY, variable('WSG_LOG__ELASTICSEARCH__API_KEY'), undefined, { ...ES, 'gateway.esSecret': 'es' }],
  ['gateway.esCredentials', 'none', GATEWAY, 'volumes.elasticsearch.secret.items', [{ key: 'ca.crt', path: 'ca.crt' }], { 'gateway.esServer': 'https://es', 'gateway.esSecret': 'es' }],
  ['gateway.esCredentials', 'none', GATEWAY, 'volumes.elasticsearch', undefined, { ...ES, 'gateway.esSecret': 'es' }],
  ['gateway.esSecret', 'es', GATEWAY, variable('WSG_LOG__ELASTICSEARCH__CA'), '/etc/elasticsearch/ca.crt', { 'gateway.esServer': 'https://es' }],
  ['gateway.esSecret', 'es', GATEWAY, 'mounts.elasticsearch.mountPath', '/etc/elasticsearch', ES],
  ['gateway.logPath', '/log', GATEWAY, variable('WSG_LOG__PATH'), '/log'],
  ['gateway.logPath', 'stdout', GATEWAY, variable('WSG_LOG__PATH'), undefined],

  // coturn
  ['coturn.port', 8443, TURN_SERVICE, 'spec.ports.0.port', 8443],
  ['coturn.port', 8443, GATEWAY, variable('WSG_TURN__URLS'), 'turn:turn-blue.example.com:8443?transport=udp,turn:turn-blue.example.com:8443?transport=tcp'],
  ['coturn.protocols', ['TCP'], TURN_SERVICE, 'spec.ports', [{ name: 'turn-tcp', port: 443, targetPort: 3478, protocol: 'TCP' }]],
  ['coturn.protocols', ['TCP'], GATEWAY, variable('WSG_TURN__URLS'), 'turn:turn-blue.example.com:443?transport=tcp'],
  ['coturn.sessionAffinity', 'ClientIP', TURN_SERVICE, 'spec.sessionAffinity', 'ClientIP'],
  ['coturn.externalTrafficPolicy', 'Cluster', TURN_SERVICE, 'spec.externalTrafficPolicy', 'Cluster'],
  ['coturn.tlsSecret', 'turn-tls', COTURN, variable('WST_TLS__CERTIFICATE'), '/etc/webrtc-sip-turn/tls/tls.crt'],
  ['coturn.tlsSecret', 'turn-tls', COTURN, 'volumes.config.projected.sources.1.secret.name', 'turn-tls'],
  ['coturn.tlsSecret', 'turn-tls', GATEWAY, variable('WSG_TURN__URLS'), 'turn:turn-blue.example.com:443?transport=udp,turns:turn-blue.example.com:443?transport=tcp'],
  ['coturn.lbIpBlue', '192.0.2.1', TURN_SERVICE, 'spec.loadBalancerIP', '192.0.2.1'],
  ['coturn.lbIpBlue', '2001:db8::1', TURN_SERVICE, 'spec.loadBalancerIP', '2001:db8::1'],
  ['coturn.lbIpGreen', '192.0.2.2', step('infra', 'green', 'Service/webrtc-coturn-service-green'), 'spec.loadBalancerIP', '192.0.2.2'],
  ['coturn.allowPeers', ['10.42.0.0/16'], COTURN, variable('WST_RELAY__ALLOW_PEERS'), '10.42.0.0/16'],
  ['coturn.relayPortLow', 50000, COTURN, variable('WST_RELAY__PORT_LOW'), '50000'],
  ['coturn.relayPortHigh', 60000, COTURN, variable('WST_RELAY__PORT_HIGH'), '60000'],
  ['coturn.relayPortHigh', 60000, at(INFRA, 'NetworkPolicy/webrtc-coturn-blue'), 'spec.ingress.2.ports.0.endPort', 60000],
  ['coturn.config', { limits: { allocations: 5 } }, at(COTURN, 'Secret/webrtc-coturn-config-blue'), ['stringData', 'turn.toml'], '[limits]\n  allocations = 5.0\n'],
  ['coturn.resources.requests.cpu', '0.25', COTURN, `${CONTAINER}.resources.requests.cpu`, '0.25'],
  ['coturn.resources.requests.memory', '768Mi', COTURN, `${CONTAINER}.resources.requests.memory`, '768Mi'],
  ['coturn.scaling.thresholdSignins', 71, COTURN, 'warning', 'coturn.scaling.thresholdSignins: not used'],
  ['coturn.logPath', '/log', COTURN, variable('WST_LOG__PATH'), '/log'],
  ['coturn.logPath', 'stdout', COTURN, variable('WST_LOG__PATH'), undefined],

  // labels
  ['labels.common', { team: 'voice' }, CUTOVER, 'metadata.labels.team', 'voice'],
  ['labels.common', { team: 'voice' }, at(COMMON, 'Secret/webrtc-turn-secret'), 'metadata.labels.team', 'voice'],
  ...each((component) => [
    [`labels.${component}`, { team: 'voice' }, IN[component], 'metadata.labels.team', 'voice'],
    [`labels.${component}`, { team: 'voice' }, IN[component], 'spec.template.metadata.labels.team', 'voice'],
    [`labels.${component}`, { team: 'voice' }, at(INFRA, `Service/webrtc-${component}-service-blue`), 'metadata.labels.team', 'voice'],
  ]),
  ['labels.alerts', { team: 'voice' }, ALERTS, 'metadata.labels.team', 'voice', { ...MONITORED, 'monitoring.prometheusAlerts': true }],
  ['labels.alerts', { team: 'voice' }, ALERTS, 'spec.groups.0.rules.0.labels.team', 'voice', { ...MONITORED, 'monitoring.prometheusAlerts': true }],
];
