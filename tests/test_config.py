# SPDX-License-Identifier: Apache-2.0
"""The configuration: defaults, overriding, and refusals that name the key."""

import os
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer import readers
from stackviz_deployer.blob_place import credentials
from stackviz_deployer.config import Config, load, stated_limits
from stackviz_deployer.errors import ConfigError
from stackviz_deployer.net.hosts import AllowedHosts
from stackviz_deployer.settings import (
    Bucket,
    Connections,
    Credentials,
    Directory,
    Limits,
    MysqlServer,
    Rates,
    RedisServer,
    Retention,
    ZuulServer,
)

EXAMPLE = Path(__file__).resolve().parent.parent / "etc" / "stackviz-deployer.yaml"
CWD = Path("/somewhere")
SHARED = "blobs: {path: /mnt/shared}\n"


class LoadTests(SynchronousTestCase):
    def load_text(self, text: str, **environ: str) -> Config:
        path = self.mktemp()
        Path(path).write_text(text, encoding="utf-8")
        return load(path, {}, environ, cwd=CWD)

    def refused(self, text: str) -> str:
        return str(self.assertRaises(ConfigError, self.load_text, text))

    def test_example_shows_the_defaults(self) -> None:
        self.assertEqual(load(str(EXAMPLE), {}, {}, cwd=CWD), load(None, {}, {}, cwd=CWD))

    def test_example_shows_every_key(self) -> None:
        text = EXAMPLE.read_text(encoding="utf-8")
        parts = (Config, Limits, Rates, Connections)
        for name in [name for part in parts for name in attrs.fields_dict(part)]:
            self.assertIn(f"{name}:", text)

    def test_defaults(self) -> None:
        config = load(None, {}, {}, cwd=CWD)
        self.assertEqual(config.http, ("tcp:5000:interface=127.0.0.1",))
        self.assertEqual(config.state_dir, CWD / "var")
        self.assertIsNone(config.jjb_yaml_path)
        self.assertEqual(config.workers, len(os.sched_getaffinity(0)))
        self.assertEqual(config.limits.artifact_bytes, 512 * 1024 * 1024)
        self.assertEqual(config.limits.upload_bytes, 256 * 1024 * 1024)
        self.assertEqual(config.gerrits[0].aliases, ("review.openstack.org",))
        self.assertEqual(config.rates, Rates(list=60, scrape=30, upload=10))
        self.assertEqual(config.connections, Connections(total=2000, client=200, events=500, slow_seconds=30))
        self.assertEqual((config.proxies, config.hosts, config.cors), ((), (), ()))
        hosts = self.load_text("hosts: [Example.ORG., localhost]").hosts
        self.assertEqual(hosts, ("example.org", "localhost"))

    def test_a_clone_of_project_config_is_found(self) -> None:
        cwd = Path(self.mktemp()).absolute()
        (cwd / "project-config/jenkins/jobs").mkdir(parents=True)
        self.assertEqual(load(None, {}, {}, cwd=cwd).jjb_yaml_path, cwd / "project-config/jenkins/jobs")

    def test_environment(self) -> None:
        config = load(
            None, {}, {"JJB_YAML_PATH": "/pc/jobs", "STATE_DIRECTORY": "/var/lib/sv:/other"}, cwd=CWD
        )
        self.assertEqual(config.jjb_yaml_path, Path("/pc/jobs"))
        self.assertEqual(config.state_dir, Path("/var/lib/sv"))

    def test_file_beats_environment_and_options_beat_the_file(self) -> None:
        self.assertEqual(self.load_text("state_dir: /a", STATE_DIRECTORY="/b").state_dir, Path("/a"))
        path = self.mktemp()
        Path(path).write_text("state_dir: /a\nscrapes: 2\n", encoding="utf-8")
        config = load(path, {"state_dir": "/c"}, {}, cwd=CWD)
        self.assertEqual((config.state_dir, config.scrapes), (Path("/c"), 2))

    def test_retention(self) -> None:
        self.assertEqual(load(None, {}, {}, cwd=CWD).retention, Retention(days=7, bytes=20 << 30))
        self.assertEqual(
            self.load_text("retention: {days: 0.5, bytes: 1 GiB}").retention,
            Retention(days=0.5, bytes=1 << 30),
        )

    def test_role(self) -> None:
        self.assertEqual(load(None, {}, {}, cwd=CWD).role, "all")
        self.assertEqual(self.load_text("role: worker").role, "worker")
        path = Path(self.mktemp())
        path.write_text("role: worker", encoding="utf-8")
        self.assertEqual(load(str(path), {"role": "web"}, {}, cwd=CWD).role, "web")
        for text in ("role: both", "role: [web]", "role: true"):
            self.assertIn("all, web and worker", self.refused(text))

    def test_shared_servers(self) -> None:
        config = self.load_text(
            "database: mysql://us%40er:p%40ss%2F%C3%B6@[2001:db8::1]:3307/na%20me?ssl_ca=/ca.pem\n"
            "redis: rediss://who:s%3Acret@redis.example:6380/3?prefix=sv.&ssl_ca=/other.pem\n"
            "blobs: {path: /mnt/shared}\n"
        )
        self.assertEqual(
            config.database,
            MysqlServer(
                host="2001:db8::1",
                port=3307,
                user="us@er",
                password="p@ss/\xf6",
                name="na me",
                tls=True,
                ssl_ca="/ca.pem",
            ),
        )
        self.assertEqual(
            config.redis,
            RedisServer(
                host="redis.example",
                port=6380,
                username="who",
                password="s:cret",
                db=3,
                tls=True,
                ssl_ca="/other.pem",
                prefix="sv.",
            ),
        )
        for secret in ("p@ss", "s:cret", "s%3A"):
            self.assertNotIn(secret, repr(config))
            self.assertNotIn(secret, config.database.where + config.redis.where)
        self.assertFalse([name for name in stated_limits(config) if name.startswith(("database", "redis"))])

    def test_plain_shared_servers(self) -> None:
        config = self.load_text(f"{SHARED}database: mysql://db/sv\nredis: redis://redis")
        self.assertEqual(
            config.database, MysqlServer(host="db", user="stackviz", password="", name="sv", tls=False)
        )
        self.assertEqual(config.redis, RedisServer(host="redis"))
        tls = self.load_text(f"{SHARED}database: mysql://db/sv?ssl=true\nredis: redis://redis").database
        self.assertEqual((tls.tls, tls.ssl_ca), (True, None))

    def test_the_originals_variables(self) -> None:
        text = f"{SHARED}database: mysql\nredis: env\n"
        config = self.load_text(text)
        self.assertEqual((config.database, config.redis), (MysqlServer(), RedisServer()))
        self.assertEqual(
            config.database,
            MysqlServer(host="localhost", port=3306, user="stackviz", password="stackviz", name="stackviz"),
        )
        config = self.load_text(
            text,
            MYSQL_ENV_MYSQL_USER="u",
            MYSQL_ENV_MYSQL_PASSWORD="p",
            MYSQL_ENV_MYSQL_DATABASE="d",
            MYSQL_PORT_3306_TCP_ADDR="10.0.0.1",
            MYSQL_PORT_3306_TCP_PORT="3307",
            REDIS_PORT_6379_TCP_ADDR="10.0.0.2",
            REDIS_PORT_6379_TCP_PORT="6380",
        )
        self.assertEqual(
            config.database, MysqlServer(host="10.0.0.1", port=3307, user="u", password="p", name="d")
        )
        self.assertEqual(config.redis, RedisServer(host="10.0.0.2", port=6380))
        error = self.assertRaises(ConfigError, self.load_text, text, REDIS_PORT_6379_TCP_PORT="tcp://x")
        self.assertIn("REDIS_PORT_6379_TCP_PORT", error.message)

    def test_refused_shared_servers(self) -> None:
        """With the key's name, and without the password."""
        mysql, redis = "mysql://u:geheim@db/sv", "redis://:geheim@redis"
        for text, word in (
            (f"database: {mysql}", "redis"),
            (f"redis: {redis}", "database"),
            (f"database: {mysql}\nredis: {redis}", "blobs"),
            ("database: 7", "database"),
            ("database: postgres://u:geheim@db/sv", "database"),
            ("database: mysql://u:geheim@db", "database"),
            ("database: mysql://u:geheim@db/", "database"),
            ("database: mysql://u:geheim@/sv", "database"),
            ("database: mysql://u:geheim@db:x/sv", "database"),
            ("database: mysql://u:geheim@db:70000/sv", "database"),
            ("database: mysql://u:geh#eim@db/sv", "database"),
            (f"database: {mysql}?ssl=perhaps", "perhaps"),
            (f"database: {mysql}?sslca=/x", "'sslca'"),
            (f"database: {mysql}?ssl=false&ssl_ca=/x", "ssl_ca"),
            ("redis: http://:geheim@redis", "redis"),
            (f"redis: {redis}/name", "redis"),
            (f"redis: {redis}/0?prefix=a%20b", "prefix"),
            (f"redis: {redis}/0?ssl_ca=/x", "ssl_ca"),
        ):
            with self.subTest(text):
                refused = self.refused(text)
                self.assertIn(word, refused)
                self.assertNotIn("geh", refused)

    def test_blobs(self) -> None:
        self.assertEqual(load(None, {}, {}, cwd=CWD).blobs, Directory(path=None))
        for text in ("blobs: {path: /srv/blobs}", "blobs: {kind: files, path: /srv/blobs}"):
            self.assertEqual(self.load_text(text).blobs, Directory(path=Path("/srv/blobs")))
        self.assertEqual(self.load_text("blobs: {path: here}").blobs, Directory(path=CWD / "here"))

    def test_a_bucket(self) -> None:
        self.assertEqual(
            self.load_text("blobs: {kind: s3, endpoint: 'https://s3.example.org/', bucket: sites}").blobs,
            Bucket(endpoint="https://s3.example.org", bucket="sites"),
        )
        full = (
            "blobs: {kind: s3, endpoint: 'http://s3:9000', bucket: sites, prefix: a/b, region: RegionOne,"
            " credentials_file: key, ca_file: /ca.pem, cache_bytes: 1 GiB}"
        )
        self.assertEqual(
            self.load_text(full).blobs,
            Bucket(
                endpoint="http://s3:9000",
                bucket="sites",
                prefix="a/b/",
                region="RegionOne",
                credentials_file=CWD / "key",
                ca_file=Path("/ca.pem"),
                cache_bytes=1 << 30,
            ),
        )

    def test_credentials(self) -> None:
        place = Bucket(endpoint="https://s3", bucket="sites")
        environ = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
        found = Credentials(access_key="k", secret_key="s", session_token="t")
        self.assertEqual(credentials(place, environ), found)
        file = Path(self.mktemp())
        place = attrs.evolve(place, credentials_file=file)
        for text, mode, words in [
            (None, 0, "cannot read"),
            ("[default]\naws_access_key_id = k\naws_secret_access_key = se%cret\n", 0o604, "everybody"),
            ("[default]\naws_access_key_id = k\n", 0o600, "is needed"),
            ("secret", 0o600, "no [default]"),
            ("[other]\naws_access_key_id = k\n", 0o600, "no [default]"),
        ]:
            if text is not None:
                file.write_text(text)
                file.chmod(mode)
            error = self.assertRaises(ConfigError, credentials, place, environ)
            self.assertIn(words, error.message)
            self.assertNotIn("secret =", error.message)
        file.write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s%e\n")
        self.assertEqual(credentials(place, {}), Credentials(access_key="k", secret_key="s%e"))
        self.assertRaises(ConfigError, credentials, Bucket(endpoint="https://s3", bucket="b"), {})

    def test_a_long_file_of_credentials(self) -> None:
        """No more of it is read than the bound."""
        file = Path(self.mktemp())
        place = Bucket(endpoint="https://s3", bucket="sites", credentials_file=file)
        text = "[default]\naws_access_key_id = k\naws_secret_access_key = s\n"
        for blanks, fits in (((64 << 10) - len(text), True), (64 << 10, False)):
            file.write_text("\n" * blanks + text)
            file.chmod(0o600)
            if fits:
                self.assertEqual(credentials(place, {}), Credentials(access_key="k", secret_key="s"))
            else:
                self.assertRaises(ConfigError, credentials, place, {})

    def test_more_than_an_object_may_have(self) -> None:
        place = "blobs: {kind: s3, endpoint: 'https://s3', bucket: b}\nlimits: {artifact_bytes: %d}"
        self.assertEqual(self.load_text(place % (5 << 30)).limits.artifact_bytes, 5 << 30)
        error = self.assertRaises(ConfigError, self.load_text, place % ((5 << 30) + 1))
        self.assertIn("limits.artifact_bytes: S3 takes at most 5368709120 bytes", error.message)

    def test_null_means_default(self) -> None:
        self.assertEqual(self.load_text("workers: ~\nhttp: ~"), load(None, {}, {}, cwd=CWD))

    def test_one_endpoint_as_text(self) -> None:
        self.assertEqual(self.load_text("http: tcp:80").http, ("tcp:80",))

    def test_gerrit_with_a_path(self) -> None:
        config = self.load_text("gerrits: [{url: 'https://g.example.org/r'}]")
        self.assertEqual(config.gerrits[0].url, "https://g.example.org/r/")
        self.assertEqual(config.gerrits[0].ci_accounts, ("jenkins", "zuul", "* CI"))

    def test_zuuls(self) -> None:
        self.assertEqual(load(None, {}, {}, cwd=CWD).zuuls, (ZuulServer(url="https://zuul.opendev.org/"),))
        config = self.load_text(
            "zuuls: [{url: 'https://sf.example.org/zuul', tenants: [rdoproject.org, local]},"
            " {url: 'https://zuul.example.org/', white_label: true}]"
        )
        self.assertEqual(
            config.zuuls,
            (
                ZuulServer(url="https://sf.example.org/zuul/", tenants=("rdoproject.org", "local")),
                ZuulServer(url="https://zuul.example.org/", white_label=True),
            ),
        )
        self.assertEqual(self.load_text("zuuls: []").zuuls, ())

    def test_examples_of_other_homes(self) -> None:
        """The commented ones are valid, too."""
        blocks = EXAMPLE.read_text(encoding="utf-8").partition("# Other homes.")[2].split("\n#\n")
        self.assertEqual(len(blocks), 4)
        for block in blocks[1:]:
            lines = [line.removeprefix("# ") for line in block.splitlines()]
            first = next(n for n, line in enumerate(lines) if line.startswith("gerrits:"))
            config = self.load_text("\n".join(lines[first:]))
            self.assertTrue(config.log_hosts)
            AllowedHosts(config.log_hosts)

    def test_what_clients_may(self) -> None:
        config = self.load_text(
            "proxies: [127.0.0.1, '2001:db8::/64', unix]\nrates: {list: 0}\nconnections: {client: 3}"
        )
        self.assertEqual(config.proxies, ("127.0.0.1/32", "2001:db8::/64", "unix"))
        self.assertEqual((config.rates, config.connections), (Rates(list=0), Connections(client=3)))

    def test_resolve(self) -> None:
        config = self.load_text("resolve: {Logs.openstack.org: '127.0.0.1:8080', a.b: '[::1]:80'}")
        self.assertEqual(config.resolve, {"logs.openstack.org": "127.0.0.1:8080", "a.b": "[::1]:80"})

    def test_stackviz(self) -> None:
        self.assertEqual(
            self.load_text("stackviz: http://localhost:3000/").stackviz, "http://localhost:3000/"
        )
        self.assertEqual(self.load_text("stackviz: build").stackviz, "/somewhere/build")

    def test_refusals_name_the_key(self) -> None:
        for text, words in [
            ("colour: red", "'colour'"),
            ("scrapes: many", "scrapes"),
            ("scrapes: 0", "scrapes"),
            ("scrapes: true", "scrapes"),
            ("workers: -1", "workers"),
            ("http: []", "http"),
            ("http: [3]", "http[0]"),
            ("gerrits: [{url: 'ftp://x/'}]", "gerrits[0].url"),
            ("gerrits: [{uri: 'https://x/'}]", "'uri'"),
            ("zuuls: [{url: 'zuul.opendev.org'}]", "zuuls[0].url"),
            ("zuuls: [{url: 'https://x/', tenants: []}]", "zuuls[0].tenants"),
            ("zuuls: [{url: 'https://x/', tenants: [a/b]}]", "zuuls[0].tenants[0]"),
            ("zuuls: [{url: 'https://x/', tenants: [a], white_label: true}]", "zuuls[0].tenants"),
            ("zuuls: [{url: 'https://x/', white_label: 1}]", "zuuls[0].white_label"),
            ("zuuls: [{uri: 'https://x/'}]", "'uri'"),
            ("log_hosts: ['http://x/']", "log_hosts[0]"),
            ("log_hosts: logs.openstack.org", "log_hosts"),
            ("private_networks: [10.0.0.1/8]", "private_networks[0]"),
            ("resolve: {a.b: example.org}", "resolve.a.b"),
            ("resolve: {a.b: '127.0.0.1:99999'}", "resolve.a.b"),
            ("limits: {artifact_bytes: 5 apples}", "limits.artifact_bytes"),
            ("limits: {fetch_seconds: 0}", "limits.fetch_seconds"),
            ("limits: {size: 1}", "'size'"),
            ("retention: {days: 0}", "retention.days"),
            ("retention: {days: 36501}", "retention.days"),
            ("retention: {days: true}", "retention.days"),
            ("retention: {bytes: much}", "retention.bytes"),
            ("retention: {weeks: 1}", "'weeks'"),
            ("retention: 7", "retention"),
            ("proxies: [proxy.example.org]", "proxies[0]"),
            ("hosts: ['https://a.example']", "hosts[0]"),
            ("hosts: ['a.example:443']", "hosts[0]"),
            ("hosts: ['a.example..']", "hosts[0]"),
            ("hosts: ['.']", "hosts[0]"),
            ("cors: ['*']", "cors[0]"),
            ("cors: ['https://a.example/']", "cors[0]"),
            ("rates: {list: -1}", "rates.list"),
            ("rates: {status: 1}", "'status'"),
            ("connections: {total: 0}", "connections.total"),
            ("connections: {slow_seconds: 0}", "connections.slow_seconds"),
            ("stackviz: 'https://x/'", "stackviz"),
            ("- a", "mapping"),
            ("a: [", "not YAML"),
            ("state_dir: 7", "state_dir"),
            ("blobs: here", "blobs"),
            ("blobs: {path: 7}", "blobs.path"),
            ("blobs: {kind: tapes}", "blobs.kind"),
            ("blobs: {place: /srv}", "'place'"),
            ("blobs: {kind: s3, bucket: b}", "blobs.endpoint"),
            ("blobs: {kind: s3, endpoint: 'https://s3'}", "blobs.bucket"),
            ("blobs: {kind: s3, endpoint: s3.example.org, bucket: b}", "blobs.endpoint"),
            ("blobs: {kind: s3, endpoint: 'https://k:s@s3', bucket: b}", "credentials_file"),
            ("blobs: {kind: s3, endpoint: 'https://s3/b', bucket: b}", "blobs.endpoint"),
            ("blobs: {kind: s3, endpoint: 'https://s3', bucket: a/b}", "blobs.bucket"),
            ("blobs: {kind: s3, endpoint: 'https://s3', bucket: b, prefix: /a}", "blobs.prefix"),
            ("blobs: {kind: s3, endpoint: 'https://s3', bucket: b, secret_key: x}", "'secret_key'"),
            ("blobs: {kind: s3, endpoint: 'https://s3', bucket: b, cache_bytes: much}", "blobs.cache_bytes"),
            (
                "limits: {upload_bytes: 6 GiB}\nblobs: {kind: s3, endpoint: 'https://s3', bucket: b}",
                "limits.upload_bytes",
            ),
        ]:
            self.assertIn(words, self.refused(text), text)

    def test_no_such_file(self) -> None:
        self.assertRaises(ConfigError, load, "/nonexistent.yaml", {}, {}, cwd=CWD)


class SizeTests(SynchronousTestCase):
    def test_units(self) -> None:
        for text, size in [
            ("512 MiB", 512 << 20),
            ("2GiB", 2 << 30),
            ("10 MB", 10**7),
            ("1.5 KiB", 1536),
            (7, 7),
        ]:
            self.assertEqual(readers.size("k", text), size)
