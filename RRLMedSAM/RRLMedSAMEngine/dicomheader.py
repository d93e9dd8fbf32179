"""What a DICOM file says of its series, read by hand.

Standard library only, so that Slicer's process can import it.
"""

import dataclasses
import struct

PREAMBLE = 128  # bytes before the letters DICM
MODALITY, DESCRIPTION, SERIES, NUMBER = 0x00080060, 0x0008103E, 0x0020000E, 0x00200011
ITEM_END, SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF  # length of a sequence or item that ends with one of these
MOST_ELEMENTS = 20_000  # before the last that is looked for; more come in damaged files only
LONGEST = 256  # bytes of a value; DICOM allows 64 characters
SHORT = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()  # have lengths of 2 bytes
LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()  # have 2 bytes of no use and lengths of 4
NO_IMAGES = ("AU", "DOC", "FID", "KO", "PLAN", "PR", "REG", "RTDOSE", "RTPLAN", "RTSTRUCT", "RWV", "SEG", "SR")


@dataclasses.dataclass(frozen=True)
class Header:
    """Texts, "" where they are missing: ``series`` is the UID, ``number`` that of the series in its study."""

    series: str
    modality: str
    number: str
    description: str

    @property
    def is_image(self) -> bool:
        return self.modality not in NO_IMAGES


def read(path: str) -> Header | None:
    """The header of a DICOM file with a preamble; None for any other file. Raises OSError."""
    with open(path, "rb") as file:
        if file.read(PREAMBLE + 4)[PREAMBLE:] != b"DICM":
            return None
        values = {}
        try:
            _read_values(file, values)
        except struct.error:  # cut off
            pass
    return Header(*(values.get(tag, "") for tag in (SERIES, MODALITY, NUMBER, DESCRIPTION)))


def _read_values(file, values):
    depth = 0  # of open sequences and items
    for _ in range(MOST_ELEMENTS):
        tag, length = _element(file)
        if tag in (ITEM_END, SEQUENCE_END):
            depth -= 1
        elif length == UNDEFINED:
            depth += 1
        elif depth == 0 and tag in (SERIES, MODALITY, NUMBER, DESCRIPTION) and length <= LONGEST:
            values[tag] = _text(file.read(length))
        else:
            file.seek(length, 1)
        if depth == 0 and NUMBER <= tag < ITEM_END:
            return


def _element(file):
    """(tag, length) of the next element, with the type of its value or without. struct.error at the file's end."""
    head = file.read(8)
    group, number = struct.unpack_from("<HH", head)
    kind = head[4:6] if group != 0xFFFE else b""  # items have no type
    if kind in SHORT:
        (length,) = struct.unpack_from("<H", head, 6)
    elif kind in LONG:
        (length,) = struct.unpack("<I", file.read(4))
    else:
        (length,) = struct.unpack_from("<I", head, 4)
    return group << 16 | number, length


def _text(value):
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text.strip(" \0")
