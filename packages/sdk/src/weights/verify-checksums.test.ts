import { describe, expect, it } from 'vitest';

import { bytesAccess } from './random-access.js';
import { pickledDict, torchFile, zipFile } from './torch-file-builder.js';
import { verifyTorchChecksums } from './verify-checksums.js';

describe('verifyTorchChecksums', () => {
  const data = Uint8Array.from({ length: 4096 }, (_, i) => i % 251);
  const good = torchFile(pickledDict({ w: { shape: [1024] } }), { '0': data });

  it('reads every byte once', async () => {
    const progress: [number, number][] = [];
    const result = await verifyTorchChecksums(bytesAccess(good), 'x.pt', {
      onProgress: (completed, total) => progress.push([completed, total]),
    });
    expect(result).toEqual({ checked: 4, unchecked: 0 });
    const [completed, total] = progress.at(-1) ?? [];
    expect(completed).toBe(total);
  });

  it('names the member whose bit flipped', async () => {
    const bad = good.slice();
    const at = bad.findIndex((byte, i) => byte === 7 && bad[i + 1] === 8 && bad[i + 2] === 9);
    bad[at] = 6;
    const attempt = verifyTorchChecksums(bytesAccess(bad), 'x.pt');
    await expect(attempt).rejects.toMatchObject({
      code: 'CHECKPOINT_CORRUPT',
      details: { damaged: ['archive/data/0'] },
    });
    await expect(attempt).rejects.toThrow('1 of 4 members do not have the checksum written for them');
  });

  it('counts members without a checksum', async () => {
    const bytes = zipFile([{ name: 'a/data.pkl', data, checksum: 0 }]);
    expect(await verifyTorchChecksums(bytesAccess(bytes), 'x.pt')).toEqual({ checked: 0, unchecked: 1 });
  });
});
