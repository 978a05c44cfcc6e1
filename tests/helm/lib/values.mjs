// Values as nested objects, and their options as paths with dots.

/** { 'a.b': 1 } as { a: { b: 1 } }. */
export function nested(options) {
  return Object.entries(options).reduce((values, [option, value]) => {
    const path = option.split('.');
    return merge(values, path.reduceRight((inner, key) => ({ [key]: inner }), value));
  }, {});
}

const isMap = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The second over the first, map by map. */
export function merge(below, above) {
  if (!isMap(below) || !isMap(above)) return above;
  const keys = new Set([...Object.keys(below), ...Object.keys(above)]);
  return Object.fromEntries([...keys].map((key) => [key, key in above ? merge(below[key], above[key]) : below[key]]));
}
