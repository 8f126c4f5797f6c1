import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  GetUploadResponseSchema,
  MediaService,
  UploadMediaResponseSchema,
  type UploadMediaRequest,
  type UploadMediaResponse,
} from '@emu/proto';

import { badField } from '../convert/fields.js';
import { clientStreaming, unary, type Incoming, type Route } from '../wire/routes.js';
import type { UploadWriter } from './media-store.js';
import type { ServiceContext } from './service-context.js';

const mostChunkBytes = 256 * 1024;

/** Routes of MediaService. */
export function mediaRoutes(context: ServiceContext): readonly Route[] {
  const { uploadMedia, getUpload } = MediaService.method;
  return [
    clientStreaming(uploadMedia, (requests, call) => upload(context, requests, call)),
    unary(getUpload, ({ uploadId }, { caller }) => {
      const { received, name } = context.media.progress(caller.name, uploadId);
      return create(GetUploadResponseSchema, { receivedBytes: BigInt(received), name });
    }),
  ];
}

async function upload(
  { media }: ServiceContext,
  requests: AsyncIterable<UploadMediaRequest>,
  { caller, signal }: Incoming,
): Promise<UploadMediaResponse> {
  let writer: UploadWriter | undefined;
  try {
    for await (const { data } of requests) {
      signal.throwIfAborted();
      if (data.case === 'start') {
        if (writer !== undefined) throw badField('start', 'may be sent once, as the first message');
        const { uploadId, sizeBytes, sha256, offset } = data.value;
        const start = { uploadId, size: Number(sizeBytes), sha256, offset: Number(offset) };
        writer = await media.begin(caller.name, start);
      } else if (data.case === 'chunk') {
        if (writer === undefined) throw badField('start', 'must be the first message');
        if (data.value.length > mostChunkBytes) {
          throw badField('chunk', `has ${data.value.length} bytes, at most ${mostChunkBytes} are accepted`, {
            code: 'MESSAGE_TOO_LARGE',
            hint: 'Send smaller chunks.',
          });
        }
        await writer.append(data.value);
      } else throw badField('data', 'holds neither start nor chunk');
    }
    if (writer === undefined) throw badField('start', 'must be the first message');
    const { name, expiresAt } = await writer.complete();
    return create(UploadMediaResponseSchema, { name, expireTime: timestampFromMs(expiresAt) });
  } finally {
    await writer?.close();
  }
}
