// A certificate for `localhost`.
import crypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { run, temporaryFolder } from './process.mjs';

/** Makes one: `{ certificate, key, spki }`, PEM files, and the hash of the public key by which Chromium is told to trust it. */
export async function certificate() {
  const folder = temporaryFolder('certificate');
  const [file, key] = [path.join(folder, 'tls.crt'), path.join(folder, 'tls.key')];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await run('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', file, '-days', '2', ...names]);
  const { publicKey } = new crypto.X509Certificate(readFileSync(file));
  const spki = crypto.createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  return { certificate: file, key, spki };
}
