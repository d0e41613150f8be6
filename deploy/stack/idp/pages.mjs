// The pages that a person sees: sign-in, signed out, error.

const escape = (text) =>
  String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --muted: #5b6570; --line: #d5dae0; --page: #eef1f4; --card: #fff; --accent: #1f6feb; --bad: #b42318 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --muted: #9aa5b1; --line: #333b45; --page: #0f1318; --card: #181d24; --accent: #4c8dff; --bad: #ff8a7a } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { width: min(100%, 400px); padding: 36px; background: var(--card); border: 1px solid var(--line); border-radius: 12px; box-shadow: 0 8px 30px rgb(0 0 0 / .08) }
header { display: flex; align-items: center; gap: 10px; margin-bottom: 24px; font-weight: 600 }
header svg { width: 22px; height: 22px; fill: var(--accent) }
h1 { margin: 0 0 4px; font-size: 22px; line-height: 1.25 }
p { margin: 0 0 20px; color: var(--muted) }
label { display: block; margin-bottom: 14px; font-weight: 500 }
input { display: block; width: 100%; margin-top: 6px; padding: 10px 12px; border: 1px solid var(--line); border-radius: 8px; background: transparent; color: inherit; font: inherit }
input:focus, button:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px }
button { width: 100%; margin-top: 8px; padding: 11px; border: 0; border-radius: 8px; background: var(--accent); color: #fff; font: inherit; font-weight: 600; cursor: pointer }
[role=alert] { padding: 10px 12px; border-left: 3px solid var(--bad); color: var(--bad); margin-bottom: 18px }
footer { margin-top: 22px; font-size: 13px; color: var(--muted) }
code { font-size: 13px }`;

function page(title, body) {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>${escape(title)} · Corp directory</title>
<style>${STYLE}</style></head><body><main>
<header><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 1 3 5v6c0 5.6 3.8 10.7 9 12 5.2-1.3 9-6.4 9-12V5z"/></svg>Corp directory</header>
${body}</main></body></html>`;
}

/** The sign-in form; posts `login` and `password` to `action`. */
export function loginPage({ action, client, login = '', failed = false }) {
  return page('Sign in', `<h1>Sign in</h1><p>to continue to ${escape(client)}</p>
${failed ? '<div role="alert">Your user name or password is not right, or the account is disabled.</div>' : ''}
<form method="post" action="${escape(action)}">
<label>User name <input name="login" value="${escape(login)}" autocomplete="username" autocapitalize="none" required ${login ? '' : 'autofocus'}></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required ${login ? 'autofocus' : ''}></label>
<button type="submit" name="submit" value="1">Sign in</button></form>
<footer>Development directory. <code>deploy/dev status</code> lists its users.</footer>`);
}

/** Signs out without another question: the application has asked for it. */
export function logoutPage(form) {
  return page('Signing out', `<h1>Signing out…</h1>${form}
<button form="op.logoutForm" name="logout" value="yes" type="submit">Sign out</button>
<script>document.querySelector('button[name=logout]').click()</script>`);
}

export function signedOutPage() {
  return page('Signed out', '<h1>You are signed out</h1><p>You can close this window.</p>');
}

export function errorPage({ error, error_description: description }) {
  return page('Something went wrong', `<h1>This sign-in cannot continue</h1>
<p>${escape(description ?? 'Go back to the application and start again.')}</p><code>${escape(error)}</code>`);
}
