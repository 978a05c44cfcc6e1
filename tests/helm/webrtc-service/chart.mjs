import { Chart } from '../lib/helm.mjs';

export const chart = new Chart('webrtc-service', {
  deployment: { ingress: { domain: 'example.com' } },
  image: { webrtc: 'registry.example.com/webrtc', coturn: 'registry.example.com/webrtc' },
  gateway: { turnExternalUriBlue: 'turn-blue.example.com', turnExternalUriGreen: 'turn-green.example.com' },
});
