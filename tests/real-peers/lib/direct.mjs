// A call from page to page with no gateway between: the yardstick for what the browsers and Opus do to speech.
import http from 'node:http';

import { until } from './process.mjs';

/** An empty page on loopback, which browsers take for a secure context. */
export async function emptyPage() {
  const server = http.createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>empty</title>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** Connects two pages. Their microphones reach each other when this returns. */
export async function directCall(caller, callee) {
  for (const page of [caller, callee]) {
    await page.evaluate(async () => {
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const microphone = await navigator.mediaDevices.getUserMedia({ audio: plain });
      window.connection = new RTCPeerConnection();
      for (const track of microphone.getTracks()) window.connection.addTrack(track, microphone);
    });
  }
  const describe = (page, remote) =>
    page.evaluate(async (description) => {
      const { connection } = window;
      if (description) await connection.setRemoteDescription(description);
      await connection.setLocalDescription();
      while (connection.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 20));
      return connection.localDescription.toJSON();
    }, remote);
  const offer = await describe(caller);
  const answer = await describe(callee, offer);
  await caller.evaluate((description) => window.connection.setRemoteDescription(description), answer);
  for (const page of [caller, callee]) {
    await until('a direct connection', 15_000, () => page.evaluate(() => window.connection.connectionState === 'connected'));
  }
}
