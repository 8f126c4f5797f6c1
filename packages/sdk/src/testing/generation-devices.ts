import { testBackends } from './backends.js';
import { devices, type Device } from '../node-device.js';

/** The devices that tests of the whole SDK run on: those whose backend is built. */
export const testDevices: readonly Device[] = devices.filter((device) =>
  testBackends.some(({ name }) => name === device),
);
/** The fastest of them. */
export const fastDevice: Device = testDevices.includes('cpu') ? 'cpu' : 'reference';
