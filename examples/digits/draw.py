"""Draws the digits 0 to 9 by strokes and writes them as pictures/0.png ... and 0b.png ....

Every digit is a list of strokes: lines and arcs in a box 1 wide and 1 high, y pointing down,
written down by hand here. No font and no MNIST image is involved. A style moves, slants, scales
and thickens the strokes. A pixel's brightness is its distance to the nearest stroke, cut off
smoothly over one pixel. The pictures are 28x28, 8-bit grey, white on black, as the network
expects. Needs nothing beyond Python's standard library.
"""

import math
import pathlib
import struct
import zlib

FOLDER = pathlib.Path(__file__).resolve().parent / "pictures"
SIZE = 28
ARC_STEPS = 24

# A style: where the box stands in pixels, its slant, and the thickness of the pen in pixels.
# `variant` picks the second way to write a digit, where there is one.
STYLES = {
    "": {"width": 12, "height": 18, "slant": 0.0, "pen": 2.6, "x": 14, "y": 14, "variant": 0},
    "b": {"width": 13, "height": 19, "slant": 0.18, "pen": 2.0, "x": 14, "y": 13.5, "variant": 1},
}


def line(*points):
    """Returns a stroke through the given points."""
    return list(points)


def arc(center_x, center_y, radius_x, radius_y, start, end):
    """Returns an elliptic arc; degrees, 0 is right, 90 is down, so growing angles turn right."""
    angles = [math.radians(start + (end - start) * i / ARC_STEPS) for i in range(ARC_STEPS + 1)]
    return [(center_x + radius_x * math.cos(a), center_y + radius_y * math.sin(a)) for a in angles]


# Each digit: one list of strokes per variant.
DIGITS = {
    0: [[arc(0.5, 0.5, 0.45, 0.5, 0, 360)], [arc(0.5, 0.5, 0.36, 0.5, 0, 360)]],
    1: [
        [line((0.5, 0), (0.5, 1))],
        [line((0.28, 0.2), (0.55, 0), (0.55, 1))],
    ],
    2: [
        [arc(0.5, 0.28, 0.42, 0.28, 190, 395) + line((0.1, 1), (0.95, 1))],
        [arc(0.48, 0.3, 0.4, 0.3, 200, 400) + line((0.1, 0.95), (0.5, 0.93), (1, 1))],
    ],
    3: [
        [arc(0.45, 0.25, 0.4, 0.25, 200, 450), arc(0.45, 0.75, 0.47, 0.25, 270, 520)],
        [arc(0.42, 0.24, 0.38, 0.24, 215, 445), arc(0.42, 0.74, 0.46, 0.26, 272, 500)],
    ],
    4: [
        [line((0.62, 0), (0.05, 0.65), (1, 0.65)), line((0.72, 0.3), (0.72, 1))],
        [line((0.15, 0), (0.05, 0.5), (0.9, 0.5)), line((0.8, 0), (0.75, 1))],
    ],
    5: [
        [line((0.9, 0), (0.2, 0), (0.14, 0.42)) + arc(0.45, 0.69, 0.46, 0.31, 235, 515)],
        [line((0.25, 0.02), (0.2, 0.42)) + arc(0.42, 0.7, 0.42, 0.3, 245, 500),
         line((0.25, 0.02), (0.95, 0))],
    ],
    6: [
        [arc(0.85, 0.68, 0.77, 0.68, 265, 180) + arc(0.5, 0.7, 0.42, 0.3, 180, 540)],
        [line((0.62, 0), (0.3, 0.35), (0.14, 0.72)) + arc(0.48, 0.74, 0.34, 0.26, 180, 540)],
    ],
    7: [
        [line((0.05, 0), (0.95, 0), (0.4, 1))],
        [line((0.05, 0.06), (0.95, 0), (0.62, 0.4), (0.45, 1))],
    ],
    8: [
        [arc(0.5, 0.25, 0.36, 0.25, 0, 360), arc(0.5, 0.75, 0.43, 0.25, 0, 360)],
        [arc(0.5, 0.22, 0.3, 0.22, 0, 360), arc(0.5, 0.72, 0.38, 0.28, 0, 360)],
    ],
    9: [
        [arc(0.48, 0.29, 0.4, 0.29, 0, 360), line((0.88, 0.29), (0.84, 0.65), (0.68, 1))],
        [arc(0.45, 0.27, 0.36, 0.27, -20, -330) + line((0.8, 0.1), (0.74, 1))],
    ],
}


def place(point, style):
    """Returns a point of the box in pixels of the picture."""
    x, y = point[0] - 0.5, point[1] - 0.5
    return (
        style["x"] + x * style["width"] - y * style["slant"] * style["height"],
        style["y"] + y * style["height"],
    )


def distance(x, y, start, end):
    """Returns the distance of (x, y) to the segment from start to end."""
    run, rise = end[0] - start[0], end[1] - start[1]
    length_squared = run * run + rise * rise
    along = 0.0
    if length_squared > 0:
        along = ((x - start[0]) * run + (y - start[1]) * rise) / length_squared
    along = min(max(along, 0.0), 1.0)
    return math.hypot(x - start[0] - along * run, y - start[1] - along * rise)


def draw(strokes, style):
    """Returns the rows of a picture, one byte a pixel."""
    placed = [[place(point, style) for point in stroke] for stroke in strokes]
    segments = [pair for stroke in placed for pair in zip(stroke, stroke[1:])]
    rows = []
    for row in range(SIZE):
        row_bytes = bytearray()
        for column in range(SIZE):
            nearest = min(distance(column + 0.5, row + 0.5, *segment) for segment in segments)
            covered = min(max(style["pen"] / 2 - nearest + 0.5, 0.0), 1.0)
            row_bytes.append(round(255 * covered))
        rows.append(bytes(row_bytes))
    return rows


def png_bytes(rows):
    """Returns rows of 8-bit grey as a PNG file (W3C PNG specification, sections 5 and 11)."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def main():
    """Writes every digit in every style."""
    FOLDER.mkdir(exist_ok=True)
    for digit, variants in DIGITS.items():
        for name, style in STYLES.items():
            rows = draw(variants[style["variant"]], style)
            (FOLDER / f"{digit}{name}.png").write_bytes(png_bytes(rows))


if __name__ == "__main__":
    main()
