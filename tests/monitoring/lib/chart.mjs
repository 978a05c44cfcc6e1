// What the chart webrtc-service has for monitoring.
import { NAMESPACE } from '../../helm/lib/helm.mjs';
import { object } from '../../helm/lib/objects.mjs';
import { chart } from '../../helm/webrtc-service/chart.mjs';

export { NAMESPACE };

const MONITORED = { 'deployment.type': 'infra', monitoring: { enabled: true, dashboards: true, prometheusMetrics: true, prometheusAlerts: true } };

/** The rules of its PrometheusRule. */
export async function rules(options = {}) {
  return object(await chart.render({ ...MONITORED, ...options }), 'PrometheusRule', 'webrtc-alerts').spec;
}

/** The queries by which KEDA scales gateways of a colour. */
export async function scaling(colour = 'blue') {
  const objects = await chart.render({ 'deployment.type': 'all', 'deployment.color': colour, 'deployment.keda': true });
  return objects.filter(({ kind }) => kind === 'ScaledObject').flatMap(({ spec }) => spec.triggers).flatMap(({ metadata }) => metadata.query ?? []);
}

/** Its dashboards, as Grafana would read them: `{ name, dashboard }` each. */
export async function dashboards() {
  const maps = (await chart.render(MONITORED)).filter(({ kind }) => kind === 'ConfigMap');
  return maps.flatMap(({ data }) => Object.entries(data).map(([name, text]) => ({ name, dashboard: JSON.parse(text) })));
}

/** A panel's expression as Grafana asks it, for the namespace of the chart's release. */
export const asked = (expression) => expression.replaceAll('$namespace', NAMESPACE);

/** The names of metrics in a text. */
export const metricNames = (text) => [...new Set([...text.matchAll(/\b(?:wrtc|wsg|wst)_[a-z_]+\b/g)].map(([name]) => name))].sort();

/** Where to scrape both programs, with the labels that a PodMonitor of the chart adds. */
export function targets({ gateway, turn }) {
  return [['gateway', gateway], ['coturn', turn]].map(([component, { metricsAddress }]) => ({
    job: component,
    address: metricsAddress,
    labels: { namespace: NAMESPACE, pod: `webrtc-${component}-blue-1`, color: 'blue' },
  }));
}
