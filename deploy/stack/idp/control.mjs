// The control listener: lets a test change what the provider says, as an administrator of the
// directory or an unkind world would. Loopback only, and only with the token.
//
//   GET   /users                      all users
//   PATCH /users/NAME                 {"groups": [name or GUID], "claim": "groups|absent|overage", "enabled": bool}
//   POST  /keys/rotate                {"retire": bool}  sign with a new key; retire: unpublish the old
//   PUT   /clock                      {"skew_seconds": number}  issued tokens are that far off
//   GET   /tokens                     what was given out, for whoever looks for it where it must not be
//   POST  /reset                      back to directory.json, clock right
import { createHash, timingSafeEqual } from 'node:crypto';
import http from 'node:http';
import { readBody, sendJson } from './http.mjs';
import { issued } from './storage.mjs';

const digest = (text) => createHash('sha256').update(text).digest();

/** `world` has `directory`, `rotateKeys(retire)`, `setSkew(seconds)` and `reset()`. */
export function controlServer(token, world) {
  const expected = digest(`Bearer ${token}`);

  async function answer(request, response) {
    if (!timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) {
      return sendJson(response, 401, { error: 'the control token is missing or wrong' });
    }
    const text = await readBody(request);
    const body = text ? JSON.parse(text) : {};
    const [, area, name] = new URL(request.url, 'http://control').pathname.split('/');
    switch (`${request.method} ${area}${name ? '/*' : ''}`) {
      case 'GET users':
        return sendJson(response, 200, { users: world.directory.describeAll() });
      case 'PATCH users/*':
        return sendJson(response, 200, world.directory.update(decodeURIComponent(name), body));
      case 'POST keys/*':
        if (name !== 'rotate') break;
        return sendJson(response, 200, { key_ids: world.rotateKeys(body.retire === true) });
      case 'PUT clock':
        if (!Number.isFinite(body.skew_seconds)) throw new RangeError('skew_seconds must be a number');
        world.setSkew(body.skew_seconds);
        return sendJson(response, 200, { skew_seconds: body.skew_seconds });
      case 'GET tokens':
        return sendJson(response, 200, { tokens: issued() });
      case 'POST reset':
        world.reset();
        return sendJson(response, 200, { users: world.directory.describeAll() });
    }
    return sendJson(response, 404, { error: 'no such control' });
  }

  return http.createServer((request, response) => {
    answer(request, response).catch((error) => {
      const known = error instanceof RangeError || error instanceof SyntaxError || error instanceof TypeError;
      if (!known) console.error(error);
      sendJson(response, known ? 400 : 500, { error: error.message });
    });
  });
}
