"""Read a recording, whole or not: a file without an end, as a crash leaves it, gives all it has.

Damage is told, never guessed away: a chunk whose checksum does not fit is left out and counted, and where the records
themselves cannot be followed any further the file counts as cut off there.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, Message, Schema
from mcap.stream_reader import breakup_chunk
from mcap.summary import Summary
from zstandard import ZstdError

from neon_ros.data.bag import METADATA, Counts, Topic, files_of, offers_from_text
from neon_ros.data.recording import SUFFIX, Recording
from neon_ros.errors import ConfigError, ContractError, refuse

MAGIC = b"\x89MCAP0\r\n"
LARGEST_CHUNK = 512 * 2**20
"""Uncompressed size above which a chunk is taken for damaged [bytes]; writers use 1 to 4 MiB."""
_HEAD = struct.Struct("<BQ")
_FOOTER = struct.Struct("<QQI")  # start of the summary, of its offsets, checksum of all before it
_BROKEN = (McapError, ValueError, EOFError, OverflowError, MemoryError, struct.error, zlib.error)
_PACKED = (*_BROKEN, ZstdError, RuntimeError)  # lz4 raises RuntimeError


class Recorded(NamedTuple):
    """One message of a recording.

    :param log_ns: when it was received [ns since the epoch].
    :param publish_ns: when it was sent [ns since the epoch].
    :param data: serialized, CDR.
    """

    topic: str
    log_ns: int
    publish_ns: int
    data: bytes


@dataclass
class Findings:
    """What reading a file brought to light; filled while it is read.

    :param topics: by name.
    :param skipped: topics that cannot be replayed, with the reason.
    :param cut: where and how the file ends before its end; empty when it is whole.
    :param damaged: number of chunks left out.
    :param orphans: number of messages left out because nothing tells which topic they belong to.
    """

    topics: dict[str, Topic] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    cut: str = ""
    damaged: int = 0
    orphans: int = 0

    @property
    def problem(self) -> str:
        """What is wrong with the file, in words; nothing when it is whole."""
        lost = f"damaged chunks left out: {self.damaged}" if self.damaged else ""
        lone = f"messages of no known topic left out: {self.orphans}" if self.orphans else ""
        return "; ".join(filter(None, (self.cut, lost, lone)))


class Contents(NamedTuple):
    """A file that was read from end to end."""

    findings: Findings
    counts: Counts


def files_at(path: Path) -> tuple[Path, ...]:
    """Return the MCAP files of a recording, in their order.

    :param path: a file, or the folder of a bag; without ``metadata.yaml`` all MCAP files in it count.
    :raises ConfigError: when there is none.
    :raises ContractError: when ``metadata.yaml`` is none, or names another storage or a file outside.
    """
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise ConfigError(refuse("recording", f"{path}, which does not exist", "an MCAP file or the folder of a bag"))
    metadata = path / METADATA
    if metadata.is_file():
        found = [path / Path(name).name for name in files_of(metadata.read_text("utf-8", "replace"), str(metadata))]
    else:
        found = sorted(path.glob(f"*{SUFFIX}"))
    missing = [str(file) for file in found if not file.is_file()]
    if missing or not found:
        raise ConfigError(refuse(f"recording {path}", f"no {', '.join(missing) or SUFFIX + ' file'}", "a whole bag"))
    return tuple(found)


def messages(path: Path, findings: Findings) -> Iterator[Recorded]:
    """Yield the messages of one file in the order they were received, chunk by chunk.

    :param findings: filled with topics before their first message, and with what is wrong.
    :raises ContractError: when it is no MCAP file.
    """
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        reader = _Reader(findings)
        summary, chunks = _summary(file), 0
        reader.know(summary)
        file.seek(len(MAGIC))
        for opcode, content in _records(file, size, findings):
            if opcode == Opcode.CHUNK:
                chunks += 1
                yield from reader.chunk(content)
            else:
                yield from reader.single(opcode, content)
        if summary is not None and summary.statistics is not None and not findings.cut:
            findings.damaged += max(0, summary.statistics.chunk_count - chunks)


def survey(path: Path) -> Contents:
    """Return what one file holds: from its summary, or from all of it where a crash left no summary.

    :raises ContractError: when it is no MCAP file.
    """
    with _open(path) as file:
        summary = _summary(file)
    if summary is None or summary.statistics is None:
        return read_all(path)
    findings, numbers, statistics = Findings(), dict[str, int](), summary.statistics
    _Reader(findings).know(summary)
    for number, count in statistics.channel_message_counts.items():
        name = summary.channels[number].topic if number in summary.channels else ""
        numbers[name] = numbers.get(name, 0) + count
    return Contents(findings, Counts(statistics.message_start_time, statistics.message_end_time, numbers))


def read_all(path: Path) -> Contents:
    """Read one file from end to end.

    :raises ContractError: when it is no MCAP file.
    """
    findings, numbers = Findings(), dict[str, int]()
    start, end = 0, 0
    for message in messages(path, findings):
        start = min(start, message.log_ns) if numbers else message.log_ns
        end = max(end, message.log_ns)
        numbers[message.topic] = numbers.get(message.topic, 0) + 1
    return Contents(findings, Counts(start, end, numbers))


def repair(path: Path, target: Path) -> Contents:
    """Write what is readable of a recording as a new, whole one.

    :param path: a file, or the folder of a bag.
    :param target: a new file or folder.
    :raises ConfigError: when the target exists, or there is nothing to read.
    :raises ContractError: when it is no MCAP file or holds no message.
    """
    findings = Findings()
    recording: Recording | None = None
    files = files_at(path)
    for file in files:
        for message in messages(file, findings):
            recording = recording or Recording(target)
            recording.add(findings.topics[message.topic])
            recording.write(*message)
    if recording is None:
        problem = f": {findings.problem}" if findings.problem else ""
        raise ContractError(refuse(str(path), f"no readable message{problem}", "a recording with messages"))
    recording.close()
    return Contents(findings, recording.counts)


def _open(path: Path) -> IO[bytes]:
    """Open an MCAP file behind its first bytes.

    :raises ConfigError: when it cannot be read.
    :raises ContractError: when it is no MCAP file.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(refuse("recording", f"{path} ({error.strerror})", "a readable file")) from error
    if file.read(len(MAGIC)) != MAGIC:
        size = os.fstat(file.fileno()).st_size
        file.close()
        raise ContractError(refuse(str(path), f"{size} bytes that are no MCAP", "an MCAP file"))
    return file


def _summary(file: IO[bytes]) -> Summary | None:
    """Return the summary of a whole file; nothing for one that a crash cut off, or whose summary is damaged."""
    try:
        end = file.seek(-len(MAGIC) - _FOOTER.size, os.SEEK_END)
        start, _, checksum = _FOOTER.unpack(file.read(_FOOTER.size))
        if file.read() != MAGIC or not 0 < start < end:
            return None
        file.seek(start)
        if checksum not in (0, zlib.crc32(file.read(end + _FOOTER.size - 4 - start))):
            return None
        file.seek(0)
        return SeekingReader(file).get_summary()
    except (*_BROKEN, OSError):
        return None


def _records(file: IO[bytes], size: int, findings: Findings) -> Iterator[tuple[int, bytes]]:
    """Yield opcode and content of each record of the data section that leads to messages."""
    while True:
        at = file.tell()
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            findings.cut = f"cut off at byte {at} of {size}"
            return
        opcode, length = _HEAD.unpack(head)
        if opcode == 0 or length > size - at - _HEAD.size:
            findings.cut = f"cut off at byte {at} of {size}: a record of {length} bytes is not all there"
            return
        if opcode in (Opcode.DATA_END, Opcode.FOOTER):
            file.seek(-len(MAGIC), os.SEEK_END)
            if file.read() != MAGIC:
                findings.cut = f"cut off at byte {size}: the summary has no end"
            return
        if opcode in (Opcode.CHUNK, Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE):
            yield opcode, file.read(length)
        else:
            file.seek(length, os.SEEK_CUR)


class _Reader:
    """Turns records into messages."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, str | None] = {}

    def know(self, summary: Summary | None) -> None:
        """Take the topics of a summary, so that a damaged first chunk loses no more than its messages."""
        if summary is not None:
            self._schemas.update(summary.schemas)
            for channel in summary.channels.values():
                self._channels[channel.id] = self._topic(channel)

    def chunk(self, content: bytes) -> Iterator[Recorded]:
        """Yield the messages of a chunk, oldest first."""
        try:
            chunk = Chunk.read(ReadDataStream(BytesIO(content)))
            if chunk.uncompressed_size > LARGEST_CHUNK:
                raise ValueError(chunk.uncompressed_size)
            records = breakup_chunk(chunk, validate_crc=True)
            found = [message for record in records for message in self._take(record)]
        except _PACKED:
            self._findings.damaged += 1
            return
        yield from sorted(found, key=lambda message: message.log_ns)

    def single(self, opcode: int, content: bytes) -> Iterator[Recorded]:
        """Yield the message of a record outside a chunk, if it is one."""
        stream = ReadDataStream(BytesIO(content))
        read: dict[int, Callable[[], Schema | Channel | Message]] = {
            Opcode.SCHEMA: lambda: Schema.read(stream),
            Opcode.CHANNEL: lambda: Channel.read(stream),
            Opcode.MESSAGE: lambda: Message.read(stream, len(content)),
        }
        try:
            found = list(self._take(read[opcode]()))
        except _BROKEN:
            self._findings.damaged += 1
            return
        yield from found

    def _take(self, record: object) -> Iterator[Recorded]:
        if isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel) and record.id not in self._channels:
            self._channels[record.id] = self._topic(record)
        elif isinstance(record, Message):
            name = self._channels.get(record.channel_id, "")
            if name == "":
                self._findings.orphans += 1
            elif name is not None:
                yield Recorded(name, record.log_time, record.publish_time, record.data)

    def _topic(self, channel: Channel) -> str | None:
        """Take a topic; return its name, or nothing when it cannot be replayed."""
        schema = self._schemas.get(channel.schema_id)
        if channel.message_encoding != "cdr" or schema is None or schema.encoding != "ros2msg":
            encoding = f"{channel.message_encoding} with {schema.encoding if schema else 'no'} definition"
            self._findings.skipped[channel.topic] = refuse(channel.topic, encoding, "cdr with ros2msg definition")
            return None
        try:
            offers = offers_from_text(channel.metadata.get("offered_qos_profiles", ""), channel.topic)
        except ContractError as error:
            self._findings.skipped[channel.topic] = str(error)
            return None
        definition = schema.data.decode("utf-8", "replace")
        type_hash = channel.metadata.get("topic_type_hash", "")
        self._findings.topics[channel.topic] = Topic(channel.topic, schema.name, offers, definition, type_hash)
        return channel.topic
