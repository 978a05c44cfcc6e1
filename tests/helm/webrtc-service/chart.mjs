import { Chart } from '../lib/helm.mjs';

export const chart = new Chart('webrtc-service', {
  deployment: { ingress: { domain: 'example.com' } },
  image: { webrtc: 'registry.example.com/webrtc', coturn: 'registry.example.com/webrtc' },
  gateway: { turnExternalUriBlue: 'turn-blue.example.com', turnExternalUriGreen: 'turn-green.example.com' },
});

export const COLOURS = ['blue', 'green'];

/** Type and colour of every release that the guide knows, and those with everything. */
export const STEPS = [
  ['infra', ''],
  ...['infra', 'coturn', 'gateway', 'cutover', 'all'].flatMap((type) => COLOURS.map((colour) => [type, colour])),
];

/** The options of one of them. */
export const step = ([type, colour]) => ({ 'deployment.type': type, 'deployment.color': colour });
