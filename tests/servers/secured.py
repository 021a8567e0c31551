"""A broker as a department runs it: TLS, logins, an authorizer; and beside it a plain way in for who runs it."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)
from tests.servers import real
from tests.servers.gateway import Certificates, certificates

PAGE = Path(__file__).parents[2] / "docs" / "kafka.md"
PASSWORD = "correct horse battery staple"
DOORS = ("SASL_SSL", "SASL_PLAINTEXT", "SSL")
_JAAS = "org.apache.kafka.common.security"


class Secured(NamedTuple):
    """plain: where the superuser needs no login; doors: the address of each protocol's listener."""

    folder: Path
    made: Certificates
    plain: str
    doors: Mapping[str, str]

    def settings(self, user: str, password: str = PASSWORD) -> dict[str, str]:
        """What a user's deployment sets."""
        file = self.folder / f"password-{user}"
        file.write_text(password + "\n")
        file.chmod(0o600)
        return {
            "XMSEC_KAFKA_BOOTSTRAP": self.doors["SASL_SSL"],
            "XMSEC_KAFKA_SECURITY": "sasl_ssl",
            "XMSEC_KAFKA_CA": str(self.made.ca),
            "XMSEC_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "XMSEC_KAFKA_USER": user,
            "XMSEC_KAFKA_PASSWORD_FILE": str(file),
        }

    @contextmanager
    def superuser(self) -> Iterator[KafkaAdminClient]:
        """Who runs the cluster."""
        admin = KafkaAdminClient(bootstrap_servers=self.plain)
        try:
            yield admin
        finally:
            admin.close()


def granted() -> list[ACL]:
    """What the page grants, as `kafka-acls.sh` reads its lines."""
    return [acl for line in re.findall(r"^--add .+$", PAGE.read_text("utf-8"), re.M) for acl in _acls(shlex.split(line))]


def _acls(words: list[str]) -> Iterator[ACL]:
    pairs = list(zip(words[1::2], words[2::2], strict=True))
    told: dict[str, list[str]] = {}
    for name, value in pairs:
        told.setdefault(name.removeprefix("--"), []).append(value)
    pattern = ACLResourcePatternType[told.pop("resource-pattern-type", ["literal"])[0].upper()]
    (principal,) = told.pop("allow-principal")
    operations = [ACLOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", one).upper()] for one in told.pop("operation")]
    for kind, names in told.items():
        for name in names:
            for operation in operations:
                resource = ResourcePattern(ResourceType[kind.upper()], name, pattern)
                yield ACL(principal, "*", operation, ACLPermissionType.ALLOW, resource)


@contextmanager
def secured(folder: Path, users: Mapping[str, str]) -> Iterator[Secured]:
    """Run it, with what the page grants and these users (name → SCRAM mechanism)."""
    folder.mkdir()
    made = certificates(folder / "tls")
    (folder / "tls" / "both.pem").write_text(made.key.read_text() + made.chain.read_text())
    ports = _free(2 + len(DOORS))
    doors = {name: f"localhost:{port}" for name, port in zip(DOORS, ports[2:], strict=True)}
    server = real.Server(real.kafka(folder).script, folder / "broker", (*real.QUICK, *_properties(folder / "tls", ports)))
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("KAFKA_PORT", str(ports[0]))
        environment.setenv("KAFKA_CONTROLLER_PORT", str(ports[1]))
        stack.callback(server.kill)
        site = Secured(folder, made, server.start(), doors)
        with site.superuser() as admin:
            new = [UserScramCredentialUpsertion(name, mechanism, PASSWORD) for name, mechanism in users.items()]
            assert not any(admin.alter_user_scram_credentials(new).values())
            assert not admin.create_acls(granted())["failed"]
        yield site


def _properties(tls: Path, ports: list[int]) -> list[str]:
    listeners = [
        f"PLAINTEXT://127.0.0.1:{ports[0]}",
        *(f"{name}://localhost:{port}" for name, port in zip(DOORS, ports[2:], strict=True)),
    ]
    known = 'user_plain-user="' + PASSWORD + '"'
    settings = [
        f"listeners={','.join(listeners)},CONTROLLER://127.0.0.1:{ports[1]}",
        f"advertised.listeners={','.join(listeners)},CONTROLLER://127.0.0.1:{ports[1]}",
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT," + ",".join(f"{one}:{one}" for one in DOORS),
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={tls / 'both.pem'}",
        "ssl.truststore.type=PEM",
        f"ssl.truststore.location={tls / 'ca.pem'}",
        "listener.name.ssl.ssl.client.auth=required",
        "listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256",
        "listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN",
        f"listener.name.sasl_plaintext.plain.sasl.jaas.config={_JAAS}.plain.PlainLoginModule required {known};",
    ]
    scram = f"sasl.jaas.config={_JAAS}.scram.ScramLoginModule required;"
    return [*settings, *(f"listener.name.sasl_ssl.{mechanism}.{scram}" for mechanism in ("scram-sha-512", "scram-sha-256"))]


def _free(count: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]
