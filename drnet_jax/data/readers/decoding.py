"""Decodes videos with PyAV: transparent, without interlacing, up to the first damage."""

import contextlib
from collections.abc import Iterator

import av
from absl import logging

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these codecs leave out transparency."""

_MOST_WARNINGS = 10


def decoded(container, stream, name: str) -> Iterator[av.VideoFrame]:
    """Yields the frames of `stream`, deinterlaced, in the order in which they are shown.

    `name` is that of the video in the log.

    Raises:
      av.FFmpegError: the video is damaged; all frames before that have been yielded.
    """
    return _deinterlaced(_all_frames(container, stream), name)


def _all_frames(container, stream) -> Iterator[av.VideoFrame]:
    decoder = _decoder(stream)
    try:
        for packet in container.demux(stream):
            yield from (frame for frame in decoder.decode(packet) if not frame.is_corrupt)
    except av.FFmpegError:
        # A decoder holds frames back to put them into order.
        with contextlib.suppress(av.FFmpegError):
            for frame in decoder.decode(None):
                frame.time_base = stream.time_base
                if not frame.is_corrupt:
                    yield frame
        raise


def _decoder(stream) -> av.CodecContext:
    own = stream.codec_context
    better = _ALPHA_DECODERS.get(own.name)
    if better is None or stream.metadata.get("alpha_mode") != "1":
        return own
    try:
        decoder = av.CodecContext.create(better, "r")
    except ValueError:  # This build of FFmpeg lacks it.
        return own
    decoder.extradata = own.extradata
    decoder.thread_count = own.thread_count
    return decoder


def _deinterlaced(frames: Iterator[av.VideoFrame], name: str) -> Iterator[av.VideoFrame]:
    """Yields `frames`, those that are marked as interlaced through yadif, one frame for each."""
    graph, size, error = None, None, None
    try:
        for frame in frames:
            if graph is None and frame.interlaced_frame:
                what = "%s is interlaced, and is deinterlaced."
                logging.log_first_n(logging.WARNING, what, _MOST_WARNINGS, name)
                graph, size = _yadif(frame), (frame.width, frame.height)
            # The caller refuses another size, which the filter would not survive.
            if graph is None or size != (frame.width, frame.height):
                yield frame
                continue
            graph.push(frame)
            yield from _filtered(graph)
    except av.FFmpegError as caught:
        error = caught
    if graph is not None:
        graph.push(None)  # The filter looks one frame ahead.
        yield from _filtered(graph)
    if error is not None:
        raise error


def _yadif(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    graph.link_nodes(source, graph.add("yadif", "deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _filtered(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    # Either it needs another frame, or all are out.
    with contextlib.suppress(av.BlockingIOError, av.EOFError):
        while True:
            yield graph.vpull()
