# SPDX-License-Identifier: Apache-2.0
"""A process that is moto's S3 server; ``python moto_process.py PORT``.

Besides S3 it takes ``POST /-age/<bucket>/<key>?<seconds>``, which makes an object older.
"""

import sys
from datetime import timedelta

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import run_simple

s3 = DomainDispatcherApplication(create_backend_app)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if not path.startswith("/-age/"):
        return s3(environ, start_response)
    bucket, _, key = path.removeprefix("/-age/").partition("/")
    found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[key]
    found.last_modified -= timedelta(seconds=float(environ["QUERY_STRING"]))
    start_response("204 No Content", [])
    return []


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
