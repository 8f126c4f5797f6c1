import { Document, isMap, isScalar, isSeq, type Node } from 'yaml';

import type { RecipePath } from './recipe-source.js';

/** The recipe as YAML, each value with a comment that says where it comes from. */
export function resolvedText(
  recipe: Readonly<Record<string, unknown>>,
  originOf: (path: RecipePath) => string,
): string {
  const document = new Document(recipe);
  if (document.contents !== null) addOrigins(document.contents, [], originOf);
  document.commentBefore = ' The recipe as it was resolved; behind each value is where it comes from.';
  return document.toString({ lineWidth: 0 });
}

function addOrigins(node: Node, path: RecipePath, originOf: (path: RecipePath) => string): void {
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      if (isScalar(key) && value !== null) addOrigins(value as Node, [...path, String(key.value)], originOf);
    }
  } else if (isSeq(node) && node.items.length > 0) {
    node.items.forEach((item, index) => {
      addOrigins(item as Node, [...path, index], originOf);
    });
  } else {
    // An empty list, [], stays on the line of its key.
    if (isSeq(node)) node.flow = true;
    node.comment = ` ${originOf(path)}`;
  }
}
