// What the page says, in plain language.
import { reasonOf, type Call, type CallEnd, type CallQuality, type ClientState, type GatewayStats } from '../sdk';

const ERRORS: Record<string, string> = {
  parse_error: 'This page and the gateway do not understand each other. Please reload the page.',
  invalid_request: 'This page and the gateway do not understand each other. Please reload the page.',
  unknown_method: 'This page and the gateway do not understand each other. Please reload the page.',
  invalid_params: 'The gateway could not use what this page sent. Please reload the page and try again.',
  not_signed_in: 'You are not signed in any more. Please sign in again.',
  already_signed_in: 'You are signed in already.',
  wrong_credentials: 'That user name and password do not match.',
  too_many: 'That was too much for the gateway at the moment. Please try again in a minute.',
  unavailable: 'The gateway takes no new sign-ins or calls at the moment. Please try again soon.',
  unreachable: 'The gateway cannot be reached. Please check your network.',
  lost: 'The connection to the gateway broke. Please try again.',
  dead: 'The connection to the gateway broke. Please try again.',
  closed: 'There is no connection to the gateway.',
  refused: 'The gateway refused the connection.',
  timeout: 'The gateway did not answer in time. Please try again.',
  permission_denied: 'This page may not use your microphone. Allow it in the browser\u2019s address bar or settings, then try again.',
  no_microphone: 'No microphone was found. Please plug one in and try again.',
  microphone_busy: 'The microphone could not be opened. Perhaps another program is using it.',
  insecure_context: 'Browsers allow the microphone only over HTTPS or on localhost.',
  unsupported: 'This browser cannot make calls.',
  bad_sdp: 'The gateway could not make sense of what this browser offered. Please try another browser.',
  no_audio: 'This browser offered no sound. Please check the microphone and try again.',
  no_common_codec: 'This browser and the gateway have no audio format in common. Please try another browser.',
  bad_number: 'That is not a number or name that can be called.',
  unsupported_scheme: 'Only sip: addresses can be called, no sips: or tel: ones.',
  not_supported: 'This gateway cannot do that.',
  wrong_state: 'That is not possible at this point of the call.',
  unknown_call: 'That call is already over.',
  failure: 'Something went wrong. Please try again.',
};

/** Reasons for which the gateway's own text adds nothing for people. */
const ENDS: Record<string, string> = {
  rejected: 'declined the call.',
  busy: 'is busy.',
  no_answer: 'does not answer.',
  not_found: 'is not a number that exists.',
  unroutable: 'cannot be reached: not signed in, or no such number.',
};

/** Ends that bear the name of an error and mean something else: not the gateway is unreachable, but the far side. */
const NO_ERRORS = ['unreachable', 'failure'];

export function errorText(error: unknown): string {
  return ERRORS[reasonOf(error)] ?? (error instanceof Error && error.message ? error.message : 'Something went wrong.');
}

export function connectionText(state: ClientState, transport: string | undefined): string {
  switch (state) {
    case 'signedOut':
      return 'Signed out';
    case 'connecting':
      return 'Connecting\u2026';
    case 'reconnecting':
      return 'Reconnecting\u2026';
    case 'signedIn':
      return transport === 'polling' ? 'Ready (polling)' : 'Ready';
  }
}

export function callStateText(call: Call): string {
  switch (call.state) {
    case 'calling':
      return 'Calling\u2026';
    case 'ringing':
    case 'earlyMedia':
      return 'Ringing\u2026';
    case 'incoming':
      return 'Calls you';
    case 'connecting':
      return 'Connecting\u2026';
    case 'ended':
      return 'Ended';
    case 'answered':
      if (call.held.local) return 'On hold';
      if (call.held.remote) return 'Put on hold by the other side';
      if (call.media === 'interrupted') return 'Finding a new path for the sound\u2026';
      return call.muted ? 'In call, muted' : 'In call';
  }
}

/** What the gateway noticed about the registration; empty when it is well again. */
export function registrationText(reason: string, text: string): string {
  return reason === 'registration_restored' ? '' : text || 'Calls from outside may not reach you at the moment.';
}

/** What the gateway noticed about the sound; empty when it is well again. */
export function warningText(reason: string): string {
  return reason === 'media_restored' ? '' : 'No sound is getting through at the moment.';
}

export interface EndText {
  text: string;
  bad: boolean;
}

export function endText(call: Call, end: CallEnd): EndText {
  const party = call.parties.displayName || call.remoteParty;
  const isError = end.by === 'local' || (end.by === 'gateway' && !NO_ERRORS.includes(end.reason));
  const error = isError ? ERRORS[end.reason] : undefined;
  if (error) return { text: error, bad: true };
  const known = call.direction === 'outgoing' ? ENDS[end.reason] : undefined;
  if (known) return { text: `${party} ${known}`, bad: true };
  const normal = ['hangup', 'cancelled', 'rejected', 'answered_elsewhere'].includes(end.reason);
  const length = end.durationMs && end.durationMs >= 1000 ? ` (${duration(end.durationMs)})` : '';
  if (end.reason === 'hangup') return { text: `Call with ${party} ended${length}.`, bad: false };
  const missed = ['cancelled', 'no_answer'].includes(end.reason) && call.direction === 'incoming';
  if (missed) return { text: `Missed call from ${party}.`, bad: false };
  return { text: end.text || (ERRORS['failure'] ?? ''), bad: !normal };
}

/** `1:05`, `1:00:05`. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const two = (n: number) => String(n).padStart(2, '0');
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

export type Grade = 'good' | 'fair' | 'poor' | 'unknown';

export interface QualityText {
  grade: Grade;
  text: string;
}

export function qualityText(quality: CallQuality | undefined, stats: GatewayStats | undefined): QualityText {
  const rtt = quality?.roundTripMs ?? stats?.roundTripMs ?? undefined;
  // Both directions matter: what we miss, and what the gateway misses from us.
  const loss = worst(quality?.lossPercent, stats?.lossPercent);
  const jitter = worst(quality?.jitterMs, stats?.jitterMs);
  const ours = stats?.codec ?? quality?.codec;
  const codec = ours && stats?.farCodec && stats.transcoding ? `${ours} \u2194 ${stats.farCodec}` : ours;
  const parts = [
    rtt === undefined ? '' : `${Math.round(rtt)} ms round trip`,
    loss === undefined ? '' : `${loss.toFixed(1)} % loss`,
    jitter === undefined ? '' : `${Math.round(jitter)} ms jitter`,
    codec ?? '',
  ].filter(Boolean);
  if (parts.length === 0) return { grade: 'unknown', text: '' };
  const grade = gradeOf(rtt ?? 0, loss ?? 0, jitter ?? 0);
  const word = { good: 'Good', fair: 'Fair', poor: 'Poor', unknown: '' }[grade];
  return { grade, text: `${word}: ${parts.join(', ')}` };
}

function worst(a: number | null | undefined, b: number | null | undefined): number | undefined {
  const known = [a, b].filter((value): value is number => typeof value === 'number');
  return known.length ? Math.max(...known) : undefined;
}

// Thresholds near what ITU-T G.114 (delay) and common speech-quality practice call noticeable and annoying.
function gradeOf(rtt: number, loss: number, jitter: number): Grade {
  if (rtt > 600 || loss > 5 || jitter > 80) return 'poor';
  if (rtt > 300 || loss > 1.5 || jitter > 40) return 'fair';
  return 'good';
}
