import { pino, type Logger } from 'pino';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** JSON lines on stderr. Prompts, pictures and keys are not logged; were a field of theirs passed, it would be blotted. */
export function serverLog(level: LogLevel): Logger {
  return pino(
    {
      level,
      base: { service: 'emu' },
      redact: {
        paths: [
          'prompt',
          'text',
          'request',
          'metadata',
          'authorization',
          '*.prompt',
          '*.text',
          '*.authorization',
          'err.details.value',
        ],
        censor: '[redacted]',
      },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
