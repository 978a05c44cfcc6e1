// Three gateways, and a balancer with its sample configuration in front of them.
import { gateway } from '../../real-peers/lib/gateway.mjs';
import { start } from './start.mjs';

const NODES = ['gw1', 'gw2', 'gw3'];

/** Starts it all. `users`: passwords by name. `url`: the balancer's; `gateways`: by the names that the sample gives them. */
export async function rig(balancer, users) {
  const gateways = {};
  for (const node of NODES) gateways[node] = await gateway({ node, users, balancers: ['127.0.0.1'] });
  const places = Object.fromEntries(NODES.map((node, index) => [`10.0.0.1${index + 1}:8080`, new URL(gateways[node].url).host]));
  const started = await start(balancer, { samples: [balancer.sample], places });
  return {
    url: `https://127.0.0.1:${started.port}`,
    gateways,
    tail: started.tail,
    async stop() {
      await started.stop();
      for (const node of NODES) await gateways[node].stop();
    },
  };
}
