import type { z } from 'zod';

/** The parts of a schema's definition that lead to the schemas inside it. */
interface SchemaDefinition {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly valueType?: z.ZodType;
  /** What the keys of a record are. */
  readonly keyType?: z.ZodType;
  /** The words of an enumeration. */
  readonly entries?: Readonly<Record<string, string>>;
  readonly options?: readonly z.ZodType[];
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly in?: z.ZodType;
}

/** The keys that a schema takes at a place, for suggesting the nearest; none where it takes no object. */
export function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  const definition: SchemaDefinition = schema.def;
  const { type, innerType, element, valueType, options, shape } = definition;
  if (innerType !== undefined) return knownKeys(innerType, path);
  if (definition.in !== undefined) return knownKeys(definition.in, path);
  if (options !== undefined) return [...new Set(options.flatMap((option) => knownKeys(option, path)))];
  const [key, ...rest] = path;
  if (type === 'object' && shape !== undefined) {
    if (key === undefined) return Object.keys(shape);
    const inner = shape[String(key)];
    return inner === undefined ? [] : knownKeys(inner, rest);
  }
  if (key === undefined) return Object.values(keysOf(definition));
  const inside = element ?? valueType;
  return inside === undefined ? [] : knownKeys(inside, rest);
}

function keysOf({ keyType }: SchemaDefinition): Readonly<Record<string, string>> {
  const definition: SchemaDefinition | undefined = keyType?.def;
  return definition?.entries ?? {};
}
