// A network namespace behind a veth pair: a machine of its own for phones that don't work on loopback.
import { run } from './process.mjs';

let count = 0;

/** Makes one: `{ name, host, address, command(...), remove() }`, our address and the one inside. Needs root. */
export async function namespace() {
  count += 1;
  const id = `${process.pid % 10_000}-${count}`;
  const name = `peers-${id}`;
  const subnet = `10.213.${process.pid % 250}.${count * 4}`.split('.');
  const at = (offset) => [...subnet.slice(0, 3), Number(subnet[3]) + offset].join('.');
  const [outside, inside] = [`vo${id}`, `vi${id}`];
  const ip = (...args) => run('ip', args);
  const remove = async () => {
    for (const pid of (await ip('netns', 'pids', name).catch(() => '')).split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // gone already
      }
    }
    await ip('link', 'del', outside).catch(() => {});
    await ip('netns', 'del', name).catch(() => {});
  };
  try {
    await ip('netns', 'add', name);
    await ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
    await ip('addr', 'add', `${at(1)}/30`, 'dev', outside);
    await ip('link', 'set', outside, 'up');
    for (const args of [['addr', 'add', `${at(2)}/30`, 'dev', inside], ['link', 'set', inside, 'up'], ['link', 'set', 'lo', 'up'], ['route', 'add', 'default', 'via', at(1)]]) {
      await ip('-n', name, ...args);
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return { name, host: at(1), address: at(2), command: (...args) => ['ip', ['netns', 'exec', name, ...args]], remove };
}
