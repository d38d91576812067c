"""An `nlb run --no-dataplane` of a test's own: started, killed, started again."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import boto3
from botocore.config import Config

import inventory
import schema
from wire import Caller

PATIENCE = 20
LISTENING = re.compile(r"api: listening on (https?://127\.0\.0\.1:\d+)")


def binary():
    """The `nlb` to test: that of the environment, else the debug build of this checkout."""
    named = os.environ.get("NLB_BINARY")
    return named or str(Path(__file__).resolve().parents[2] / "target" / "debug" / "nlb")


class Server:
    """A controller without a data plane and the directory of its settings and state."""

    def __init__(self, **settings):
        self.dir = Path(tempfile.mkdtemp(prefix=f"nlb-{os.getpid()}-"))
        self.config = inventory.write(self.dir, **settings)
        self.state = self.dir / "state"
        self.log = self.dir / "log"
        self.process = None
        self.url = None
        # The file of the certificate that its own is to be checked against.
        self.ca = None

    def start(self):
        """Starts it; the seconds until it serves."""
        began = time.monotonic()
        seen = self.log.stat().st_size if self.log.exists() else 0
        command = [binary(), "run", "--no-dataplane", "--api", "127.0.0.1:0"]
        command += ["--config", self.config, "--state", self.state]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        while time.monotonic() - began < PATIENCE:
            text = self.log.read_bytes()[seen:].decode(errors="replace")
            if found := LISTENING.search(text):
                self.url = found.group(1)
                return time.monotonic() - began
            if self.process.poll() is not None:
                raise AssertionError(f"nlb run ended with {self.process.returncode}:\n{text}")
            time.sleep(0.005)
        raise AssertionError(f"nlb run does not say where it listens:\n{self.said()}")

    def said(self):
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def stop(self, how=signal.SIGTERM):
        """Ends it, this very process and no other."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
        self.process = None

    def kill(self):
        """Ends it with no chance to write anything."""
        self.stop(signal.SIGKILL)

    def close(self):
        """Ends it and removes its directory."""
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def is_alive(self):
        """Whether it has not crashed."""
        return self.process is not None and self.process.poll() is None

    def client(self, key=inventory.KEY, secret=inventory.SECRET, validate=False, region=inventory.REGION):
        """A boto3 client that leaves all checks to the server, tries nothing twice, and complains of answers of another shape
        than the API's description gives them."""
        config = Config(parameter_validation=validate, retries={"total_max_attempts": 1}, read_timeout=30)
        client = boto3.client(
            "elbv2",
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=config,
            verify=self.ca,
        )
        client.meta.events.register("after-call.elastic-load-balancing-v2", schema.answer)
        return client

    def caller(self, **settings):
        """Sends requests byte for byte as a test says."""
        return Caller(self.url, **settings)

    def environment(self, **more):
        """What the `aws` command needs to find the server and to be let in."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.dir),
            "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2": self.url,
            "AWS_DEFAULT_REGION": inventory.REGION,
            "AWS_ACCESS_KEY_ID": inventory.KEY,
            "AWS_SECRET_ACCESS_KEY": inventory.SECRET,
            "AWS_PAGER": "",
            "AWS_MAX_ATTEMPTS": "1",
            **more,
        }

    def nlb(self, *args, check=True, output=None):
        """Runs an `nlb` command of this node; its standard output, read as JSON with `output="json"`."""
        command = [binary(), "--config", self.config, *(["--output", output] if output else []), *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if check and done.returncode != 0:
            raise AssertionError(f"nlb {' '.join(map(str, args))} ended with {done.returncode}: {done.stderr}")
        if not check:
            return done
        return json.loads(done.stdout) if output == "json" else done.stdout

    def audit(self):
        """The records of the audit log so far."""
        path = self.dir / "audit.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
