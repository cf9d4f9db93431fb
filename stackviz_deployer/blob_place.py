# SPDX-License-Identifier: Apache-2.0
"""The configuration's ``blobs``: where the sites' data lies, and with which key it is reached."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from stackviz_deployer import readers as read
from stackviz_deployer.errors import ConfigError
from stackviz_deployer.settings import Bucket, Credentials, Directory, Limits

MAX_OBJECT = 5 << 30
"""Bytes that S3 takes at once; nothing of ours comes in parts."""
_MAX_FILE_BYTES = 1 << 16
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*/?")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_NAMES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
"""In upper case, those of the environment's variables; both are the AWS tools' own."""


def blobs(key: str, value: object) -> Directory | Bucket:
    """``{kind: files, path}`` or ``{kind: s3, endpoint, bucket, ...}``.  Raises ConfigError."""
    kind = value.get("kind", "files") if isinstance(value, dict) else "files"
    if kind == "files":
        data = read.mapping(key, value, {"kind", "path"})
        path = data.get("path")
        return Directory(path=None if path is None else read.path(f"{key}.path", path))
    if kind == "s3":
        return _bucket(key, read.mapping(key, value, {"kind", *attrs.fields_dict(Bucket)}))
    raise ConfigError(f"{key}.kind: files or s3 is needed, not {kind!r}")


def _bucket(key: str, data: dict[str, Any]) -> Bucket:
    given = {name: entry for name, entry in data.items() if name != "kind" and entry is not None}
    values: dict[str, Any] = {
        "endpoint": _endpoint(f"{key}.endpoint", given.pop("endpoint", None)),
        "bucket": _fitting(f"{key}.bucket", given.pop("bucket", None), _BUCKET, "name of a bucket"),
    }
    for name, entry in given.items():
        where = f"{key}.{name}"
        if name in ("credentials_file", "ca_file"):
            values[name] = read.path(where, entry)
        elif name == "cache_bytes":
            values[name] = read.size(where, entry)
        elif name == "region":
            values[name] = _fitting(where, entry, _REGION, "name of a region")
        elif entry != "":
            prefix = _fitting(where, entry, _PREFIX, "prefix of keys, such as stackviz/")
            values[name] = prefix if prefix.endswith("/") else f"{prefix}/"
    return Bucket(**values)


def _fitting(key: str, value: object, form: re.Pattern[str], what: str) -> str:
    text = read.text(key, value)
    if not form.fullmatch(text):
        raise ConfigError(f"{key}: {text!r} is no {what}")
    return text


def _endpoint(key: str, value: object) -> str:
    text = read.text(key, value)
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises when it is no port
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{key}: an access key belongs in credentials_file or in the environment")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ConfigError(f"{key}: {text!r} is no URL of an S3 store, such as https://s3.example.org")
    if parts.query or parts.fragment:
        raise ConfigError(f"{key}: {text!r} has more than scheme, host and port")
    return text.rstrip("/")


def beside(place: Directory | Bucket, base: Path) -> Directory | Bucket:
    """``place``, its relative paths counted from ``base``."""
    names = ("path",) if isinstance(place, Directory) else ("credentials_file", "ca_file")
    paths = {name: getattr(place, name) for name in names}
    return attrs.evolve(
        place, **{name: base / path.expanduser() for name, path in paths.items() if path is not None}
    )


def check_sizes(key: str, place: Directory | Bucket, limits: Limits) -> None:
    """Raises ConfigError when what the limits allow would not fit."""
    if isinstance(place, Directory):
        return
    for name in ("artifact_bytes", "upload_bytes"):
        if getattr(limits, name) > MAX_OBJECT:
            raise ConfigError(f"limits.{name}: S3 takes at most {MAX_OBJECT} bytes at once ({key}.kind)")


def credentials(place: Bucket, environ: Mapping[str, str]) -> Credentials:
    """The access key: of ``credentials_file`` (the AWS tools' form), else of ``AWS_ACCESS_KEY_ID``...

    Raises ConfigError, which repeats nothing of the file, when there is none, the file cannot be
    read, or others may read it.
    """
    if place.credentials_file is None:
        key = "AWS_ACCESS_KEY_ID"
        found: Mapping[str, str] = {name: environ.get(name.upper(), "") for name in _NAMES}
    else:
        key = "blobs.credentials_file"
        found = _of_file(place.credentials_file)
    access_key, secret_key, token = (found.get(name, "").strip() for name in _NAMES)
    if not access_key or not secret_key:
        raise ConfigError(
            f"{key}: an access key is needed: blobs.credentials_file names a file with [default],"
            " aws_access_key_id and aws_secret_access_key; without it AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY of the environment are used"
        )
    return Credentials(access_key=access_key, secret_key=secret_key, session_token=token or None)


def _of_file(path: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o007:
                raise ConfigError(f"blobs.credentials_file: everybody may read {path}; chmod o= {path}")
            parser.read_string(file.read(_MAX_FILE_BYTES))
        return parser["default"]
    except OSError as error:
        raise ConfigError(f"blobs.credentials_file: cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, configparser.Error, KeyError):
        raise ConfigError(f"blobs.credentials_file: {path} has no [default] with an access key") from None
