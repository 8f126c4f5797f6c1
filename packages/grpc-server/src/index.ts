/* A gRPC service of Emu models: `createServer`, its options, and what its failures look like on the wire. */
export { createServer, type DrainOptions, type EmuServer, type ServerOptions } from './create-server.js';
export { checkBind, isLoopback } from './access/addresses.js';
export { scopes, type Scope } from './access/caller.js';
export type { TlsOptions } from './access/transport-security.js';
export { defaultLimits, type Limits } from './limits.js';
export { logLevels, type LogLevel } from './observe/log.js';
export type { TrainingOptions } from './training/training-jobs.js';
export { callStatus, detailsKey, rpcStatus, type CallStatus } from './wire/status.js';
