import { EmuError } from '@emu/program';
import { status as grpcStatus } from '@grpc/grpc-js';

/**
 * What grpc-js itself ends a call with, in our words: it knows of no details, and calls some faults of a request
 * internal ones.
 */
export function transportFailure(code: grpcStatus, details: string, maxRequestBytes: number): EmuError {
  if (details.startsWith('Sent message larger')) {
    return new EmuError('MESSAGE_TOO_LARGE', '[response] the answer is larger than one message may be', {
      hint: 'Ask for fewer pictures at a time, or for a smaller element type.',
    });
  }
  if (code === grpcStatus.RESOURCE_EXHAUSTED) {
    return new EmuError(
      'MESSAGE_TOO_LARGE',
      `[request] the message is larger than ${maxRequestBytes} bytes`,
      {
        hint: 'Upload large media with MediaService and name them in the request.',
        details: { maxRequestBytes },
      },
    );
  }
  if (code === grpcStatus.DEADLINE_EXCEEDED) return deadlineExceeded();
  if (code === grpcStatus.CANCELLED) return new EmuError('CANCELLED', '[call] the call was cancelled');
  if (/grpc-timeout/.test(details)) {
    return new EmuError('INVALID_OPTION', '[call] the deadline cannot be read', {
      hint: 'grpc-timeout is up to eight digits and one of H, M, S, m, u, n.',
    });
  }
  if (/unsupported encoding/.test(details)) {
    return new EmuError(
      'UNIMPLEMENTED',
      '[request] the message is compressed in a way that is not supported',
      {
        hint: 'Use identity, gzip or deflate.',
      },
    );
  }
  if (/decompress|deserializ|Received (a second|no) request|Incomplete/i.test(details)) {
    return garbled(details);
  }
  return new EmuError('INTERNAL', details);
}

/** The bytes of a request are not what the method takes. */
export function garbled(why: string, cause?: unknown): EmuError {
  return new EmuError('INVALID_OPTION', `[request] the message cannot be read: ${why}`, {
    hint: 'Build the request with code generated from proto/emu/v1.',
    details: { why },
    ...(cause === undefined ? {} : { cause }),
  });
}

export function deadlineExceeded(): EmuError {
  return new EmuError('DEADLINE_EXCEEDED', '[call] the deadline passed before the call was over', {
    hint: 'Give the call more time, or ask for fewer tokens or steps.',
  });
}
