// The provider's signing keys, kept in a file so that a restart is not a rotation.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import fs from 'node:fs';

function generate() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: randomUUID() };
}

export class SigningKeys {
  #file;
  #keys;

  constructor(file) {
    this.#file = file;
    if (fs.existsSync(file)) this.#keys = JSON.parse(fs.readFileSync(file, 'utf8'));
    else this.#store([generate()]);
  }

  #store(keys) {
    fs.writeFileSync(`${this.#file}.new`, JSON.stringify(keys), { mode: 0o600 });
    fs.renameSync(`${this.#file}.new`, this.#file);
    this.#keys = keys;
  }

  /** The current key first, then those that are still published. */
  all() {
    return this.#keys;
  }

  /** Signs with a new key from now on; `retire` also stops publishing the old ones. */
  rotate(retire) {
    this.#store([generate(), ...(retire ? [] : this.#keys.slice(0, 1))]);
    return this.#keys.map((key) => key.kid);
  }
}
