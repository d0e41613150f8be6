// The OpenID Connect provider: authorization code with PKCE, refresh tokens, sign-out.
import Provider, { interactionPolicy } from 'oidc-provider';
import { Storage } from './storage.mjs';
import { errorPage, logoutPage, signedOutPage } from './pages.mjs';

const SCOPE = 'openid profile email offline_access';
const PROFILE_CLAIMS = ['oid', 'tid', 'ver', 'name', 'preferred_username', 'email', 'groups'];

/** When a person is asked: to sign in, never to consent. */
function policy() {
  const prompts = interactionPolicy.base();
  prompts.get('consent').checks.remove('native_client_prompt');
  return prompts;
}

/** Makes the provider for `directory`; `prefix` is the path of its issuer. */
export function makeProvider({ issuer, prefix, directory, clientSecret, keys, cookieSecret }) {
  const provider = new Provider(issuer, {
    adapter: Storage,
    jwks: { keys },
    clients: [{
      client_id: directory.clientId,
      client_name: 'OpenPAM',
      client_secret: clientSecret,
      // A native client may be called back on any port of the loopback address: hubs of tests
      // listen on ports of their own.
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['http://127.0.0.1/api/v1/auth/callback', 'http://localhost/api/v1/auth/callback'],
      post_logout_redirect_uris: ['/', '/login'].flatMap((path) => [`http://127.0.0.1${path}`, `http://localhost${path}`]),
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'RS256',
    }],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post'],
    claims: { openid: ['sub', ...PROFILE_CLAIMS], profile: [], email: [] },
    scopes: SCOPE.split(' '),
    // Entra ID puts the claims into the ID token.
    conformIdTokenClaims: false,
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: async (ctx, form) => { ctx.body = logoutPage(form); },
        postLogoutSuccessSource: async (ctx) => { ctx.body = signedOutPage(); },
      },
    },
    interactions: { policy: policy(), url: (_ctx, interaction) => `${prefix}/interaction/${interaction.uid}` },
    // A disabled account is one that is not found: sign-in asks again, refresh is an invalid_grant.
    findAccount: async (_ctx, subject) => {
      const user = directory.findSubject(subject);
      return user && { accountId: subject, claims: async () => directory.claims(user.username) };
    },
    // An administrator has consented for everybody: there is no consent page.
    loadExistingGrant: async (ctx) => {
      const { client, session, provider: self } = ctx.oidc;
      const known = session.grantIdFor(client.clientId);
      const found = known && await self.Grant.find(known);
      if (found) return found;
      const grant = new self.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(SCOPE);
      await grant.save();
      return grant;
    },
    renderError: async (ctx, out) => { ctx.type = 'html'; ctx.body = errorPage(out); },
    cookies: { keys: [cookieSecret] },
    ttl: { AccessToken: 3600, IdToken: 3600, AuthorizationCode: 60, Interaction: 600, RefreshToken: 86400, Session: 86400, Grant: 86400 },
  });
  return provider;
}
