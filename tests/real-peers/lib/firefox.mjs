import puppeteer from 'puppeteer-core';

import { speech } from './audio.mjs';
import { Browser } from './browser.mjs';
import { firstExisting } from './paths.mjs';
import { pulseaudio } from './pulseaudio.mjs';

/**
 * Headless Firefox, driven by WebDriver BiDi. Its own fake microphone is a tone, so the probe puts the speech in its
 * place. With `stock` it treats addresses as it does for everybody. `trusted`: a certificate of `certificate()`.
 */
export async function firefox({ stock = false, trusted } = {}) {
  const { loop } = await speech();
  const preferences = {
    'media.navigator.permission.disabled': true,
    'media.navigator.streams.fake': true,
    'media.autoplay.default': 0,
    'media.autoplay.blocking_policy': 0,
    // 30 ms at a time: with the usual 10, Firefox wakes too late for some of them, so what it plays falls behind what it is sent.
    'media.cubeb_latency_mtg_frames': 1440,
  };
  if (!stock) {
    preferences['media.peerconnection.ice.loopback'] = true;
    preferences['media.peerconnection.ice.obfuscate_host_addresses'] = false;
  }
  const sound = await pulseaudio();
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: firstExisting('Firefox', process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'),
    headless: true,
    acceptInsecureCerts: Boolean(trusted),
    timeout: 60_000,
    env: { ...process.env, ...sound.environment },
    extraPrefsFirefox: preferences,
  });
  return new Browser('firefox', browser, { microphone: loop, sound });
}
