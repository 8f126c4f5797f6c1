import { create, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { anyPack, type Any } from '@bufbuild/protobuf/wkt';
import { EmuError, type EmuErrorCode } from '@emu/program';
import {
  BadRequestSchema,
  errorDomain,
  ErrorInfoSchema,
  RequestInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
  StatusSchema,
  type Status,
} from '@emu/proto';
import { Metadata, status as grpcStatus } from '@grpc/grpc-js';

import { generalHints } from './hints.js';

/** What grpc-js sends at the end of a call. */
export interface CallStatus {
  readonly code: grpcStatus;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Key of the trailer that carries a google.rpc.Status. */
export const detailsKey = 'grpc-status-details-bin';

// The trailer is base64 of this, and clients accept 8 KiB of headers in all, the message included.
const mostDetailBytes = 3 * 1024;
const mostMessageLength = 600;
const mostValueLength = 200;

/** Seconds after which a call that was refused for load may be tried again. */
const retrySeconds: Readonly<Partial<Record<EmuErrorCode, number>>> = {
  QUEUE_FULL: 1,
  RATE_LIMITED: 1,
  SERVER_DRAINING: 1,
  MODEL_NOT_READY: 1,
};

const resourceTypes: Readonly<Partial<Record<EmuErrorCode, string>>> = {
  MODEL_NOT_FOUND: 'emu.v1.Model',
  MEDIA_NOT_FOUND: 'emu.v1.Media',
  JOB_NOT_FOUND: 'emu.v1.TrainingJob',
};

/**
 * The google.rpc.Status of a failure: always ErrorInfo, whose metadata has the hint and every value of the message;
 * BadRequest where the field is known (`details.field`), ResourceInfo and RetryInfo where they fit. At most 3 KiB.
 * A failure that is nobody's input tells no more than the id under which the log has it.
 */
export function rpcStatus(failure: unknown, requestId = ''): Status {
  const error = shownError(EmuError.from(failure));
  const { field, resource, ...values } = error.details;
  const metadata = metadataOf(values, error.hint ?? generalHints[error.code]);
  const packed = [
    pack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: error.code, domain: errorDomain, metadata })),
  ];
  if (typeof field === 'string') {
    const violation = {
      field: shortened(field, mostValueLength),
      description: shortened(error.message, 400),
    };
    packed.push(pack(BadRequestSchema, create(BadRequestSchema, { fieldViolations: [violation] })));
  }
  const resourceType = resourceTypes[error.code];
  if (resourceType !== undefined && typeof resource === 'string') {
    const resourceName = shortened(resource, mostValueLength);
    packed.push(pack(ResourceInfoSchema, create(ResourceInfoSchema, { resourceType, resourceName })));
  }
  const seconds = retrySeconds[error.code];
  if (seconds !== undefined) {
    const retryDelay = { seconds: BigInt(seconds), nanos: 0 };
    packed.push(pack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  if (requestId !== '') packed.push(pack(RequestInfoSchema, create(RequestInfoSchema, { requestId })));
  const status = create(StatusSchema, {
    code: grpcStatus[error.status],
    message: shortened(error.message, mostMessageLength),
    details: packed,
  });
  while (toBinary(StatusSchema, status).length > mostDetailBytes && status.details.length > 1)
    status.details.pop();
  return status;
}

/** What ends a call for a failure. */
export function callStatus(failure: unknown, requestId = ''): CallStatus {
  const status = rpcStatus(failure, requestId);
  const metadata = new Metadata();
  metadata.set(detailsKey, Buffer.from(toBinary(StatusSchema, status)));
  return { code: grpcStatus[EmuError.from(failure).status], details: status.message, metadata };
}

function shownError(error: EmuError): EmuError {
  if (error.code !== 'INTERNAL' && error.code !== 'KERNEL_FAILURE') return error;
  return new EmuError(error.code, "[server] the call failed in a way that is not the caller's doing", {
    hint: "Report it with the request id; the server's log has the cause.",
  });
}

function metadataOf(values: Readonly<Record<string, unknown>>, hint: string): Record<string, string> {
  const metadata: Record<string, string> = { hint: shortened(hint, 400) };
  for (const [name, value] of Object.entries(values).slice(0, 6)) {
    if (value === undefined) continue;
    metadata[shortened(name, 63)] = shortened(
      typeof value === 'string' ? value : json(value),
      mostValueLength,
    );
  }
  return metadata;
}

function json(value: unknown): string {
  try {
    const text: unknown = JSON.stringify(value, (_, part: unknown) =>
      typeof part === 'bigint' ? part.toString() : part,
    );
    return typeof text === 'string' ? text : typeof value;
  } catch {
    return typeof value;
  }
}

/** Cut to a length, with no half of a character left: what encodes the message for the wire would throw. */
function shortened(text: string, length: number): string {
  const cut = text.length > length ? `${text.slice(0, length - 1)}…` : text;
  return cut.replace(/\p{Surrogate}/gu, '\ufffd');
}

function pack<D extends DescMessage>(schema: D, message: MessageShape<D>): Any {
  return anyPack(schema, message);
}
