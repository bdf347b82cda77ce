"""A training as a short film. Each picture is a function of (frames, index) alone, so the film can be played again.

Points that fade once they are drawn make a second play look different. Here the number of pictures is that of frames,
the axes enclose all of them, and two renders have the same bytes.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from separatrix.errors import MissingExtra, OptionError, StoreError, choose
from separatrix.store.files import write_bytes
from separatrix.view.canvas import missing_glyphs_allowed
from separatrix.view.frames import Frames
from separatrix.view.palette import ACCENT, COLOURS, HAIR, INK, MUTED, mix, rgb
from separatrix.view.scatter_plot import PLACE, TRAIL, moment, sheet

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
    write_bytes(Path(path), WRITERS[kind](frames, seconds_per_frame))
    return Path(path)


def pictures(frames: Frames, order: Iterable[int]) -> Iterator[np.ndarray]:
    """Draw pictures of the film, in any order: each is the same whatever was drawn before it.

    Args:
        order: numbers of the frames; a negative one counts from the end.

    Yields:
        (height, width, 3) red, green and blue, 0 to 255.
    """
    figure = sheet(frames, frames.limits, dpi=FILM_DPI)
    canvas = cast(FigureCanvasAgg, figure.canvas)
    with missing_glyphs_allowed():
        canvas.draw()
    # Axes and legend are most of the work and never change: they are drawn once and put back before each picture.
    ground = np.array(canvas.buffer_rgba())
    for index in order:
        np.asarray(canvas.buffer_rgba())[:] = ground
        frame = frames.at(index)
        parts = [*moment(figure, frames, frame, TRAIL), *_progress(figure, frame, len(frames.titles))]
        with missing_glyphs_allowed():
            for part in sorted(parts, key=lambda part: part.get_zorder()):
                part.draw(canvas.get_renderer())
                part.remove()
        yield np.array(canvas.buffer_rgba())[..., :3]


def _progress(figure: Figure, frame: int, last: int) -> list[Artist]:
    """Add a bar, and the number that makes each picture different from the last: writers of GIF drop equal ones."""
    left, width, top = PLACE[0], PLACE[2], 0.976
    bars = [
        figure.add_artist(Rectangle((left, top), width * share, 0.008, color=colour, linewidth=0, zorder=layer))
        for layer, (share, colour) in enumerate(((1.0, HAIR), ((frame + 1) / last, ACCENT)))
    ]
    count = figure.text(
        left + width + 0.01, top + 0.004, f"{frame + 1} / {last}", fontsize=7.5, color=MUTED, va="center"
    )
    return [*bars, count]


def _gif(frames: Frames, seconds: float) -> bytes:
    palette = _palette()
    shots = pictures(frames, range(len(frames.titles)))
    pages = [Image.fromarray(shot).quantize(palette=palette, dither=Image.Dither.NONE) for shot in shots]
    buffer = io.BytesIO()
    stays = [round(seconds * 100) * 10] * (len(pages) - 1) + [2000]  # milliseconds, in steps of ten
    pages[0].save(buffer, format="GIF", save_all=True, append_images=pages[1:], duration=stays, loop=0, disposal=1)
    return buffer.getvalue()


def _palette() -> Image.Image:
    """256 colours for all pictures alike, so that nothing flickers: each class colour towards white and towards ink."""
    # The search for the nearest colour is coarse: a grey too near to white would be taken for it, on the whole ground.
    colours = ["#ffffff", *(mix("#ffffff", INK, step / 40) for step in range(2, 41))]
    colours += [MUTED, HAIR]
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
    shots = list(pictures(frames, range(len(frames.titles))))
    height, width, _ = shots[0].shape
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        command = [
            program, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
            "-r", f"{1 / seconds:.6f}", "-i", "-", "-pix_fmt", "yuv420p", "-threads", "1",
            "-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1", str(film),
        ]  # fmt: skip
        done = subprocess.run(
            command, input=b"".join(shot.tobytes() for shot in shots), capture_output=True, check=False
        )
        if done.returncode or not film.is_file():
            reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no film written"]
            raise StoreError("ffmpeg could not write the film", got=reason[0], hint="name the file .gif")
        return film.read_bytes()


WRITERS = {".gif": _gif, ".mp4": _mp4}
