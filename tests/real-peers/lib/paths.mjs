// Where things are.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const harness = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const root = path.resolve(harness, '../..');
export const target = process.env.CARGO_TARGET_DIR ? path.resolve(process.env.CARGO_TARGET_DIR) : path.join(root, 'target');
export const python = path.join(target, 'venv/bin/python');

/** The first of these that exists. */
export function firstExisting(what, ...candidates) {
  const found = candidates.find((candidate) => candidate && existsSync(candidate));
  if (!found) throw new Error(`${what} is missing; looked at ${candidates.filter(Boolean).join(', ')}; \`make setup\` installs it`);
  return found;
}
