/** Names of the session states that belong to a trained parameter; the parameter's own state has its name. */
export const moment1Name = (parameter: string): string => `moment1.${parameter}`;
export const moment2Name = (parameter: string): string => `moment2.${parameter}`;
export const averageName = (parameter: string): string => `ema.${parameter}`;
