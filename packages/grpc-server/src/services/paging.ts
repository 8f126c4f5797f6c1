import { badField } from '../convert/fields.js';

/** One page of a list. The token is the place to go on at. @throws EmuError INVALID_OPTION for a token of no page. */
export function pageOf<T>(
  list: readonly T[],
  { pageSize, pageToken }: { readonly pageSize: number; readonly pageToken: string },
): { readonly page: readonly T[]; readonly nextPageToken: string } {
  if (pageSize > 1000) throw badField('page_size', `must be 0..1000, got ${pageSize}`);
  const start = pageToken === '' ? 0 : Number(pageToken);
  if (!/^\d{0,9}$/.test(pageToken) || start > list.length) {
    throw badField('page_token', 'is not a next_page_token of an earlier page');
  }
  const end = start + (pageSize === 0 ? 50 : pageSize);
  return { page: list.slice(start, end), nextPageToken: end < list.length ? String(end) : '' };
}
