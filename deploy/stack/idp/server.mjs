// Entry point. Everything comes from environment variables set by deploy/stack/idp.sh:
// IDP_PORT, IDP_CONTROL_PORT and IDP_FOLDER, where passwords.json, client_secret, control_token and
// cookie_secret are, and where the signing keys are kept.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { controlServer } from './control.mjs';
import { Directory } from './directory.mjs';
import { readBody, sendPage } from './http.mjs';
import { SigningKeys } from './keys.mjs';
import { errorPage, loginPage } from './pages.mjs';
import { makeProvider } from './provider.mjs';
import { sweep } from './storage.mjs';

const folder = process.env.IDP_FOLDER;
const port = Number(process.env.IDP_PORT);
const controlPort = Number(process.env.IDP_CONTROL_PORT);
const read = (name) => fs.readFileSync(path.join(folder, name), 'utf8').trim();

const description = JSON.parse(fs.readFileSync(new URL('./directory.json', import.meta.url), 'utf8'));
const passwords = JSON.parse(read('passwords.json'));
const issuer = `http://127.0.0.1:${port}/${description.tenant_id}/v2.0`;
const prefix = new URL(issuer).pathname;
const keys = new SigningKeys(path.join(folder, 'keys.json'));

// The library asks Date.now for the times in its tokens; a skew moves them all together. The
// expiry of what is stored is measured by a clock that the skew does not move (storage.mjs).
const trueNow = Date.now.bind(Date);
let skewMilliseconds = 0;
Date.now = () => trueNow() + skewMilliseconds;

const world = {
  directory: new Directory(description, passwords),
  setSkew(seconds) {
    skewMilliseconds = Math.round(seconds * 1000);
  },
  rotateKeys(retire) {
    const ids = keys.rotate(retire);
    rebuild();
    return ids;
  },
  reset() {
    world.directory = new Directory(description, passwords);
    world.setSkew(0);
    rebuild();
  },
};

let provider;
let callback;
function rebuild() {
  provider = makeProvider({
    issuer,
    prefix,
    directory: world.directory,
    clientSecret: read('client_secret'),
    keys: keys.all(),
    cookieSecret: read('cookie_secret'),
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  callback = provider.callback();
}
rebuild();

async function interaction(request, response) {
  const details = await provider.interactionDetails(request, response);
  const form = { action: request.originalUrl, client: 'OpenPAM' };
  if (request.method !== 'POST') return sendPage(response, 200, loginPage({ ...form, login: details.params.login_hint }));
  const fields = new URLSearchParams(await readBody(request));
  const login = fields.get('login') ?? '';
  const user = world.directory.authenticate(login, fields.get('password') ?? '');
  if (!user) return sendPage(response, 401, loginPage({ ...form, login, failed: true }));
  return provider.interactionFinished(request, response, { login: { accountId: user.subject } });
}

const server = http.createServer((request, response) => {
  // The issuer has a path, as in Entra ID: the library finds its mount point from originalUrl.
  request.originalUrl = request.url;
  if (request.url.startsWith(prefix)) request.url = request.url.slice(prefix.length) || '/';
  if (request.url.startsWith('/interaction/')) {
    interaction(request, response).catch((error) => {
      sendPage(response, 400, errorPage({ error: error.name, error_description: error.message }));
    });
    return;
  }
  callback(request, response);
});
const control = controlServer(read('control_token'), world);

setInterval(sweep, 60_000).unref();
server.listen(port, '127.0.0.1', () => console.log(`issuer ${issuer}`));
control.listen(controlPort, '127.0.0.1');
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const each of [server, control]) {
      each.close();
      each.closeAllConnections();
    }
  });
}
