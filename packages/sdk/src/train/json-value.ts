/** Plain data that survives JSON: what a position in the data is written as. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
