"""Makes small pictures of many kinds and what Pillow's Image.open(...).convert('RGB') reads from them.

Output: testdata/image/NAME.EXT and testdata/image/expected.json (size and RGB bytes, base64; resized pictures).
Run with Pillow 12 and numpy: python tools/goldens/make_image_goldens.py
"""

import base64
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

OUT = Path(__file__).resolve().parents[2] / "testdata" / "image"
RNG = np.random.default_rng(5)
WIDTH, HEIGHT = 21, 13


def smooth(channels: int) -> np.ndarray:
    """A colourful picture with gradients, edges and some noise, [HEIGHT, WIDTH, channels] u8."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    planes = [
        127 + 120 * np.sin(x / 4 + c) * np.cos(y / (3 + c)) + RNG.normal(0, 4, x.shape) + 30 * ((x + c * y) % 7 < 2)
        for c in range(channels)
    ]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def png(width: int, height: int, depth: int, color: int, rows: list[bytes], *, chunks=(), interlace=0) -> bytes:
    """A PNG written chunk by chunk, for kinds that Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + b"".join(chunk(kind, body) for kind, body in chunks)
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def packed_rows(values: np.ndarray, depth: int) -> list[bytes]:
    rows = []
    for row in values:
        bits = "".join(format(int(v), f"0{depth}b") for v in row)
        bits += "0" * (-len(bits) % 8)
        rows.append(int(bits, 2).to_bytes(len(bits) // 8, "big"))
    return rows


def interlaced_rows(pixels: np.ndarray) -> list[bytes]:
    rows = []
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = pixels[y0::dy, x0::dx]
        if part.shape[1]:
            rows += [row.tobytes() for row in part]
    return rows


def swapped_profile() -> bytes:
    """An ICC profile whose red and green primaries are exchanged: obeying it changes every colour."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # the date of making, so that every run gives the same file
    red, green = profile.find(b"rXYZ"), profile.find(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def files() -> dict[str, bytes]:
    rgb, rgba, gray = smooth(3), smooth(4), smooth(1)[..., 0]
    rgba[2:5, 3:9, 3] = 0  # transparent pixels keep their colour
    rgba[6:8, 3:9, 3] = 255
    pil, pila, pilg = Image.fromarray(rgb), Image.fromarray(rgba), Image.fromarray(gray)
    la = Image.merge("LA", [pilg, pila.getchannel("A")])
    palette = pil.quantize(40)
    cmyk = Image.fromarray(smooth(4), "CMYK")
    profile = swapped_profile()
    exif = Image.Exif()
    exif[0x0112] = 6
    sixteen = RNG.integers(0, 65536, (HEIGHT, WIDTH, 4)).astype(">u2")
    sixteen[0, :8, 0] = [0, 1, 127, 255, 256, 257, 32768, 65535]

    def raw16(channels: list[int], color: int) -> bytes:
        rows = [np.ascontiguousarray(row[:, channels]).tobytes() for row in sixteen]
        return png(WIDTH, HEIGHT, 16, color, rows)

    def low(depth: int) -> np.ndarray:
        return (gray >> (8 - depth)).astype(np.uint8)

    colors = RNG.integers(0, 256, (16, 3)).astype(np.uint8).tobytes()
    out = {
        "rgb.png": saved(pil, "PNG"),
        "rgba.png": saved(pila, "PNG"),
        "gray.png": saved(pilg, "PNG"),
        "gray-alpha.png": saved(la, "PNG"),
        "palette.png": saved(palette, "PNG"),
        "palette-transparent.png": saved(palette, "PNG", transparency=bytes([0, 128, 255, 7])),
        "palette4.png": png(WIDTH, HEIGHT, 4, 3, packed_rows(low(4), 4), chunks=[(b"PLTE", colors)]),
        "palette1.png": png(WIDTH, HEIGHT, 1, 3, packed_rows(low(1), 1), chunks=[(b"PLTE", colors[:6])]),
        "gray1.png": png(WIDTH, HEIGHT, 1, 0, packed_rows(low(1), 1)),
        "gray2.png": png(WIDTH, HEIGHT, 2, 0, packed_rows(low(2), 2)),
        "gray4.png": png(WIDTH, HEIGHT, 4, 0, packed_rows(low(4), 4)),
        "gray-key.png": png(WIDTH, HEIGHT, 8, 0, [r.tobytes() for r in gray], chunks=[(b"tRNS", struct.pack(">H", int(gray[0, 0])))]),
        "rgb-key.png": png(WIDTH, HEIGHT, 8, 2, [r.tobytes() for r in rgb], chunks=[(b"tRNS", struct.pack(">HHH", *map(int, rgb[0, 0])))]),
        "gray16.png": raw16([0], 0),
        "gray-alpha16.png": raw16([0, 3], 4),
        "rgb16.png": raw16([0, 1, 2], 2),
        "rgba16.png": raw16([0, 1, 2, 3], 6),
        "interlaced.png": png(WIDTH, HEIGHT, 8, 2, interlaced_rows(rgb), interlace=1),
        "gamma.png": png(WIDTH, HEIGHT, 8, 2, [r.tobytes() for r in rgb], chunks=[(b"gAMA", struct.pack(">I", 100000))]),
        "profile.png": saved(pil, "PNG", icc_profile=profile),
        "rgb420.jpg": saved(pil, "JPEG", quality=80),
        "rgb444.jpg": saved(pil, "JPEG", quality=90, subsampling=0),
        "progressive.jpg": saved(pil, "JPEG", quality=75, progressive=True),
        "gray.jpg": saved(pilg, "JPEG"),
        "cmyk.jpg": saved(cmyk, "JPEG", quality=90),
        "rotated.jpg": saved(pil, "JPEG", quality=90, exif=exif),
        "profile.jpg": saved(pil, "JPEG", quality=90, icc_profile=profile),
        "lossy.webp": saved(pil, "WEBP", quality=80),
        "lossy-alpha.webp": saved(pila, "WEBP", quality=80),
        "lossless.webp": saved(pil, "WEBP", lossless=True),
        "lossless-alpha.webp": saved(pila, "WEBP", lossless=True, exact=True),
        "animated.webp": saved(pil, "WEBP", save_all=True, append_images=[Image.fromarray(255 - rgb)], lossless=True),
        "palette.gif": saved(palette, "GIF"),
        "gray.gif": saved(pilg, "GIF"),
        "transparent.gif": saved(palette, "GIF", transparency=int(np.array(palette)[0, 0])),
        "animated.gif": saved(palette, "GIF", save_all=True, append_images=[palette.rotate(180)], duration=50),
        "rgb.tiff": saved(pil, "TIFF"),
        "lzw.tiff": saved(pil, "TIFF", compression="tiff_lzw"),
        "rgba.tiff": saved(pila, "TIFF"),
        "gray.tiff": saved(pilg, "TIFF"),
        "bilevel.tiff": saved(pilg.convert("1"), "TIFF"),
        "palette.tiff": saved(palette, "TIFF"),
        "cmyk.tiff": saved(cmyk, "TIFF"),
        "gray16.tiff": saved(Image.fromarray(sixteen[..., 0].astype("<u2")), "TIFF"),
        "rgb.avif": saved(pil, "AVIF", quality=80),
        "rgb444.avif": saved(pil, "AVIF", quality=80, subsampling="4:4:4"),
        "lossless.avif": saved(pil, "AVIF", quality=100, subsampling="4:4:4"),
    }
    out["offset.gif"] = offset_gif(out["palette.gif"], 30, 20, 4, 3)
    out["offset-transparent.gif"] = offset_gif(out["transparent.gif"], 30, 20, 4, 3)
    return out


def offset_gif(data: bytes, width: int, height: int, left: int, top: int) -> bytes:
    """The same GIF on a larger screen, its first frame moved: the rest of the screen has no pixels."""
    out = bytearray(data)
    struct.pack_into("<HH", out, 6, width, height)
    at = 13 + 3 * 2 ** ((out[10] & 7) + 1)
    while out[at] == 0x21:  # extension: label, then sub-blocks up to an empty one
        at += 2
        while out[at]:
            at += out[at] + 1
        at += 1
    assert out[at] == 0x2C
    struct.pack_into("<HH", out, at + 1, left, top)
    return bytes(out)


RESIZES = [(1, 1), (7, 5), (21, 13), (21, 7), (8, 13), (20, 12), (22, 14), (64, 64), (3, 40), (100, 1)]


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    expected: dict[str, object] = {}
    for name, data in files().items():
        (OUT / name).write_bytes(data)
        image = Image.open(io.BytesIO(data))
        mode = image.mode
        rgb = image.convert("RGB")
        expected[name] = {
            "mode": mode,
            "width": rgb.width,
            "height": rgb.height,
            "rgb": base64.b64encode(rgb.tobytes()).decode(),
        }
    source = Image.open(OUT / "rgb.png")
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    resized = [
        {
            "filter": name,
            "width": w,
            "height": h,
            "rgb": base64.b64encode(source.resize((w, h), filter_).tobytes()).decode(),
        }
        for name, filter_ in filters.items()
        for w, h in RESIZES
    ]
    text = json.dumps({"files": expected, "resized": resized}, indent=1)
    (OUT / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
