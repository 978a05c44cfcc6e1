/** A request that the gateway refused. `reason` is stable, `message` is for people. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly reason: string;
  readonly code: number;
  readonly sipStatus: number | undefined;

  constructor(code: number, reason: string, message: string, sipStatus?: number) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.sipStatus = sipStatus;
  }
}

export type LinkReason = 'unreachable' | 'lost' | 'dead' | 'timeout' | 'refused' | 'closed' | 'gap';

/** The link to the gateway could not carry a request. */
export class LinkError extends Error {
  override readonly name = 'LinkError';
  readonly reason: LinkReason;
  /** HTTP status, where the gateway or a proxy answered with one. */
  readonly status: number | undefined;

  constructor(reason: LinkReason, message: string, status?: number) {
    super(message);
    this.reason = reason;
    this.status = status;
  }
}

export type MediaReason =
  | 'permission_denied'
  | 'no_microphone'
  | 'microphone_busy'
  | 'insecure_context'
  | 'unsupported';

/** The browser could not give a microphone. */
export class MediaError extends Error {
  override readonly name = 'MediaError';
  readonly reason: MediaReason;

  constructor(reason: MediaReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The stable reason of any error that the SDK throws. */
export function reasonOf(error: unknown): string {
  if (error instanceof GatewayError || error instanceof LinkError || error instanceof MediaError) return error.reason;
  return 'failure';
}
