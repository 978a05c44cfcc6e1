import puppeteer from 'puppeteer-core';

import { speech } from './audio.mjs';
import { Browser } from './browser.mjs';
import { firstExisting } from './paths.mjs';

/**
 * Headless Chromium whose microphone is the speech file. With `stock` it treats addresses as it does for everybody: no
 * loopback candidates, host candidates hidden behind mDNS names. `trusted`: a certificate of `certificate()`.
 */
export async function chromium({ stock = false, trusted } = {}) {
  const { loop } = await speech();
  const args = [
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream',
    `--use-file-for-fake-audio-capture=${loop}`,
    '--autoplay-policy=no-user-gesture-required',
    '--disable-background-timer-throttling',
    '--disable-renderer-backgrounding',
    '--disable-backgrounding-occluded-windows',
  ];
  if (process.getuid() === 0) args.push('--no-sandbox');
  if (!stock) args.push('--allow-loopback-in-peer-connection', '--disable-features=WebRtcHideLocalIpsWithMdns');
  if (trusted) args.push(`--ignore-certificate-errors-spki-list=${trusted.spki}`);
  const browser = await puppeteer.launch({
    executablePath: firstExisting('Chromium', process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/google-chrome'),
    headless: true,
    timeout: 60_000,
    args,
  });
  return new Browser('chromium', browser);
}
