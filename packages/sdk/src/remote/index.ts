/* A model on a server, with the verbs and events of the local one. */
export type { ServerAddress } from './address.js';
export { RemoteEmu } from './remote-emu.js';
export type { ConnectOptions } from './remote-emu.js';
export type { TlsOptions } from './transport.js';
