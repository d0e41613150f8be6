// The directory behind the provider: its users, their groups, and how the group claim is emitted.
import { createHash, timingSafeEqual } from 'node:crypto';

/** How a user's groups appear in a token: as Entra ID does, left out, or as an overage reference. */
export const CLAIM_FORMS = ['groups', 'absent', 'overage'];

const digest = (text) => createHash('sha256').update(text).digest();

export class Directory {
  #users = new Map();

  /** `description` is directory.json; `passwords` maps user names to passwords. */
  constructor(description, passwords) {
    this.tenantId = description.tenant_id;
    this.clientId = description.client_id;
    this.groups = description.groups;
    for (const user of description.users) {
      if (!passwords[user.username]) throw new Error(`no password for ${user.username}`);
      this.#users.set(user.username, {
        ...user,
        claim: user.claim ?? 'groups',
        groups: user.groups.map((name) => this.groupId(name)),
        // Pairwise in Entra ID: stable for this client, but not the object id.
        subject: createHash('sha256').update(`${this.clientId}:${user.oid}`).digest('base64url'),
        enabled: true,
        password: digest(passwords[user.username]),
      });
    }
  }

  /** The GUID of a group given by name, or the GUID itself. */
  groupId(nameOrId) {
    const id = this.groups[nameOrId] ?? nameOrId;
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) {
      throw new RangeError(`unknown group ${nameOrId}`);
    }
    return id;
  }

  find(username) {
    return this.#users.get(username);
  }

  /** The enabled user whom tokens call `subject`. */
  findSubject(subject) {
    return [...this.#users.values()].find((user) => user.subject === subject && user.enabled);
  }

  /** The user with this name and password, if both are right and the account is enabled. */
  authenticate(login, password) {
    const user = this.find(login.trim().toLowerCase().replace(/@corp\.test$/, ''));
    const matches = timingSafeEqual(digest(password), user?.password ?? digest(''));
    return user && matches && user.enabled ? user : undefined;
  }

  /** Applies `{groups?, claim?, enabled?}` to a user; throws RangeError for what it cannot apply. */
  update(username, change) {
    const user = this.find(username);
    if (!user) throw new RangeError(`unknown user ${username}`);
    const next = { ...user };
    if (change.groups !== undefined && !Array.isArray(change.groups)) throw new RangeError('groups must be a list');
    if (change.groups !== undefined) next.groups = change.groups.map((name) => this.groupId(name));
    if (change.claim !== undefined) {
      if (!CLAIM_FORMS.includes(change.claim)) throw new RangeError(`claim must be one of ${CLAIM_FORMS.join(', ')}`);
      next.claim = change.claim;
    }
    if (change.enabled !== undefined) {
      if (typeof change.enabled !== 'boolean') throw new RangeError('enabled must be true or false');
      next.enabled = change.enabled;
    }
    this.#users.set(username, next);
    return this.describe(username);
  }

  describe(username) {
    const { password: _password, ...rest } = this.find(username);
    return rest;
  }

  describeAll() {
    return [...this.#users.keys()].map((username) => this.describe(username));
  }

  /** The claims of a user as Entra ID's v2.0 tokens have them. */
  claims(username) {
    const user = this.find(username);
    const claims = {
      sub: user.subject,
      oid: user.oid,
      tid: this.tenantId,
      ver: '2.0',
      name: user.name,
      preferred_username: `${username}@corp.test`,
      email: `${username}@corp.test`,
    };
    if (user.claim === 'groups') claims.groups = user.groups;
    if (user.claim === 'overage') {
      claims._claim_names = { groups: 'src1' };
      claims._claim_sources = {
        src1: { endpoint: `https://graph.microsoft.com/v1.0/users/${user.oid}/getMemberObjects` },
      };
    }
    return claims;
  }
}
