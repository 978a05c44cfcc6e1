import { Chart } from '../lib/helm.mjs';

export const chart = new Chart('webphone', {
  image: { repository: 'registry.example.com/webrtc/webrtc-sip-gateway' },
  webphone: { webrtcService: 'gateways' },
  ingress: { host: 'webphone.example.com' },
});
