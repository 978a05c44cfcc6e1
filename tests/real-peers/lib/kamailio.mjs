// Kamailio as registrar and proxy with digest authentication, its users in a list, no database.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { freePort } from './ports.mjs';
import { ChildProcess, run, temporaryFolder, until } from './process.mjs';

const DOMAIN = 'phones.example.com';

const routing = (users) => `
request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
  if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
  if (has_totag()) {
    if (loose_route()) { t_relay(); exit; }
    if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
    sl_send_reply("404", "Not here");
    exit;
  }
  t_check_trans();
  if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
  if (is_method("REGISTER")) {
    route(AUTHENTICATE_WWW);
    if (!save("location")) { sl_reply_error(); exit; }
    if (registered("location", "$tu")) { xlog("L_WARN", "+++ $tU is registered\n"); } else { xlog("L_WARN", "--- $tU is gone\n"); }
    exit;
  }
  route(AUTHENTICATE_PROXY);
  consume_credentials();
  if (is_method("INVITE")) { record_route(); }
  if (!lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
  t_relay();
}

# Looks up the password of the user who claims to be there.
route[PASSWORD] {
  $var(password) = "";
${users.map(([user, password]) => `  if ($au == "${user}") { $var(password) = "${password}"; }`).join('\n')}
}

route[AUTHENTICATE_WWW] {
  route(PASSWORD);
  if ($var(password) == "" || !pv_www_authenticate("${DOMAIN}", "$var(password)", "0")) { www_challenge("${DOMAIN}", "1"); exit; }
  if ($au != $tU) { sl_send_reply("403", "Not your number"); exit; }
}

route[AUTHENTICATE_PROXY] {
  route(PASSWORD);
  if ($var(password) == "" || !pv_proxy_authenticate("${DOMAIN}", "$var(password)", "0")) { proxy_challenge("${DOMAIN}", "1"); exit; }
  if ($au != $fU) { sl_send_reply("403", "Not your number"); exit; }
}
`;

/** Starts it on UDP and TCP. `users`: an object of passwords by user name. */
export async function kamailio(users, { host = '127.0.0.1' } = {}) {
  const port = await freePort();
  const folder = temporaryFolder('kamailio');
  const file = path.join(folder, 'kamailio.cfg');
  writeFileSync(
    file,
    `#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children=2
tcp_children=2
auto_aliases=no
alias="${DOMAIN}"
listen=udp:${host}:${port}
listen=tcp:${host}:${port}
tcp_connection_lifetime=300
${['jsonrpcs', 'kex', 'tm', 'tmx', 'sl', 'rr', 'pv', 'maxfwd', 'textops', 'siputils', 'usrloc', 'registrar', 'auth', 'xlog'].map((name) => `loadmodule "${name}.so"`).join('\n')}
modparam("jsonrpcs", "transport", 2)
modparam("jsonrpcs", "fifo_name", "${folder}/rpc.fifo")
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 3600)
modparam("rr", "append_fromtag", 1)
${routing(Object.entries(users))}`,
  );
  const child = new ChildProcess('kamailio', 'kamailio', ['-DD', '-f', file, '-Y', folder, '-P', path.join(folder, 'pid'), '-m', '64', '-M', '8']);
  const address = `${host}:${port}`;
  try {
    await until('kamailio to answer', 15_000, async () => {
      if (child.result) throw new Error(`kamailio ended:\n${child.tail()}`);
      return run('sipp', [address, '-sf', ping(folder), '-m', '1', '-nostdin', '-i', host, '-timeout', '2s', '-timeout_error']).then(
        () => true,
        () => false,
      );
    });
  } catch (error) {
    await child.stop('SIGKILL');
    throw new Error(`${error.message}\n${child.tail()}`);
  }
  const says = (user, words, timeoutMs = 10_000) =>
    until(`${user} to be ${words}`, timeoutMs, () => child.output.match(new RegExp(`.*[+-]{3} ${user} is .*`, 'g'))?.at(-1).includes(words)).catch(
      (error) => {
        throw new Error(`${error.message}\n${child.tail()}`);
      },
    );
  return {
    port,
    address,
    domain: DOMAIN,
    /** Waits until the latest REGISTER of a user that was taken left a contact behind, or none. */
    registered: (user) => says(user, 'registered'),
    unregistered: (user) => says(user, 'gone'),
    tail: () => child.tail(),
    stop: () => child.stop('SIGTERM'),
  };
}

function ping(folder) {
  const file = path.join(folder, 'options.xml');
  const request = `OPTIONS sip:[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: <sip:ping@[local_ip]>;tag=[call_number]
To: <sip:[remote_ip]>
Call-ID: [call_id]
CSeq: 1 OPTIONS
Max-Forwards: 70
Content-Length: 0`;
  writeFileSync(
    file,
    `<?xml version="1.0" encoding="ISO-8859-1"?>\n<scenario name="ping">\n<send><![CDATA[\n\n${request}\n\n]]></send>\n<recv response="200"/>\n</scenario>\n`,
  );
  return file;
}
