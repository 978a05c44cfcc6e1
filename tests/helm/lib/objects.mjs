// Finding things in rendered objects.
import assert from 'node:assert/strict';

/** The one object of this kind and name. */
export function object(objects, kind, name) {
  const found = objects.filter((each) => each.kind === kind && each.metadata.name === name);
  assert.equal(found.length, 1, `one ${kind} ${name} among ${names(objects).join(', ')}`);
  return found[0];
}

export const names = (objects) => objects.map((each) => `${each.kind}/${each.metadata.name}`).sort();

export const container = (deployment) => deployment.spec.template.spec.containers[0];

/** A container's environment: texts, and where others come from. */
export function environment(deployment) {
  return Object.fromEntries((container(deployment).env ?? []).map(({ name, value, valueFrom }) => [name, value ?? valueFrom]));
}
