// The messages of docs/signaling.md as types. JSON-RPC 2.0.

export interface RpcRequest {
  jsonrpc: '2.0';
  id: number;
  method: string;
  params?: unknown;
}

export interface RpcErrorObject {
  code: number;
  message: string;
  data?: { reason?: string; sipStatus?: number };
}

export interface RpcResponse {
  jsonrpc: '2.0';
  id: number | null;
  result?: unknown;
  error?: RpcErrorObject;
}

export interface Notification {
  jsonrpc?: '2.0';
  method: string;
  params: { seq: number; callId?: string } & Record<string, unknown>;
}

/** A call in progress, as the gateway lists it after a resume. */
export interface CallSummary {
  callId: string;
  state: 'calling' | 'ringing' | 'earlyMedia' | 'incoming' | 'answered';
  direction: 'outgoing' | 'incoming';
  from: string;
  to: string;
  held: boolean;
  heldByRemote: boolean;
}

export interface SignInResult {
  token: string;
  user: string;
  displayName: string | null;
  expiresInMs: number;
  heartbeatMs: number;
  deadAfterMs: number;
  resumeWindowMs: number;
  iceServers: RTCIceServer[];
  calls: CallSummary[];
  /** Where this gateway is from now on, relative to the base URL. */
  path?: string;
}

/** Every method: what it takes and what it gives back. */
export interface Methods {
  'session.signIn': { params: { user: string; password: string }; result: SignInResult };
  'session.resume': { params: { token?: string; after: number }; result: SignInResult };
  'session.refresh': { params: Record<string, never>; result: { expiresInMs: number; iceServers: RTCIceServer[] } };
  'session.heartbeat': { params: { after?: number }; result: Record<string, never> };
  'session.signOut': { params: Record<string, never>; result: Record<string, never> };
  'call.create': { params: { to: string; sdp: string }; result: { callId: string; sdp: string } };
  'call.answer': { params: { callId: string; sdp: string }; result: Record<string, never> };
  'call.reject': { params: { callId: string; reason: RejectReason }; result: Record<string, never> };
  'call.hangup': { params: { callId: string }; result: Record<string, never> };
  'call.update': { params: { callId: string; sdp: string }; result: { sdp: string } };
  'call.candidate': {
    params: { callId: string; candidate: string; mid: string };
    result: Record<string, never>;
  };
  'call.hold': { params: { callId: string }; result: Record<string, never> };
  'call.resume': { params: { callId: string }; result: Record<string, never> };
  'call.dtmf': {
    params: { callId: string; digits: string; durationMs?: number; gapMs?: number };
    result: Record<string, never>;
  };
}

export type Method = keyof Methods;
export type RejectReason = 'busy' | 'declined';
export type HeldBy = 'local' | 'remote';

/** `call.stats`: what the gateway measures, every 5 s while the call is answered. */
export interface GatewayStats {
  roundTripMs?: number | null;
  /** Since the start of the call. */
  packetsLost?: number | null;
  /** Share of packets lost since the report before; null where none were expected. */
  lossPercent?: number | null;
  jitterMs?: number | null;
  codec?: string | null;
  farCodec?: string | null;
  transcoding?: boolean | null;
  /** Since the start of the call. */
  farPacketsLost?: number | null;
  farJitterMs?: number | null;
}

/** `call.ended`: why a call is over. */
export interface CallEnd {
  /** Stable word for programs: `hangup`, `busy`, `no_answer`, `unroutable` ... */
  reason: string;
  /** The same for people. */
  text: string;
  sipStatus?: number;
  q850Cause?: number;
  by: 'local' | 'remote' | 'gateway';
  durationMs?: number;
}
