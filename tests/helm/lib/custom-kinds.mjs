// Kinds that aren't Kubernetes' own, by version and name: the keys that the charts use of them, and no others. Kubernetes would
// drop a key that is misspelt without a word.

const [TEXT, NUMBER] = ['string', 'number'];
const TEXTS = 'map of texts';

const METADATA = { name: TEXT, namespace: TEXT, labels: TEXTS };
const SCALING_BEHAVIOUR = { scaleDown: { stabilizationWindowSeconds: NUMBER, policies: [{ type: TEXT, value: NUMBER, periodSeconds: NUMBER }] } };
const KINDS = {
  // KEDA.
  'keda.sh/v1alpha1/ScaledObject': {
    scaleTargetRef: { name: TEXT },
    pollingInterval: NUMBER,
    minReplicaCount: NUMBER,
    maxReplicaCount: NUMBER,
    advanced: { horizontalPodAutoscalerConfig: { behavior: SCALING_BEHAVIOUR } },
    triggers: [{ type: TEXT, metricType: TEXT, metadata: { serverAddress: TEXT, query: TEXT, threshold: TEXT, ignoreNullValues: TEXT, value: TEXT } }],
  },
  // The Prometheus operator.
  'monitoring.coreos.com/v1/PodMonitor': {
    selector: { matchLabels: TEXTS },
    podTargetLabels: [TEXT],
    podMetricsEndpoints: [{ port: TEXT, path: TEXT, interval: TEXT, metricRelabelings: [{ sourceLabels: [TEXT], regex: TEXT, action: TEXT }] }],
  },
  'monitoring.coreos.com/v1/PrometheusRule': {
    groups: [{ name: TEXT, rules: [{ alert: TEXT, expr: TEXT, for: TEXT, labels: TEXTS, annotations: TEXTS }] }],
  },
  // The Gateway API.
  'gateway.networking.k8s.io/v1/HTTPRoute': {
    parentRefs: [{ name: TEXT, namespace: TEXT }],
    hostnames: [TEXT],
    rules: [{
      matches: [{ path: { type: TEXT, value: TEXT } }],
      timeouts: { request: TEXT, backendRequest: TEXT },
      sessionPersistence: { type: TEXT, sessionName: TEXT, absoluteTimeout: TEXT },
      backendRefs: [{ name: TEXT, port: NUMBER }],
    }],
  },
};

const kindOf = ({ apiVersion, kind }) => `${apiVersion}/${kind}`;
export const isCustom = (object) => kindOf(object) in KINDS;

/** What is wrong with such an object, as texts. */
export function customProblems(object) {
  const shape = { apiVersion: TEXT, kind: TEXT, metadata: METADATA, spec: KINDS[kindOf(object)] };
  return mismatches(object, shape, []).map((text) => `${object.kind}/${object.metadata.name}: ${text}`);
}

/** Where a value isn't of a shape: a type, a list of one shape, or keys with a shape each. */
function mismatches(value, shape, path) {
  const below = (entries, shapeOf) => entries.flatMap(([key, inner]) => mismatches(inner, shapeOf(key), [...path, key]));
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (shape === undefined) return [`${path.join('.')}: no such key`];
  if (Array.isArray(shape) && Array.isArray(value)) return below(Object.entries(value), () => shape[0]);
  if (shape === TEXTS && isMap) return below(Object.entries(value), () => TEXT);
  if (typeof shape === 'object' && !Array.isArray(shape) && isMap) return below(Object.entries(value), (key) => (Object.hasOwn(shape, key) ? shape[key] : undefined));
  return typeof value === shape ? [] : [`${path.join('.')}: ${JSON.stringify(value)} is of another type`];
}
