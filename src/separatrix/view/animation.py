"""A training as a short film. Each picture is a function of (frames, index) alone, so the film can be played again.

Seed 001 faded the points already drawn; a second play looked different, and the film ran past its data. Here the
number of pictures is the number of frames, the axes enclose all of them, and two renders have the same bytes.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from separatrix.errors import MissingExtra, OptionError, StoreError, choose
from separatrix.view.canvas import missing_glyphs_allowed
from separatrix.view.files import write_whole
from separatrix.view.frames import Frames
from separatrix.view.palette import ACCENT, COLOURS, HAIR, INK, MUTED, mix, rgb
from separatrix.view.scatter_plot import TRAIL, draw

FILM_DPI = 100  # 800 x 540 pixels: even numbers, as video codecs ask for


def animate(frames: Frames, path: str | Path, *, seconds_per_frame: float = 0.15) -> Path:
    """Write the training as GIF or MP4, one picture per frame, whole or not at all.

    Args:
        frames: the training, seen in one fixed plane.
        path: the file; .gif needs nothing more, .mp4 needs the program ffmpeg.
        seconds_per_frame: how long a picture stays; the last one of a GIF stays for two seconds.

    Raises:
        OptionError: another ending, or a time below 0.02 seconds (players of GIF ignore that).
        MissingExtra: .mp4 without ffmpeg.
        StoreError: the place cannot be written, or ffmpeg failed.
    """
    kind = choose(Path(path).suffix.lower(), WRITERS, "kind of film")
    if not 0.02 <= seconds_per_frame <= 60:
        raise OptionError("seconds_per_frame is out of range", got=seconds_per_frame, expected="0.02 to 60")
    return write_whole(path, WRITERS[kind](frames, seconds_per_frame))


def picture(frames: Frames, index: int) -> np.ndarray:
    """One picture of the film.

    Args:
        frames: the training.
        index: number of the frame; -1 is the last.

    Returns:
        (height, width, 3) red, green and blue, 0 to 255.
    """
    frame, last = frames.at(index), len(frames.titles)
    figure = draw(frames, frame, frames.limits, dpi=FILM_DPI, trail=TRAIL)
    bar = figure.add_axes((0.085, 0.985, 0.66, 0.008))
    bar.set_axis_off()
    bar.set_xlim(0, last)
    bar.axhspan(0, 1, color=HAIR, linewidth=0)
    bar.barh(0.5, frame + 1, height=1, color=ACCENT, linewidth=0)
    # The number makes each picture different from the one before: players and writers drop equal ones.
    figure.text(0.755, 0.989, f"{frame + 1} / {last}", fontsize=7.5, color=MUTED, va="center")
    with missing_glyphs_allowed():
        figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]


def _pictures(frames: Frames) -> Iterator[Image.Image]:
    for index in range(len(frames.titles)):
        yield Image.fromarray(picture(frames, index))


def _gif(frames: Frames, seconds: float) -> bytes:
    palette = _palette()
    pages = [page.quantize(palette=palette, dither=Image.Dither.NONE) for page in _pictures(frames)]
    buffer = io.BytesIO()
    stays = [round(seconds * 100) * 10] * (len(pages) - 1) + [2000]  # milliseconds, in steps of ten
    pages[0].save(buffer, format="GIF", save_all=True, append_images=pages[1:], duration=stays, loop=0, disposal=1)
    return buffer.getvalue()


def _palette() -> Image.Image:
    """256 colours for all pictures alike, so that nothing flickers: each class colour towards white and towards ink."""
    colours = [mix("#ffffff", INK, step / 40) for step in range(41)]
    colours += [mix("#ffffff", grey, step / 6) for grey in (MUTED, HAIR) for step in range(1, 7)]
    for colour in (*COLOURS, ACCENT):
        colours += [mix("#ffffff", colour, step / 12) for step in range(1, 13)]
        colours += [mix(colour, INK, step / 6) for step in range(1, 6)]
    flat = [part for colour in colours[:256] for part in rgb(colour)]
    image = Image.new("P", (1, 1))
    image.putpalette(flat)
    return image


def _mp4(frames: Frames, seconds: float) -> bytes:
    program = shutil.which("ffmpeg")
    if program is None:
        raise MissingExtra("an .mp4 film needs the program ffmpeg", hint="install ffmpeg, or name the file .gif")
    height, width, _ = picture(frames, 0).shape
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        command = [
            program, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
            "-r", f"{1 / seconds:.6f}", "-i", "-", "-pix_fmt", "yuv420p", "-threads", "1",
            "-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1", str(film),
        ]  # fmt: skip
        done = subprocess.run(
            command, input=b"".join(page.tobytes() for page in _pictures(frames)), capture_output=True, check=False
        )
        if done.returncode or not film.is_file():
            reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no film written"]
            raise StoreError("ffmpeg could not write the film", got=reason[0], hint="name the file .gif")
        return film.read_bytes()


WRITERS = {".gif": _gif, ".mp4": _mp4}
