"""The key file: made once, complete and for its owner only; anything else is refused by name."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from neon_ros.errors import ConfigError
from neon_ros.motor.key import KeyFile


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """A session's own key file, not made yet."""
    return KeyFile("s", folder=tmp_path / "shm")


def test_a_new_key_is_for_its_owner_only_and_the_others_read_it(keys: KeyFile, tmp_path: Path) -> None:
    keys.prepare()
    assert not keys.path.exists(), "who only prepares has no right to the session yet"
    before = os.umask(0)
    try:
        keys.renew()
    finally:
        os.umask(before)
    found = keys.path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_size, found.st_uid) == (0o600, 32, os.geteuid())
    assert stat.S_IMODE(keys.path.parent.stat().st_mode) == 0o700
    secret = keys.path.read_bytes()
    other = KeyFile("s", folder=tmp_path / "shm")
    other.prepare()
    assert keys.path.read_bytes() == secret and other.key().fingerprint == keys.key().fingerprint
    assert [entry.name for entry in keys.path.parent.iterdir()] == ["s.key"], "no half-written file stays"


def test_many_who_come_at_once_agree_on_one_named_key(tmp_path: Path) -> None:
    made = [KeyFile("s", str(tmp_path / "k"), folder=tmp_path) for _ in range(16)]
    gate, found, errors = threading.Barrier(16), set(), []

    def come(keys: KeyFile) -> None:
        gate.wait()
        try:
            keys.prepare()
            found.add(keys.key().fingerprint)
        except ConfigError as error:
            errors.append(error)

    threads = [threading.Thread(target=come, args=(keys,)) for keys in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1 and not errors


def test_a_renewed_key_is_another_one_and_is_seen_at_once(keys: KeyFile, tmp_path: Path) -> None:
    reader = KeyFile("s", folder=tmp_path / "shm")
    keys.renew()
    old = reader.key()
    assert reader.key() is old, "read again only when the file is another"
    keys.renew()
    assert reader.key().fingerprint == keys.key().fingerprint != old.fingerprint
    keys.remove()
    with pytest.raises(
        ConfigError, match=r"key file .*s\.key: got no such file; allowed: the file that g1_command makes"
    ):
        reader.key()
    keys.remove()


def test_a_named_file_is_made_once_and_never_renewed_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "policy.key"
    keys = KeyFile("s", str(path), folder=tmp_path / "shm")
    keys.prepare()
    secret = path.read_bytes()
    with pytest.raises(ConfigError, match=r"renewal of the key: got .*policy\.key; allowed: the session's own key"):
        keys.renew()
    keys.remove()
    keys.prepare()
    assert path.read_bytes() == secret


def test_neither_session_nor_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="key of the chunks: got neither session nor key_file; allowed: one of them"):
        KeyFile("", "")


def made_wrong(path: Path, how: str) -> None:
    """Put something at ``path`` that is no key file of ours."""
    if how == "link":
        target = path.with_name("elsewhere")
        target.write_bytes(bytes(32))
        target.chmod(0o600)
        path.symlink_to(target)
    elif how == "folder":
        path.mkdir(mode=0o700)
    elif how == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path.write_bytes(bytes(31 if how == "short" else 33 if how == "long" else 0 if how == "empty" else 32))
        path.chmod({"group": 0o640, "others": 0o604, "writable": 0o602}.get(how, 0o600))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("group", "mode 0640; allowed: 0600"),
        ("others", "mode 0604; allowed: 0600"),
        ("writable", "mode 0602; allowed: 0600"),
        ("short", "31 bytes; allowed: 32 random bytes"),
        ("long", "33 bytes; allowed: 32 random bytes"),
        ("empty", "0 bytes; allowed: 32 random bytes"),
        ("link", "a symbolic link; allowed: a file of its own"),
        ("folder", "no regular file; allowed: a file of its own"),
        ("pipe", "no regular file; allowed: a file of its own"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_what_others_could_have_read_or_written_is_refused(how: str, message: str, named: bool, tmp_path: Path) -> None:
    keys = KeyFile("s", str(tmp_path / "s.key") if named else "", folder=tmp_path)
    made_wrong(keys.path, how)
    for use in (keys.prepare, keys.key):
        with pytest.raises(ConfigError, match=rf"key file {tmp_path}/s\.key: got {message}"):
            use()


def test_a_key_that_is_opened_to_others_later_is_not_used_any_more(keys: KeyFile) -> None:
    keys.renew()
    keys.key()
    keys.path.chmod(0o644)
    with pytest.raises(ConfigError, match="got mode 0644; allowed: 0600"):
        keys.key()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_a_key_of_another_user_is_refused(keys: KeyFile) -> None:
    keys.renew()
    os.chown(keys.path, 12345, -1)
    with pytest.raises(ConfigError, match=f"got owner uid 12345; allowed: uid {os.geteuid()}"):
        keys.key()


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    keys = KeyFile("s", str(tmp_path / "nowhere" / "k"))
    with pytest.raises(ConfigError, match=r"key file .*/nowhere/k: got No such file or directory; allowed: a folder"):
        keys.prepare()


def test_no_error_and_no_name_tells_the_key(keys: KeyFile) -> None:
    keys.renew()
    secret = keys.path.read_bytes()
    said = [repr(keys), repr(vars(keys)), repr(keys.key()), str(keys.path)]
    keys.path.chmod(0o644)
    with pytest.raises(ConfigError) as refused:
        keys.key()
    for text in (*said, str(refused.value), repr(refused.value.__context__)):
        assert secret.hex()[:12] not in text and repr(secret)[2:14] not in text
