"""A small client of the hub's HTTP API, for the scripts of the development stack."""

import http.cookiejar
import json
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 30


class Problem(Exception):
    """An answer of the hub that is not a success."""

    def __init__(self, method, path, status, body):
        self.status = status
        try:
            problem = json.loads(body)
        except ValueError:
            problem = {}
        self.code = problem.get("code")
        super().__init__(f"{method} {path}: {status} {self.code or ''} {problem.get('detail') or body[:300]} {problem.get('errors') or ''}".strip())


class Api:
    """One signed-in browser, as the hub sees it."""

    def __init__(self, url):
        self.url = url
        self.cookies = http.cookiejar.CookieJar()
        # No proxy: the hub is on this machine.
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def call(self, method, path, body=None):
        """The answer's JSON, or None when it has no body."""
        headers = {"Origin": self.url, "Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, headers, method=method)
        try:
            with self.opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise Problem(method, path, error.code, error.read().decode(errors="replace")) from None
        return json.loads(text) if text else None

    def sign_in(self, username, password):
        """Signs a local user of the tenant `dev` in."""
        return self.call("POST", "/auth/local", {"tenant": "dev", "username": username, "password": password})

    def list(self, path):
        """All items of a list, page by page."""
        items, cursor = [], None
        while True:
            page = self.call("GET", f"{path}?limit=200" + (f"&cursor={cursor}" if cursor else ""))
            items += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return items

    def cookie_header(self):
        """The cookies as a request carries them."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies)
