import type { EmuErrorCode } from '@emu/program';

const field =
  'Change the field that BadRequest or the message names, or leave it out for its default; proto/emu/v1 tells';

/**
 * What to do about a failure whose place knows nothing better. There is one for every code, so that no caller is left
 * with a refusal alone.
 */
export const generalHints: Readonly<Record<EmuErrorCode, string>> = {
  INVALID_OPTION: `${field} what each accepts.`,
  INVALID_PROMPT: `${field} what a request must hold.`,
  INVALID_CONFIG: 'Correct the configuration where the message says.',
  CONTEXT_LENGTH_EXCEEDED: 'Shorten the text, use fewer pictures, or lower max_new_tokens.',
  INVALID_IMAGE: 'Send a whole PNG, JPEG, WebP, GIF or AVIF file.',
  INVALID_VIDEO: 'Send a whole file that ffmpeg reads.',
  IMAGE_TOO_LARGE: 'Send a smaller picture; GetServerInfo tells the limits.',
  TENSOR_SHAPE_MISMATCH:
    'Send as many bytes as shape and data_type say, in the shape that the message names.',
  EMBEDDING_SPACE_MISMATCH: 'Encode the picture with the model that is to read the embeddings.',
  MODEL_NOT_FOUND: 'ListModels tells the names of the models.',
  MEDIA_NOT_FOUND: 'Upload the file with MediaService, with the same key, and use the name it returns.',
  JOB_NOT_FOUND: 'ListTrainingJobs tells the names of the jobs.',
  DATA_CORRUPT: 'Ask whoever runs the server to repair the shard that the message names.',
  CHECKPOINT_CORRUPT: 'Ask whoever runs the server to fetch the model again.',
  CHECKPOINT_UNSAFE:
    'Ask whoever runs the server to convert the model to safetensors from a source that they trust.',
  MODEL_DISPOSED: 'Send the request to another server.',
  MODEL_NOT_READY: 'Wait until grpc.health.v1.Health says SERVING.',
  CAPABILITY_MISSING: 'Use a model that can do it; GetModel tells what each can.',
  NATIVE_UNAVAILABLE: 'Ask whoever runs the server to run `emu doctor` there.',
  DEVICE_UNAVAILABLE: 'Ask whoever runs the server to run `emu doctor` there.',
  OUT_OF_MEMORY: 'Ask for less at a time: a shorter prompt, fewer beams, a smaller picture.',
  QUEUE_FULL: 'Try again after the delay in RetryInfo.',
  MESSAGE_TOO_LARGE: 'Send less in one message; large media go through MediaService.',
  RATE_LIMITED: 'Try again after the delay in RetryInfo.',
  UNAUTHENTICATED: 'Send `authorization: Bearer KEY` with a key of this server.',
  PERMISSION_DENIED: 'Use a key that has the scope.',
  SERVER_DRAINING: 'Send the request to another server, or again after the delay in RetryInfo.',
  SERVER_UNREACHABLE: 'Check the address, and that the server runs.',
  REQUEST_CONFLICT: 'Draw a new UUID for each request.',
  CURSOR_EXPIRED: 'Send the request again.',
  NON_FINITE: 'Send finite numbers, of the size that the model itself makes.',
  DEADLINE_EXCEEDED: 'Give the call more time, or ask for fewer tokens or steps.',
  CANCELLED: 'Send the request again if its result is still wanted.',
  UNIMPLEMENTED: 'Use what proto/emu/v1 describes; reflection tells what this server has.',
  KERNEL_FAILURE: "Report it with the request id; the server's log has the cause.",
  INTERNAL: "Report it with the request id; the server's log has the cause.",
};
