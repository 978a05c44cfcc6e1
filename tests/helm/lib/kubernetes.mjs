// What Kubernetes takes: its own kinds by its schemas, others by the keys that they have.
import path from 'node:path';

import { customProblems, isCustom } from './custom-kinds.mjs';
import { folder, python } from './paths.mjs';
import { run } from './process.mjs';

/** From the oldest version that charts are for to the newest that the schemas are there for. */
export const VERSIONS = ['1.28', '1.29', '1.30', '1.31', '1.32', '1.33', '1.34', '1.35', '1.36', '1.37'];

/** What is wrong with `{ version: objects }`, as texts. */
export async function problems(byVersion) {
  const custom = distinct(Object.values(byVersion).flat().filter(isCustom)).flatMap(customProblems);
  const asked = Object.fromEntries(Object.entries(byVersion).map(([version, objects]) => [version, distinct(objects.filter((each) => !isCustom(each)))]));
  const { stdout, stderr, status } = await run(python, [path.join(folder, 'lib/validate.py')], { input: JSON.stringify(asked) });
  if (status !== 0) throw new Error(`validate.py: ${stderr}`);
  return [...custom, ...JSON.parse(stdout)];
}

const distinct = (objects) => [...new Map(objects.map((each) => [JSON.stringify(each), each])).values()];
