"""The messages: what is sent arrives, and no line, however broken, raises anything but ProtocolError."""

import json
import random

import pytest
from RRLMedSAMEngine import protocol

MATRIX = ((1.0, 0.0, 0.25, -3.5), (0.0, 1e-3, 0.0, 2e5), (0.0, 0.0, -1.0, 0.1), (0.0, 0.0, 0.0, 1.0))
ARRAY = protocol.Array("labels é.npy", MATRIX)
FIELD = protocol.Field("f.npy", MATRIX)
MESSAGES = [
    protocol.Probe(1),
    protocol.Segment(2, "/tmp/a b ü", ARRAY, [ARRAY, ARRAY], ARRAY, "best", "cuda", "instant", 7),
    protocol.SegmentFile(
        4, "/tmp/a", ARRAY, ARRAY, [protocol.Structure(1, "Lebér", (0.1, 0.2, 1.0), "")], "/tmp/ü.nii.gz", "/tmp/out",
        "ü", True, "fast", "cpu", "instant", 7,
    ),
    protocol.Refine(5, "/tmp/a", ARRAY, [ARRAY], ARRAY, MATRIX, FIELD, [ARRAY], ARRAY, [1, 7], "cpu"),
    protocol.Adapt(
        3, "/tmp/a b ü", ARRAY, ARRAY, {"1": "Lebér"}, [ARRAY], "", [protocol.Example(ARRAY, ARRAY)], "/tmp/ü.rrl", 0.5,
        "cpu", "general", True, 1,
    ),
    protocol.Cancel(2),
    protocol.Ready(4711, "0.1"),
    protocol.Probed(1, {"torch": "missing", "nested": [1, None]}),
    protocol.Progress(2, "align", 0.25, None),
    protocol.Progress(2, "deform", 1.0, 12.5),
    protocol.Warned(2, 'quote " newline \n and \u2028'),
    protocol.Segmented(2, [ARRAY], ARRAY, MATRIX, FIELD, FIELD, {"x": 0.1}),
    protocol.Written(4, "/tmp/out/ü", {"x": 0.1}),
    protocol.Refined(5, [ARRAY], ARRAY, {"structures": []}),
    protocol.Losses(3, {"coarse": 0.5}),
    protocol.Preview(3, "preview0.npy"),
    protocol.Adapted(3, "/tmp/ü.rrl", {"name": "ü"}),
    protocol.Failed(2, "bad_input", "Wrong.", "Do it right."),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_arrives_as_it_was_sent(message):
    line = protocol.encode(message)
    assert line.isascii() and line.endswith("\n") and line.count("\n") == 1
    assert protocol.decode(line) == message


def test_all_kinds_are_among_them():
    assert {type(message) for message in MESSAGES} == {*protocol.REQUESTS, *protocol.EVENTS}


def test_a_side_takes_only_its_own_kinds():
    with pytest.raises(protocol.ProtocolError):
        protocol.decode(protocol.encode(protocol.Ready(1, "0")), protocol.REQUESTS)
    with pytest.raises(protocol.ProtocolError):
        protocol.decode(protocol.encode(protocol.Probe(1)), protocol.EVENTS)


def test_another_version_is_refused():
    content = json.loads(protocol.encode(protocol.Probe(1)))
    content["protocol"] += 1
    with pytest.raises(protocol.ProtocolError, match="version"):
        protocol.decode(json.dumps(content))


def test_numbers_that_are_none_are_not_sent():
    with pytest.raises(ValueError):
        protocol.encode(protocol.Progress(1, "align", float("nan"), None))


def broken_lines(count: int) -> list[str]:
    """Lines that are nearly messages: cut, with characters or whole values exchanged."""
    chance = random.Random(0)
    values = [None, True, -1, 1e400, 10**400, "x", "", [], {}, [[]], {"a": 1}, [[1, 2], 3], "NaN"]
    lines = ["", "\n", "null", "[]", "{}", "\x00", "1" * 9999, "[" * 100_000]
    lines += ['{"protocol":1}', '{"protocol":1,"type":[]}']
    while len(lines) < count:
        line = protocol.encode(chance.choice(MESSAGES))
        kind = chance.randrange(4)
        if kind == 0:
            line = line[: chance.randrange(len(line))]
        elif kind == 1:
            at = chance.randrange(len(line))
            line = line[:at] + chr(chance.randrange(256)) + line[at + 1 :]
        else:
            content = json.loads(line)
            key = chance.choice(sorted(content))
            if kind == 2:
                content[key] = chance.choice(values)
            else:
                content[key + chance.choice(["", "_"])] = content.pop(key) if chance.random() < 0.5 else "extra"
            line = json.dumps(content)
        lines.append(line)
    return lines


def test_broken_lines_raise_nothing_else():
    refused = 0
    for line in broken_lines(1000):
        try:
            message = protocol.decode(line)
        except protocol.ProtocolError:
            refused += 1
        else:  # the change did not matter: then it is a message that can be sent on
            assert protocol.decode(protocol.encode(message)) == message
    assert 700 < refused < 1000
