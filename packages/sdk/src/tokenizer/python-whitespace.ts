/*
 * The white space of Python's str.strip(), which the authors' tokenizer applies. JavaScript's trim() differs: it
 * takes U+FEFF and leaves U+001C..U+001F and U+0085.
 */
const whitespace = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const isSpace = new RegExp(`[${whitespace}]`);

/** Python's `text.lstrip()`. */
export function stripStart(text: string): string {
  let start = 0;
  while (start < text.length && isSpace.test(text.charAt(start))) start += 1;
  return text.slice(start);
}

/** Python's `text.rstrip()`. Backwards by hand: an anchored pattern is quadratic on long runs of spaces. */
export function stripEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace.test(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}
