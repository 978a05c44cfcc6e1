// A few at a time: each Helm takes a core for a tenth of a second.
const AT_ONCE = 4;

/** What `work` makes of each item, in order. */
export async function each(items, work) {
  const results = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const mine = next;
      next += 1;
      results[mine] = await work(items[mine]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}
