"""The login: a form, and no script."""

from __future__ import annotations

from html import escape

from facility.console.page.style import CSS


def login_page(site: str, trouble: str = "") -> str:
    """The page that asks for a name and a password, with what went wrong."""
    wrong = f'<p role="alert" class="warn">{escape(trouble)}</p>' if trouble else ""
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(site)}: log in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><style>{CSS}</style></head>
<body class="login"><main><h1>{escape(site)}</h1>{wrong}<form method="post" action="/login">
<label>Name<input name="name" autocomplete="username" required autofocus maxlength="64"></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required maxlength="1024"></label>
<button>Log in</button></form></main></body></html>"""
