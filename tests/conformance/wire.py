"""Requests of the Query protocol and their signatures (Signature Version 4), made by hand so that a test can get any
part of them wrong."""

import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree as ElementTree

import inventory

NAMESPACE = "{http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/}"
VERSION = "2015-12-01"
FORM = "application/x-www-form-urlencoded; charset=utf-8"


class Answer:
    """An HTTP answer with its XML."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def xml(self):
        """The document."""
        return ElementTree.fromstring(self.body)

    def text(self, path):
        """The text at a path of element names, namespace left out; `None` if there is no such element."""
        found = self.xml.find("/".join(NAMESPACE + name for name in path.split("/")))
        return None if found is None else found.text or ""

    @property
    def code(self):
        """The error's code."""
        return self.text("Error/Code")

    @property
    def message(self):
        """The error's sentence."""
        return self.text("Error/Message")

    def __repr__(self):
        return f"{self.status} {self.body.decode(errors='replace')}"


def quoted(text):
    """As signatures want it: everything but unreserved characters in percent signs."""
    return urllib.parse.quote(text, safe="-_.~")


def encoded(params):
    """A form."""
    if isinstance(params, bytes):
        return params
    pairs = params.items() if isinstance(params, dict) else params
    return "&".join(f"{quoted(str(key))}={quoted(str(value))}" for key, value in pairs).encode()


class Caller:
    """Who calls, and how the calls are signed. `call` takes every one of these settings for one call, too."""

    def __init__(self, url, **settings):
        self.host, port = url.removeprefix("http://").rsplit(":", 1)
        self.port = int(port)
        self.settings = {
            "key": inventory.KEY,
            "secret": inventory.SECRET,
            "region": inventory.REGION,
            "service": "elasticloadbalancing",
            "time": None,
            "signed": ("content-type", "host", "x-amz-date"),
            "method": "POST",
            "path": "/",
            "query": b"",
            "headers": {},
            "sign": True,
            "body_hash": None,
            "scope": None,
            "authorization": None,
            **settings,
        }

    def headers(self, body, how):
        """The headers of a request, with its signature."""
        now = how["time"] or datetime.datetime.now(datetime.timezone.utc)
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": f"{self.host}:{self.port}", "content-type": FORM, "x-amz-date": stamp}
        headers |= {name.lower(): value for name, value in how["headers"].items()}
        headers = {name: value for name, value in headers.items() if value is not None}
        if how["sign"]:
            headers["authorization"] = how["authorization"] or self.authorization(headers, body, stamp, how)
        return headers

    def authorization(self, headers, body, stamp, how):
        """The header of that name."""
        signed = sorted(name for name in how["signed"] if name in headers)
        query = how["query"].decode("latin-1")
        pairs = sorted(part if "=" in part else part + "=" for part in query.split("&")) if query else []
        lines = [how["method"], how["path"], "&".join(pairs)]
        lines += [f"{name}:{' '.join(headers[name].split())}" for name in signed]
        lines += ["", ";".join(signed), how["body_hash"] or hashlib.sha256(body).hexdigest()]
        request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        scope = how["scope"] or f"{stamp[:8]}/{how['region']}/{how['service']}/aws4_request"
        key = ("AWS4" + how["secret"]).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{request}"
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        credential = f"{how['key']}/{scope}"
        return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(signed)}, Signature={signature}"

    def send(self, params=None, tamper=None, **settings):
        """Sends a form, or bytes in its place. `tamper` changes the headers and the body after they were signed."""
        how = {**self.settings, **settings}
        body = encoded(params or {})
        if how["method"] == "GET":
            how["query"], body = how["query"] or body, b""
        headers = self.headers(body, how)
        if tamper:
            headers, body = tamper(headers, body)
        path = how["path"] + ("?" + how["query"].decode("latin-1") if how["query"] else "")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.putrequest(how["method"], path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if "content-length" not in headers and (body or how["method"] != "GET"):
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body or None)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def call(self, operation, params=None, **settings):
        """Calls an operation with a form's parameters."""
        return self.send({"Action": operation, "Version": VERSION, **(params or {})}, **settings)
