// Sessions, grants and tokens of the provider, in memory, shared by all its instances: a rotation of
// the signing key makes a new instance, and nobody is signed out by it.

const entries = new Map();
const GRANTABLE = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken']);

const remove = (key) => entries.delete(key);

function lookUp(key) {
  const entry = entries.get(key);
  if (entry && entry.expiresAt <= performance.now()) {
    remove(key);
    return undefined;
  }
  return entry?.value;
}

/** The adapter that oidc-provider asks for; one per model. */
export class Storage {
  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload, expiresIn) {
    const expiresAt = expiresIn ? performance.now() + expiresIn * 1000 : Infinity;
    entries.set(`${this.model}:${id}`, { value: payload, expiresAt });
    if (this.model === 'Session') entries.set(`uid:${payload.uid}`, { value: id, expiresAt });
  }

  async find(id) {
    return lookUp(`${this.model}:${id}`);
  }

  async findByUid(uid) {
    const id = lookUp(`uid:${uid}`);
    return id && this.find(id);
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    const payload = await this.find(id);
    if (payload) payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    remove(`${this.model}:${id}`);
  }

  async revokeByGrantId(grantId) {
    for (const [key, entry] of entries) {
      if (GRANTABLE.has(key.split(':', 1)[0]) && entry.value.grantId === grantId) remove(key);
    }
  }
}

/** What was given out and is still kept: kind and value of each. */
export function issued() {
  const kept = [...entries.keys()].filter((key) => GRANTABLE.has(key.split(':', 1)[0]));
  return kept.map((key) => ({ kind: key.split(':', 1)[0], value: key.slice(key.indexOf(':') + 1) }));
}

/** Drops what has expired. */
export function sweep() {
  for (const key of entries.keys()) lookUp(key);
}
