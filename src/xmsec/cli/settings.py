"""Settings: the only reader of the environment. `xmsec.toml` beside the home or in the working folder, then `XMSEC_*`."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from xmsec.model.errors import ConfigError

PREFIX_LENGTH = 60  # a topic's name has 249 characters at most, with a stream's or a table's in it


class Settings(BaseSettings):
    """What a deployment is told from outside; each name is `XMSEC_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="XMSEC_", extra="forbid", toml_file="xmsec.toml", frozen=True)

    home: Path = Path(".xmsec")
    content_dirs: Annotated[tuple[Path, ...], NoDecode] = ()  # in the environment written like PATH, in the file a list
    key_file: Path | None = None
    key_command: Annotated[tuple[str, ...], NoDecode] = ()  # in the environment written as a shell's words, in the file a list
    token_hash: Literal["hmac-sha256", "hmac-sm3"] | None = None
    timezone: str = "Asia/Shanghai"
    kafka_bootstrap: str = "127.0.0.1:9092"  # several brokers separated by commas
    kafka_prefix: str = "xmsec"  # of topics and groups, on a cluster that another deployment uses too
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    kafka_ca: Path | None = None
    kafka_cert: Path | None = None
    kafka_key: Path | None = None
    kafka_sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = "SCRAM-SHA-512"
    kafka_user: str | None = None
    kafka_password_file: Path | None = None
    kafka_raw_hours: Annotated[int, Field(ge=1)] = 48  # raw topics hold values: no longer than a weekend
    es_url: str = "http://127.0.0.1:9200"  # several nodes separated by commas
    es_prefix: str = "xmsec"
    es_ca: Path | None = None
    es_api_key: SecretStr | None = None
    es_api_key_file: Path | None = None
    es_user: str | None = None
    es_password: SecretStr | None = None
    es_password_file: Path | None = None
    recordings: str | None = None
    host: str = "127.0.0.1"
    public_hosts: Annotated[tuple[str, ...], NoDecode] = ()  # names of the console; in the environment separated by commas
    api_per_minute: Annotated[int, Field(ge=1)] = 1200  # requests of one token, or of one person to /api
    oidc: Path | None = None
    ingest_tokens: Path | None = None
    notify_targets: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    spool_mb: Annotated[int, Field(ge=1)] = 256
    spool_hours: Annotated[int, Field(ge=1)] = 72
    log: Literal["text", "json"] = "text"
    lease_s: Annotated[float, Field(ge=1)] = 10.0
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0  # 0: a worker serves none

    @field_validator("content_dirs", mode="before")
    @classmethod
    def _like_path(cls, given: Any) -> Any:
        return tuple(part for part in given.split(os.pathsep) if part) if isinstance(given, str) else given

    @field_validator("public_hosts", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        return tuple(part.strip().lower() for part in given.split(",") if part.strip()) if isinstance(given, str) else given

    @field_validator("key_command", mode="before")
    @classmethod
    def _words(cls, given: Any) -> Any:
        return shlex.split(given) if isinstance(given, str) else given  # ValueError: an open quote

    @field_validator(
        *("oidc", "ingest_tokens", "notify_targets", "tls_cert", "tls_key", "tls_client_ca"),
        *("kafka_ca", "kafka_cert", "kafka_key", "kafka_user", "kafka_password_file"),
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, given: Any) -> Any:
        return given or None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:  # no such zone; no name; the name of a folder
            raise ValueError("no such zone; write an IANA name, Asia/Shanghai") from error
        return name

    @field_validator("kafka_bootstrap")
    @classmethod
    def _brokers(cls, given: str) -> str:
        if not all(re.fullmatch(r"([^\s:/@\[\]]+|\[[0-9a-fA-F:.]+\]):\d{1,5}", one.strip()) for one in given.split(",")):
            raise ValueError("not an address; write HOST:PORT, several separated by commas")
        return given

    @field_validator("kafka_prefix")
    @classmethod
    def _topic_name(cls, given: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*\.?", given) or len(given) > PREFIX_LENGTH:
            raise ValueError("not the beginning of a topic name; write letters, digits and single hyphens, 60 at most")
        return given.removesuffix(".")

    @field_validator("es_url")
    @classmethod
    def _without_login(cls, given: str) -> str:
        for one in given.split(","):
            parts = urlsplit(one.strip())
            if parts.username is not None:  # it would stand in every error line
                raise ValueError("holds a login; write it in XMSEC_ES_USER and XMSEC_ES_PASSWORD_FILE")
            if parts.scheme not in ("http", "https") or not parts.hostname or not parts.port:
                raise ValueError("not an address; write https://HOST:PORT, several separated by commas")
        return given

    @field_validator("es_prefix")
    @classmethod
    def _index_name(cls, given: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", given):
            raise ValueError("not the beginning of an index name; write lower-case letters, digits and single hyphens")
        return given

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times without one, and of days."""
        return ZoneInfo(self.timezone)

    @property
    def key_path(self) -> Path:
        """Where the key file is: `XMSEC_KEY_FILE`, else `key` in the home."""
        return self.key_file or self.home / "key"

    @property
    def key_place(self) -> str:
        """Where the key comes from, for people: the command's first word, or the file."""
        return f"XMSEC_KEY_COMMAND={self.key_command[0]}" if self.key_command else str(self.key_path)

    @property
    def store_path(self) -> Path:
        """Where the embedded store is."""
        return self.home / "store.sqlite"

    @property
    def on_elastic(self) -> bool:
        """Whether Elasticsearch was named, rather than only supposed where it usually is."""
        return "es_url" in self.model_fields_set

    @property
    def on_kafka(self) -> bool:
        """Whether Kafka was named."""
        return "kafka_bootstrap" in self.model_fields_set

    @property
    def shelf(self) -> str:
        """Where workers' recordings lie: a folder, or a URI that pyarrow's file systems know."""
        return self.recordings or str(self.home / "recordings")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order: what a command was given, the environment, the file."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def settings(home: Path | None = None) -> Settings:
    """Read the settings; `home` as a command was given it wins. Raises ConfigError."""
    try:
        return Settings() if home is None else Settings(home=home)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"setting {name}: {first['msg'].removeprefix('Value error, ')}",
            where=f"XMSEC_{name.upper()} or xmsec.toml",
            remedy="correct it",
        ) from error
    except ValueError as error:
        raise ConfigError("not TOML", where="xmsec.toml", remedy="correct it") from error
