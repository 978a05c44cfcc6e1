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
  if (!found) throw new Error(`${what} is missing; looked at ${candidates.filter(Boolean).join(', ')}; \`make real-peers\` installs and builds it`);
  return found;
}

/** A program of ours: the file that the environment names, or what was built. */
export function program(name, file) {
  return firstExisting(name, file, path.join(target, 'checked', name), path.join(target, 'debug', name));
}
