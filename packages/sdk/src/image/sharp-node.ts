import { EmuError } from '@emu/program';

export type Sharp = (typeof import('sharp'))['default'];

let loading: Promise<Sharp> | undefined;

/**
 * Loads sharp at the first use, so that everything that needs no picture works without its binary.
 * @throws EmuError CAPABILITY_MISSING if it cannot be loaded.
 */
export function loadSharp(): Promise<Sharp> {
  loading ??= import('sharp').then(
    (module) => module.default,
    (cause: unknown) => {
      loading = undefined;
      throw new EmuError('CAPABILITY_MISSING', '[image] the picture library sharp could not be loaded', {
        hint: 'Install it for this platform: npm install --include=optional sharp',
        cause,
      });
    },
  );
  return loading;
}
