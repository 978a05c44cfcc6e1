export { Call, type CallEvents, type CallParties, type CallState } from './call';
export {
  GatewayClient,
  type ClientEvents,
  type ClientOptions,
  type ClientState,
  type SignedOut,
} from './client';
export { systemClock, type Clock } from './clock';
export { GatewayError, LinkError, MediaError, reasonOf, type LinkReason, type MediaReason } from './errors';
export { defaultAudioConstraints, rawAudioConstraints, type GetUserMedia } from './media';
export type { MediaState } from './peer-link';
export type {
  CallEnd,
  CallSummary,
  GatewayStats,
  HeldBy,
  Method,
  Methods,
  Notification,
  RejectReason,
  SignInResult,
} from './protocol';
export type { CallQuality } from './quality';
export type { Transport, TransportFactory, TransportHandlers, TransportKind } from './transport';
