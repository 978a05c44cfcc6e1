// A client of the gateway without a browser: JSON-RPC over HTTP (docs/signaling.md).
import { USERS } from '../../real-peers/lib/gateway.mjs';

let requests = 0;

/** One request; fails where the answer is an error. */
async function request(url, method, params, token) {
  const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
  requests += 1;
  const body = JSON.stringify({ jsonrpc: '2.0', id: requests, method, params });
  const response = await fetch(`${url}/v1/rpc`, { method: 'POST', headers, body, signal: AbortSignal.timeout(5_000) });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

/** Signs a user in: `request(method, params)` sends more, with its token. */
export async function signIn(url, user, password = USERS[user]) {
  const { token } = await request(url, 'session.signIn', { user, password });
  return { request: (method, params) => request(url, method, params, token) };
}
