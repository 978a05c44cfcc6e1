// Three gateways, and a balancer with its sample configuration in front of them.
import { gateway } from '../../real-peers/lib/gateway.mjs';
import { start } from './start.mjs';

const NODES = ['gw1', 'gw2', 'gw3'];

/** Starts it all. `users`: passwords by name. `url`: the balancer's; `gateways`: by the names that the sample gives them. */
export async function rig(balancer, users) {
  const three = await threeGateways(users);
  const started = await start(balancer, { samples: [balancer.sample], places: three.places });
  return {
    url: `https://127.0.0.1:${started.port}`,
    gateways: three.gateways,
    tail: started.tail,
    async stop() {
      await started.stop();
      await three.stop();
    },
  };
}

/** Those that the samples name. `gateways`: by these names; `places`: where they are, by what the samples say. */
export async function threeGateways(users) {
  const gateways = {};
  for (const node of NODES) gateways[node] = await gateway({ node, users, balancers: ['127.0.0.1'] });
  const places = Object.fromEntries(NODES.map((node, index) => [`10.0.0.1${index + 1}:8080`, new URL(gateways[node].url).host]));
  return {
    gateways,
    places,
    async stop() {
      for (const node of NODES) await gateways[node].stop();
    },
  };
}
