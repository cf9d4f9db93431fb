# SPDX-License-Identifier: Apache-2.0
"""The threads that talk to an object store."""

import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ENDS_S = 60.0
SCRIPT = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from stackviz_deployer.settings import Bucket, Credentials
from stackviz_deployer.store.blobs import FileBlobStore
from stackviz_deployer.store.s3calls import S3Calls
from stackviz_deployer.store.s3client import S3Client
from pathlib import Path

place = Bucket(endpoint=sys.argv[1], bucket="b", prefix="")
client = S3Client(place, Credentials(access_key="a", secret_key="b"), connections=1)
calls, files = S3Calls(client, reactor), FileBlobStore(Path(sys.argv[2]), reactor)

def begin():
    calls.startService()
    files.startService()
    Deferred.fromCoroutine(calls.remote(0, client.head, "x"))
    Deferred.fromCoroutine(files.lost([])).addCallback(lambda _: reactor.callLater(0.2, reactor.stop))

reactor.callWhenRunning(begin)
reactor.run()
print("ended")
"""


class EndTests(SynchronousTestCase):
    def test_a_process_that_ends_without_stopping_them_ends(self) -> None:
        """As one of tests does that is interrupted, while the server is silent."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            where = f"http://127.0.0.1:{silent.getsockname()[1]}"
            command = [sys.executable, "-c", SCRIPT, where, str(Path(self.mktemp()).absolute())]
            done = subprocess.run(command, capture_output=True, text=True, timeout=ENDS_S, check=False)
        self.assertEqual((done.stdout, done.returncode), ("ended\n", 0), done.stderr)
