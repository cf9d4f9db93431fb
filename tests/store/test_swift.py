# SPDX-License-Identifier: Apache-2.0
"""What tests/store/test_s3blobs.py says, over a real OpenStack Swift, by its S3 API."""

from stackviz_deployer.settings import Credentials
from stackviz_deployer.store.s3client import CONNECTIONS, S3Client
from tests.store import test_s3blobs as s3
from tests.swift_server import CREDENTIALS, READER, SwiftServer, shared_swift


class OnSwift:
    shared_server = staticmethod(shared_swift)
    own_server = SwiftServer


class SwiftContractTests(OnSwift, s3.ContractTests):
    pass


class SwiftReadTests(OnSwift, s3.ReadTests):
    pass


class SwiftDamageTests(OnSwift, s3.DamageTests):
    pass


class SwiftFaultTests(OnSwift, s3.FaultTests):
    async def test_bytes_that_change_on_the_way_are_not_stored(self):
        """The server checks what it gets (moto does not)."""
        self.proxy.mode = "flip"
        await self.fails(self.store.put(self.large()))
        self.proxy.mode = "pass"
        self.assertEqual(self.server.stored(), set())


class SwiftUploadTests(OnSwift, s3.UploadTests):
    pass


class SwiftPagesTests(OnSwift, s3.PagesTests):
    pass


class AccessListTests(SwiftContractTests):
    """With ``s3_acl``: by a proxy that looks at the access lists of buckets and objects."""

    def damage_index(self, blob):
        client = self.client()  # for what comes by Swift's own API has no owner, and nobody may read it here
        self.addCleanup(client.close)
        client.put_bytes(f"blobs/{blob.hash}.blocks", b"no index")

    def client(self, **place):
        return S3Client(
            self.server.place(self.server.acl_port, **place),
            self.server.credentials,
            connections=CONNECTIONS,
        )


class SwiftRightsTests(s3.RightsTests):
    def test_wrong_credentials(self):
        """A wrong secret, a key that nobody has, and one that may do nothing there."""
        wrong = Credentials(access_key=CREDENTIALS.access_key, secret_key="a-wrong-secret")
        nobody = Credentials(access_key="test:nobody", secret_key=CREDENTIALS.secret_key)
        for credentials in (wrong, nobody, READER):
            self.check_refused(shared_swift().place(), credentials)
