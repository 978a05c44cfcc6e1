// The browser SDK as it is, and the pretended WebRTC of its own tests, bundled for Node.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { root } from '../../real-peers/lib/paths.mjs';
import { temporaryFolder } from '../../real-peers/lib/process.mjs';

const webphone = path.join(root, 'webphone');
const { build } = await import(pathToFileURL(path.join(webphone, 'node_modules/esbuild/lib/main.js')));
const file = path.join(temporaryFolder('sdk'), 'sdk.mjs');
await build({
  stdin: {
    contents: `
      export * from './src/sdk/index';
      export * from './src/sdk/polling';
      export * from './src/sdk/websocket';
      export * from './test/fake-media';`,
    resolveDir: webphone,
  },
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: ['node18'],
  outfile: file,
  logLevel: 'warning',
});

export const { GatewayClient, PollingTransport, WebSocketTransport, FakePeerConnection, FakeStream } = await import(pathToFileURL(file));
