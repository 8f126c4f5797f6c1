// A list of named checks that are run one after the other and end with one line, "N passed, N failed".

/** Thrown by a check to say that it does not apply here; the reason is printed. */
export class Skip extends Error {}

/**
 * Runs checks; a check fails by throwing. Prints one line each, then the count, and sets the exit status.
 * @param {{ name: string, run: () => unknown }[]} checks
 */
export async function runChecks(checks) {
  let [passed, failed, skipped] = [0, 0, 0];
  for (const { name, run } of checks) {
    try {
      await run();
      passed += 1;
      console.log(`ok      ${name}`);
    } catch (error) {
      if (error instanceof Skip) {
        skipped += 1;
        console.log(`skipped ${name}: ${error.message}`);
        continue;
      }
      failed += 1;
      console.log(`FAILED  ${name}\n${indented(error.message)}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  if (failed > 0 || passed === 0) process.exitCode = 1;
}

function indented(text) {
  return text.replace(/^/gm, '    ');
}
