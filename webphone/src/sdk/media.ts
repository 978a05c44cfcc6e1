import { MediaError } from './errors';

/** What browsers do to speech by default, and what a telephone wants. */
export const defaultAudioConstraints: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
};

/** For tests and measurements: the sound as it is. */
export const rawAudioConstraints: MediaTrackConstraints = {
  echoCancellation: false,
  noiseSuppression: false,
  autoGainControl: false,
};

export type GetUserMedia = (constraints: MediaStreamConstraints) => Promise<MediaStream>;

/** The microphone of all calls: asked for once, cloned for each further call, let go after the last. */
export class Microphone {
  constraints: MediaTrackConstraints;
  /** Preferred device; the browser's default if empty. */
  deviceId = '';
  readonly #getUserMedia: GetUserMedia;
  readonly #inUse = new Set<MediaStream>();

  constructor(constraints: MediaTrackConstraints, getUserMedia: GetUserMedia = browserGetUserMedia) {
    this.constraints = constraints;
    this.#getUserMedia = getUserMedia;
  }

  async acquire(fresh = false): Promise<MediaStream> {
    const live = fresh ? undefined : [...this.#inUse].find((stream) => stream.active);
    const stream = live ? live.clone() : await this.#open();
    for (const track of stream.getAudioTracks()) track.enabled = true;
    this.#inUse.add(stream);
    return stream;
  }

  release(stream: MediaStream): void {
    this.#inUse.delete(stream);
    for (const track of stream.getTracks()) track.stop();
  }

  /** The microphones there are. Their labels stay empty until the user has allowed one. */
  async devices(): Promise<MediaDeviceInfo[]> {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return all.filter((device) => device.kind === 'audioinput' && device.deviceId !== '');
  }

  async #open(): Promise<MediaStream> {
    const audio = this.deviceId ? { ...this.constraints, deviceId: { ideal: this.deviceId } } : this.constraints;
    try {
      return await this.#getUserMedia({ audio, video: false });
    } catch (error) {
      throw toMediaError(error);
    }
  }
}

async function browserGetUserMedia(constraints: MediaStreamConstraints): Promise<MediaStream> {
  if (!globalThis.isSecureContext) throw new MediaError('insecure_context', 'Microphones need HTTPS or localhost.');
  if (!navigator.mediaDevices) throw new MediaError('unsupported', 'This browser gives no access to microphones.');
  return navigator.mediaDevices.getUserMedia(constraints);
}

function toMediaError(error: unknown): MediaError {
  if (error instanceof MediaError) return error;
  switch ((error as { name?: string } | null)?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return new MediaError('permission_denied', 'The use of the microphone was not allowed.');
    case 'NotFoundError':
    case 'OverconstrainedError':
      return new MediaError('no_microphone', 'No microphone was found.');
    case 'NotReadableError':
    case 'AbortError':
      return new MediaError('microphone_busy', 'The microphone could not be opened.');
    default:
      return new MediaError('unsupported', 'This browser could not open a microphone.');
  }
}
