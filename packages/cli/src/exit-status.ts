import type { Command } from 'commander';

const statuses = new WeakMap<Command, number>();

/** Lets an action that did its work end with another status than 0, for checks that found something. */
export function endWith(command: Command, status: number): void {
  statuses.set(command, status);
}

export function exitStatusOf(command: Command): number {
  return statuses.get(command) ?? 0;
}
