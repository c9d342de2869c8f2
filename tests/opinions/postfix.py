"""A Postfix of the test's own: unpacked, on loopback, its queue in a scratch folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select
from tempfile import mkdtemp
from typing import Final

from tests.leaving_out import leave_out

UNPACKED: Final = Path(__file__).parent / "unpacked"
_QUEUES: Final = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"),
    *("maildrop", "private", "public", "saved", "trace"),
)
_OWNER, _GROUP, _NOBODY = "mail", "daemon", "nobody"
"""Accounts that every Debian has: the packages' own are made when they are installed."""

_MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
daemon_directory = {unpacked}/usr/lib/postfix/sbin
command_directory = {unpacked}/usr/sbin
shlib_directory = {unpacked}/usr/lib/postfix
mail_owner = {owner}
setgid_group = {group}
default_privs = {nobody}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = out.m.northwind.example
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
smtp_dns_support_level = disabled
relayhost = [127.0.0.1]:{next_port}
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {certificate}
notify_classes =
"""
_MASTER: Final = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix       n - n - 0   cleanup
qmgr      unix       n - n 300 1 qmgr
tlsmgr    unix       - - n 300 1 tlsmgr
rewrite   unix       - - n - -   trivial-rewrite
bounce    unix       - - n - 0   bounce
defer     unix       - - n - 0   bounce
trace     unix       - - n - 0   bounce
verify    unix       - - n - 1   verify
proxymap  unix       - - n - -   proxymap
smtp      unix       - - n - -   smtp
error     unix       - - n - -   error
retry     unix       - - n - -   error
anvil     unix       - - n - 1   anvil
scache    unix       - - n - 1   scache
postlog   unix-dgram n - n - 1   postlogd
"""


@dataclass(frozen=True)
class Postfix:
    """A running server; it hands everything on to one port of loopback."""

    port: int


@contextmanager
def running_postfix(next_port: int, certificate: Path) -> Iterator[Postfix]:
    """Run one with a certificate and its key; skips where it is missing or cannot run."""
    if not UNPACKED.is_dir():
        leave_out("Postfix is not installed: `make opinions`")
    if os.geteuid() != 0:
        leave_out("Postfix starts as root alone, and drops its rights by itself")
    folder = Path(mkdtemp(prefix="postfix-"))
    folder.chmod(0o755)  # its processes are others than the test
    port = _free_port()
    try:
        _write(folder, port, next_port, certificate)
        _start(folder)
        yield Postfix(port)
    finally:
        _stop(folder)
        shutil.rmtree(folder, ignore_errors=True)  # its last process may still write


def _write(folder: Path, port: int, next_port: int, certificate: Path) -> None:
    configuration, spool = folder / "configuration", folder / "spool"
    for place in (configuration, spool, spool / "pid"):
        place.mkdir(mode=0o755)
    for place in (folder / "data", *(spool / name for name in _QUEUES)):
        place.mkdir(mode=0o710 if place.name == "public" else 0o700)
        shutil.chown(place, _OWNER)
    own = folder / "certificate.pem"
    own.touch(mode=0o600)
    own.write_bytes(certificate.read_bytes())
    names = {"owner": _OWNER, "group": _GROUP, "nobody": _NOBODY, "unpacked": UNPACKED}
    places = {"folder": folder, "certificate": own, "port": port, "next_port": next_port}
    for name, text in (("main.cf", _MAIN), ("master.cf", _MASTER)):
        (configuration / name).write_text(text.format(**names, **places))


def _start(folder: Path) -> None:
    libraries = UNPACKED / "usr" / "lib" / "postfix"
    done = subprocess.run(
        # -w: comes back when the server has begun.
        [libraries / "sbin" / "master", "-w", "-c", folder / "configuration"],
        env={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(libraries)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # the server keeps it open
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    log = folder / "maillog"
    assert done.returncode == 0, log.read_text() if log.exists() else "Postfix wrote no log"


def _stop(folder: Path) -> None:
    """End the server, and show its log, which pytest hides unless the test failed."""
    number = folder / "spool" / "pid" / "master.pid"
    if not number.exists():
        return
    server = os.pidfd_open(int(number.read_text()))
    try:
        signal.pidfd_send_signal(server, signal.SIGTERM)
        select([server], [], [], 10)
    finally:
        os.close(server)
    sys.stdout.write((folder / "maillog").read_text())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
