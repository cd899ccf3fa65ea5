"""Write a recording: an MCAP file of profile ``ros2`` that is whole on the disk up to the last flush.

Messages go into compressed chunks.  :meth:`Recording.flush` ends the chunk, waits until the disk has it and renews the
``metadata.yaml`` beside the file; what was flushed is readable whatever happens to the process or the power.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcap.writer import CompressionType, Writer

from neon_ros import __version__
from neon_ros.data.bag import METADATA, Counts, Topic, metadata_text, offers_text
from neon_ros.errors import ConfigError, NeonError, refuse

SUFFIX = ".mcap"
CHUNK = 768 * 1024
"""Uncompressed size at which a chunk ends [bytes], rosbag2's own."""
_COMPRESSIONS = {"none": CompressionType.NONE, "lz4": CompressionType.LZ4, "zstd": CompressionType.ZSTD}
COMPRESSIONS = tuple(_COMPRESSIONS)


class DiskError(NeonError):
    """A recording could not be written any further; what was flushed before is whole."""


@dataclass(frozen=True)
class Limits:
    """When a recording ends by itself.

    :param size: of the file [bytes].
    :param seconds: length [s].
    :param keep_free: space that stays free on the disk [bytes].
    """

    size: int = 4 * 2**30
    seconds: float = 3600.0
    keep_free: int = 2**30

    def reached(self, size: int, seconds: float, free: int) -> str:
        """Return which limit is reached, in words; nothing when none is."""
        if seconds >= self.seconds:
            return f"recorded {self.seconds:g} s, the longest allowed"
        if size >= self.size:
            return f"the file has {size / 1e6:.0f} MB, the most allowed"
        if free < self.keep_free:
            return f"the disk has {free / 1e6:.0f} MB left, and {self.keep_free / 1e6:.0f} MB stay free"
        return ""


class _Disk:
    """A file that knows how far it is safely on the disk; what MCAP's writer asks of a stream, and no more."""

    def __init__(self, path: Path) -> None:
        self._number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self.size, self.safe = 0, 0

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[os.write(self._number, left) :]
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        os.fdatasync(self._number)
        self.safe = self.size

    def cut(self) -> None:
        """Give back what was written after the last flush, such as half a chunk on a full disk."""
        with suppress(OSError):
            os.ftruncate(self._number, self.safe)

    def close(self) -> None:
        os.close(self._number)


class Recording:
    """One file being written, not from several threads at once.

    :param target: a file ending in ``.mcap``, or the folder of a bag, which must not exist; it then gets
        ``NAME/NAME_0.mcap`` and ``NAME/metadata.yaml``.
    :param compression: of the chunks, one of :data:`COMPRESSIONS`.
    :raises ConfigError: when the target exists.
    :raises DiskError: when it cannot be made.
    """

    def __init__(self, target: Path, compression: str = "lz4") -> None:
        self.target = target
        self.path = target if target.suffix == SUFFIX else target / f"{target.name}_0{SUFFIX}"
        self._bag = target.suffix != SUFFIX
        if target.exists():
            raise ConfigError(refuse("recording", f"{target}, which exists", "a new name"))
        self._topics: dict[str, tuple[Topic, int]] = {}
        self._schemas: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._start_ns, self._end_ns = 0, 0
        self._closed = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._disk = _Disk(self.path)
        except OSError as error:
            raise DiskError(
                refuse("recording", f"{self.path} ({error.strerror})", "a file that can be made")
            ) from error
        stream: Any = self._disk  # the writer asks for write, tell and flush only
        self._writer = Writer(stream, chunk_size=CHUNK, compression=_COMPRESSIONS[compression])
        self._guarded(lambda: self._writer.start("ros2", f"neon_ros/{__version__}"))

    @property
    def size(self) -> int:
        """Bytes written to the file so far."""
        return self._disk.size

    @property
    def counts(self) -> Counts:
        """What was recorded so far."""
        return Counts(self._start_ns, self._end_ns, dict(self._counts))

    def free(self) -> int:
        """Return the space that is free on its disk [bytes]."""
        return shutil.disk_usage(self.path.parent).free

    def add(self, topic: Topic) -> None:
        """Make a topic known; a known one gets nothing new but its offers in ``metadata.yaml``.

        :raises DiskError: when the disk takes no more.
        """
        if topic.name in self._topics:
            known, channel = self._topics[topic.name]
            self._topics[topic.name] = replace(known, offers=topic.offers), channel
            return
        if topic.type not in self._schemas:
            schema = self._writer.register_schema(topic.type, "ros2msg", topic.definition.encode())
            self._schemas[topic.type] = schema
        about = {"offered_qos_profiles": offers_text(topic.offers), "topic_type_hash": topic.type_hash}
        channel = self._writer.register_channel(topic.name, "cdr", self._schemas[topic.type], about)
        self._topics[topic.name] = topic, channel

    def write(self, topic: str, log_ns: int, publish_ns: int, data: bytes) -> None:
        """Take one message.

        :param topic: a name that :meth:`add` was given.
        :param log_ns: when it was received [ns since the epoch].
        :param publish_ns: when it was sent [ns since the epoch].
        :param data: serialized, CDR.
        :raises DiskError: when the disk takes no more; the recording has then ended.
        """
        channel = self._topics[topic][1]
        self._start_ns = min(self._start_ns, log_ns) if self._counts else log_ns
        self._end_ns = max(self._end_ns, log_ns)
        sequence = self._counts[topic] = self._counts.get(topic, 0) + 1
        self._guarded(lambda: self._writer.add_message(channel, log_ns, data, publish_ns, sequence % 2**32))

    def flush(self) -> None:
        """Bring everything so far onto the disk.

        :raises DiskError: when the disk takes no more; the recording has then ended.
        """

        def bring() -> None:
            self._writer.flush()
            self._write_metadata()

        self._guarded(bring)

    def close(self) -> None:
        """Finish the file; a second call does nothing.

        :raises DiskError: when the disk takes no more.
        """
        if self._closed:
            return

        def finish() -> None:
            self._writer.finish()
            self._disk.flush()
            self._write_metadata()

        self._guarded(finish)
        self._end()

    def _write_metadata(self) -> None:
        if not self._bag:
            return
        part = self.target / f".{METADATA}.part"
        part.write_text(
            metadata_text(self.path.name, (topic for topic, _ in self._topics.values()), self.counts), encoding="utf-8"
        )
        part.replace(self.target / METADATA)

    def _guarded(self, act: Callable[[], object]) -> None:
        if self._closed:
            raise DiskError(refuse("recording", "one more message", "none: it has ended"))
        try:
            act()
        except OSError as error:
            self._disk.cut()
            self._end()
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            got = "a full disk" if full else error.strerror or str(error)
            allowed = f"space for the recording; {self.path} is whole up to the last flush, see neon record repair"
            raise DiskError(refuse("recording", got, allowed)) from error

    def _end(self) -> None:
        if not self._closed:
            self._closed = True
            self._disk.close()
