"""MP4 files as scorers of videos take them: H.264, 4:2:0, the same bytes for the same frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from chainofsteps.refusal import Refused

_CRF = "12"  # of x264: below, the eye sees nothing


@dataclass(frozen=True)
class VideoShape:
    """Frames, pixels and frames a second of a file."""

    frames: int
    height: int
    width: int
    fps: float


def write_video(path: str | Path, frames: np.ndarray, fps: float) -> None:
    """Write frames to a file, under a temporary name until it is whole.

    Parameters
    ----------
    path : path
        Ends in ``.mp4``.
    frames : ndarray of uint8, (frame, y, x, channel)
        RGB; even sides, as 4:2:0 needs them.
    fps : float
        Frames a second.

    Raises
    ------
    Refused
        Another kind of array, an odd side, no frame, or a rate that is not positive.
    """
    path, frames = Path(path), np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not frames.size:
        raise Refused(path, "frames", f"{frames.dtype} {frames.shape}", "uint8 (frame, y, x, 3)")
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise Refused(path, "frames", f"{frames.shape[1]} x {frames.shape[2]} pixels", "even sides")
    if not 0 < fps < math.inf:
        raise Refused(path, "fps", fps, "a positive number")
    part = path.with_name(f"{path.name}.part")
    try:
        _encode(part, frames, fps)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _encode(path: Path, frames: np.ndarray, fps: float) -> None:
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # More threads would cut the frames differently on another machine. The macroblock tree, on processors with
        # AVX-512, reads beyond the rows of pictures of 32 pixels: the same frames then give other bytes now and then.
        stream.options = {"crf": _CRF, "threads": "1", "x264-params": "threads=1:mbtree=0"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def read_video(path: str | Path) -> tuple[np.ndarray, float]:
    """Frames, uint8 (frame, y, x, channel), and frames a second of a file.

    Raises
    ------
    Refused
        No such file, or one that cannot be decoded.
    """
    with _opened(path) as (container, stream):
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        rate = _rate(path, stream)
    if not frames:
        raise Refused(path, "frames", "none", "a video")
    return np.stack(frames), rate


def measure_video(path: str | Path) -> VideoShape:
    """Shape of a video; its packets are counted, nothing is decoded.

    Raises
    ------
    Refused
        No such file, or one that cannot be read.
    """
    with _opened(path) as (container, stream):
        frames = sum(packet.size > 0 for packet in container.demux(stream))
        return VideoShape(frames, stream.codec_context.height, stream.codec_context.width, _rate(path, stream))


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """A container and its video stream; whatever is wrong with the file is refused in one line."""
    if not Path(path).is_file():
        raise Refused(path, "file", "missing", "a video")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise Refused(path, "streams", "no video that can be decoded", "a video stream")
            yield container, container.streams.video[0]
    except av.FFmpegError as error:
        raise Refused(path, "content", error.strerror, "a video that is whole") from None


def _rate(path: str | Path, stream: av.VideoStream) -> float:
    if not stream.average_rate:
        raise Refused(path, "fps", "nothing", "frames a second")
    return float(stream.average_rate)
