/** The target of a row that does not count, as in PyTorch. */
export const ignoredTarget = -100;
