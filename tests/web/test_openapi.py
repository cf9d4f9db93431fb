# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document and the routes say the same."""

import inspect
import re

import orjson
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer import errors
from stackviz_deployer.web.admin import AdminApi
from stackviz_deployer.web.api import Api, openapi_json
from stackviz_deployer.web.errors import STATUSES
from stackviz_deployer.web.health import Health

DOCUMENT = orjson.loads(openapi_json("1.2.3"))


def routes() -> set[tuple[str, str]]:
    found = set()
    for prefix, app in (("/api", Api.app), ("/api/admin", AdminApi.app), ("", Health.app)):
        for rule in app.url_map.iter_rules():
            path = prefix + re.sub(r"<(\w+)>", r"{\1}", rule.rule)
            found |= {(path, method.lower()) for method in rule.methods - {"HEAD"}}
    return found


class DocumentTests(SynchronousTestCase):
    def test_same_routes(self) -> None:
        documented = {
            (path, method)
            for path, item in DOCUMENT["paths"].items()
            for method in item
            if method != "parameters"
        }
        self.assertEqual(documented, routes())
        self.assertIn(("/api/blob/{artifact_id}/blocks/{span}", "get"), documented)

    def test_what_changes_something(self) -> None:
        """Besides asking (POSTs that only read) there are scrape, cancel, upload, and the administrator's."""
        changing = {(path, method) for path, method in routes() if method != "get"}
        asking = {("/api/list", "post"), ("/api/status", "post"), ("/api/task", "post")}
        admin = {(path, method) for path, method in changing if path.startswith("/api/admin/")}
        rest = changing - asking - admin
        self.assertEqual(rest, {(f"/api/{name}", "post") for name in ("scrape", "cancel", "upload")})
        for path, method in admin:
            self.assertEqual(DOCUMENT["paths"][path][method]["security"], [{"admin": []}])

    def test_path_parameters_are_declared(self) -> None:
        for path, item in DOCUMENT["paths"].items():
            declared = {self.resolve(one)["name"] for one in item.get("parameters", ())}
            self.assertEqual(declared, set(re.findall(r"{(\w+)}", path)), path)

    def test_references_resolve(self) -> None:
        found = re.findall(rb'"\$ref":"([^"]+)"', orjson.dumps(DOCUMENT))
        self.assertGreater(len(found), 30)
        for reference in set(found):
            self.resolve({"$ref": reference.decode()})

    def test_links_lead_to_operations(self) -> None:
        operations = {
            value["operationId"]
            for item in DOCUMENT["paths"].values()
            for name, value in item.items()
            if name != "parameters"
        }
        links = DOCUMENT["components"]["links"]
        self.assertEqual({link["operationId"] for link in links.values()} - operations, set())

    def test_posts_name_their_refusals(self) -> None:
        for path, item in DOCUMENT["paths"].items():
            if "post" in item:
                for status in ("400", "403", "413", "415"):
                    self.assertIn(status, item["post"]["responses"], path)

    def test_what_any_call_may_be_answered(self) -> None:
        general = DOCUMENT["components"]["responses"]["General"]
        for item in DOCUMENT["paths"].values():
            for method in item.keys() - {"parameters"}:
                named = item[method]["responses"]["default"]
                self.assertEqual(named, {"$ref": "#/components/responses/General"})
        for code in ("too-slow", "uri-too-long", "host-unknown", "head-too-large", "too-many-connections"):
            self.assertIn(f"`{code}`", general["description"])

    def resolve(self, node: dict) -> dict:
        while "$ref" in node:
            target = DOCUMENT
            for key in node["$ref"].removeprefix("#/").split("/"):
                target = target[key]
            node = target
        return node


class StatusTableTests(SynchronousTestCase):
    def test_every_error_has_a_status(self) -> None:
        ours = {
            kind
            for _, kind in inspect.getmembers(errors, inspect.isclass)
            if issubclass(kind, errors.StackvizError) and "code" in vars(kind)
        }
        self.assertEqual(ours - set(STATUSES), set())

    def test_when_to_come_back_is_told_with_each_429_and_503(self) -> None:
        """As README says; RateLimitedError's is its instances' own."""
        told = {kind for kind in STATUSES if hasattr(kind, "retry_after_s")} | {errors.RateLimitedError}
        self.assertEqual(told, {kind for kind, status in STATUSES.items() if status in (429, 503)})

    def test_codes_are_distinct(self) -> None:
        codes = [kind.code for kind in STATUSES]
        self.assertEqual(len(codes), len(set(codes)))
