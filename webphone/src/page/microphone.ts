import type { GatewayClient } from '../sdk';
import { byId } from './dom';
import { errorText } from './words';

const DEVICE_KEY = 'softphone.microphone';

/** The choice of microphones, where there is one. */
export class MicrophoneView {
  readonly #client: GatewayClient;
  readonly #select = byId<HTMLSelectElement>('microphone');

  constructor(client: GatewayClient) {
    this.#client = client;
    try {
      client.microphone.deviceId = localStorage.getItem(DEVICE_KEY) ?? '';
    } catch {
      // Private windows may refuse storage; then the browser's default is used.
    }
    this.#select.addEventListener('change', () => void this.#choose());
    navigator.mediaDevices?.addEventListener?.('devicechange', () => void this.refresh());
    // Names of devices are known only once a microphone has been allowed.
    client.on('calls', (calls) => {
      if (calls.some((call) => call.localStream) && !this.#named()) void this.refresh();
    });
  }

  async refresh(): Promise<void> {
    const devices = await this.#client.microphone.devices().catch(() => []);
    const options = devices.map((device, index) => new Option(device.label || `Microphone ${index + 1}`, device.deviceId));
    this.#select.replaceChildren(...options);
    if (options.some((option) => option.value === this.#client.microphone.deviceId)) {
      this.#select.value = this.#client.microphone.deviceId;
    }
    byId('microphone-row').hidden = devices.length < 2;
  }

  #named(): boolean {
    return this.#select.options.length > 0;
  }

  async #choose(): Promise<void> {
    this.#client.microphone.deviceId = this.#select.value;
    try {
      localStorage.setItem(DEVICE_KEY, this.#select.value);
    } catch {
      // See above.
    }
    try {
      for (const call of this.#client.calls) await call.renewMicrophone();
    } catch (error) {
      byId('notice').textContent = errorText(error);
    }
  }
}
