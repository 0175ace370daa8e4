"""The page itself, made with Gradio; everything that it computes is in `playground`."""

import contextlib
import functools
import html
import pathlib
import time
import uuid
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
from starlette.middleware import Middleware

from drnet_jax.base.errors import first_line
from drnet_jax.demo.playground import MOST_STEPS, Clip, Playground
from drnet_jax.pictures import video

_MOST_UPLOAD = "500mb"
_FIRST_STEPS = 100  # Of a rollout, until the reader asks for another number.
_UPLOADS_KEPT = 24  # Of each reader; each has up to 20 frames in memory.
_SECONDS_KEPT = 60  # By then, Gradio has copied a video that it was given.

Save = Callable[[np.ndarray], str]
"""From the frames of a video, uint8 `[time, height, width, 3]`, to the path of its file."""

_TITLE = "DrNET: content and pose of video"
_INTRO = (
    "The model splits a frame into **content**, which stays the same throughout a clip, and "
    "**pose**, which changes from frame to frame. Choose a clip for each, and see what it makes "
    "of them."
)

# Nothing may come from, or go to, another machine; Gradio's page needs scripts of its own.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; form-action 'self'; "
    "base-uri 'self'; object-src 'none'"
)


def launch(playground: Playground, host: str, port: int, folder: pathlib.Path) -> gr.Blocks:
    """Serves the page at `host`, and returns it; its `local_url` is the address.

    Videos are written into `folder`.

    Raises:
      OSError: the port is in use.
    """
    page = build(playground, folder)
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=_MOST_UPLOAD,
        allowed_paths=[str(folder)],
        footer_links=[],
        # Fonts that the system has: others would be fetched.
        theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css_paths=pathlib.Path(__file__).parent / "page.css",
        app_kwargs={"middleware": [Middleware(_OnlyHere)]},
    )
    return page


def build(playground: Playground, folder: pathlib.Path) -> gr.Blocks:
    """Returns the page, which is not served yet; it writes videos into `folder`."""
    save = functools.partial(_saved, folder)
    with gr.Blocks(analytics_enabled=False, title=_TITLE, delete_cache=(3600, 3600)) as page:
        clips = gr.State(list(playground.clips))
        chosen = [gr.State(0), gr.State(min(1, max(0, len(playground.clips) - 1)))]
        gr.Markdown(f"# {_TITLE}\n{_INTRO}")
        gr.HTML(_about(playground))
        thumbnails = _thumbnails(playground, playground.clips)
        with gr.Row():
            galleries = [
                _gallery("Content of this clip", "content", thumbnails, chosen[0].value),
                _gallery("Motion of this clip", "motion", thumbnails, chosen[1].value),
            ]
        gr.Markdown("### Your own clips: videos, GIFs, pictures")
        upload = gr.File(
            label="Your own clips",
            show_label=False,
            file_count="multiple",
            height=120,
            elem_id="upload",
        )
        notice = gr.HTML("", elem_classes="notice", elem_id="notice")
        inputs = [clips, *chosen]
        with gr.Tabs():
            changed = [
                _swap_tab(playground, save),
                _pose_tab(playground, inputs, notice),
                _between_tab(playground, save),
            ]
            if playground.model.config.predictor.hidden_dim:
                _rollout_tab(playground, inputs, notice, save)
        for gallery, state in zip(galleries, chosen, strict=True):
            outputs = [state, notice]
            selected = gallery.select(_selected, None, outputs, queue=False, show_progress="hidden")
            for function, outputs in changed:
                selected.then(function, inputs, [*outputs, notice], show_progress="minimal")
        uploaded = upload.upload(
            functools.partial(add_clips, playground),
            [upload, clips],
            [clips, *galleries, *chosen, notice],
        )
        for function, outputs in changed:
            uploaded.success(function, inputs, [*outputs, notice], show_progress="minimal")
            page.load(function, inputs, [*outputs, notice], show_progress="hidden")
    return page


def add_clips(
    playground: Playground, paths: list[str] | None, clips: list[Clip]
) -> tuple[Any, ...]:
    """Returns what changes when files are dropped in: clips, galleries, choices and a notice.

    The last file that could be read becomes the content. The notice names those that could not.
    """
    added, problems = [], []
    for path in paths or []:
        name = pathlib.Path(path).name
        try:
            added.append(playground.read(path, name))
        except (ValueError, OSError) as error:
            # The reader names the whole path, which is that of a temporary copy.
            problems.append(first_line(error).replace(str(path), name))
    if not added:
        return clips, *[gr.skip()] * 4, notice_html(problems)
    own = [*clips[len(playground.clips) :], *added]
    kept = [*playground.clips, *own[-_UPLOADS_KEPT:]]
    gallery = [gr.Gallery(_thumbnails(playground, kept), selected_index=i) for i in _ends(kept)]
    return kept, *gallery, *_ends(kept), notice_html(problems)


def notice_html(problems: list[str]) -> str:
    """Returns one line on what went wrong, as text that a page may hold; empty for nothing."""
    if not problems:
        return ""
    text = html.escape(" ".join(line.rstrip(".") + "." for line in problems))
    return f'<p role="alert" class="error">{text}</p>'


def guarded(
    outputs: int, function: Callable[..., Any], *, is_first: bool = False
) -> Callable[..., Any]:
    """Wraps `function`, which takes a content clip and a motion clip, as a callback of the page.

    The callback takes all clips and the numbers of the two that are chosen instead. It returns the
    `outputs` values of `function` and a notice. After an error the notice says what it was, and the
    values on the page stay as they are. Otherwise the notice is cleared if this callback `is_first`
    to react to what the reader did, and kept if an earlier one may have written it.
    """
    no_error = "" if is_first else gr.skip()

    def call(clips: list[Clip], content: int, motion: int, *others: Any) -> tuple[Any, ...]:
        if not clips:
            return *[gr.skip()] * outputs, no_error
        try:
            values = function(clips[content], clips[motion], *others)
        except (ValueError, OSError) as error:
            return *[gr.skip()] * outputs, notice_html([first_line(error)])
        return *(values if outputs > 1 else (values,)), no_error

    return call


def _swap_tab(playground: Playground, save: Save) -> tuple:
    def swap(content: Clip, motion: Clip) -> tuple[str, np.ndarray]:
        shown = playground.swap(content, motion)
        return save(shown.video), shown.picture

    with gr.Tab("Swap"):
        player = _video("Content, motion and swap", "swap-video")
        strip = _image("Frames of the motion, and the same poses with the content", "swap-strip")
    return guarded(2, swap), [player, strip]


def _pose_tab(playground: Playground, inputs: list, notice: gr.HTML) -> tuple:
    def begin(content: Clip, motion: Clip) -> tuple:
        pose = playground.pose(motion)
        ranges = playground.ranges([*playground.clips, content, motion])
        sliders = [
            gr.Slider(minimum=low, maximum=high, value=value)
            for value, (low, high) in zip(pose, ranges, strict=True)
        ]
        return playground.decode(content, pose), *sliders

    def move(content: Clip, motion: Clip, *pose: float) -> np.ndarray:
        return playground.decode(content, pose)

    with gr.Tab("Pose"):
        gr.Markdown(
            "Each slider is a number of the pose; they begin at the pose of the motion clip."
        )
        with gr.Row():
            with gr.Column():
                sliders = [
                    gr.Slider(low, high, step=0.01, label=f"Pose {number}", buttons=[])
                    for number, (low, high) in enumerate(playground.ranges(playground.clips), 1)
                ]
            with gr.Column():
                frame = _image("The content in this pose", "posed", height=300)
    for slider in sliders:
        # Only what a reader does, not what a new choice of clips sets.
        slider.input(
            guarded(1, move, is_first=True),
            [*inputs, *sliders],
            [frame, notice],
            show_progress="hidden",
            trigger_mode="always_last",
        )
    return guarded(1 + len(sliders), begin), [frame, *sliders]


def _between_tab(playground: Playground, save: Save) -> tuple:
    def between(content: Clip, motion: Clip) -> tuple[str, np.ndarray]:
        shown = playground.between(content, content, motion)
        return save(shown.video), shown.picture

    with gr.Tab("Between"):
        strip = _image("The content, from its own pose to that of the motion clip", "between-strip")
        player = _video("There and back", "between-video")
    return guarded(2, between), [player, strip]


def _rollout_tab(playground: Playground, inputs: list, notice: gr.HTML, save: Save) -> None:
    def roll_out(content: Clip, motion: Clip, num_steps: float | None) -> str:
        return save(playground.rollout(content, num_steps or 0))

    with gr.Tab("Rollout"):
        observed = playground.model.config.predictor.num_observed
        gr.Markdown(f"The model sees {observed} frames of the content clip and continues alone.")
        with gr.Row():
            steps = gr.Number(
                _FIRST_STEPS, label=f"Steps, 1 to {MOST_STEPS:,}", precision=0, elem_id="steps"
            )
            start = gr.Button("Continue the clip", variant="primary", elem_id="roll-out")
        player = _video("Observed, then generated", "rollout-video")
    function = guarded(1, roll_out, is_first=True)
    for event in (start.click, steps.submit):
        event(function, [*inputs, steps], [player, notice], show_progress="minimal")


def _gallery(label: str, name: str, thumbnails: list, chosen: int) -> gr.Gallery:
    # Labels of their own would cover the pictures, here and below.
    with gr.Column():
        gr.Markdown(f"### {label}")
        return gr.Gallery(
            thumbnails,
            label=label,
            show_label=False,
            columns=4,
            height=270,
            allow_preview=False,
            interactive=False,
            object_fit="contain",
            buttons=[],
            elem_id=name,
            selected_index=chosen if thumbnails else None,
            format="png",
        )


def _video(label: str, name: str) -> gr.Video:
    gr.Markdown(f"### {label}")
    options = {"autoplay": True, "loop": True, "interactive": False, "height": 260}
    return gr.Video(label=label, show_label=False, elem_id=name, **options)


def _image(label: str, name: str, **options: Any) -> gr.Image:
    gr.Markdown(f"### {label}")
    return gr.Image(
        label=label,
        show_label=False,
        interactive=False,
        format="png",
        buttons=[],
        alt_text=label,
        elem_id=name,
        **options,
    )


def _about(playground: Playground) -> str:
    """Returns lines on the model and its data; names are the user's, and so escaped."""
    data, model = playground.model.config.data, playground.model.config.model
    lines = [
        f"Model {playground.name}, trained on {data.name}: frames of {data.image_size} x "
        f"{data.image_size} pixels, {model.content_dim} numbers of content and "
        f"{model.pose_dim} of pose.",
        playground.note,
    ]
    if playground.missing:
        lines.append(f"Its data cannot be opened, so drop in clips: {playground.missing}")
    return f"<p>{'<br>'.join(html.escape(line) for line in lines if line)}</p>"


def _thumbnails(playground: Playground, clips: list[Clip]) -> list[tuple[np.ndarray, str]]:
    return [(playground.thumbnail(clip), clip.name) for clip in clips]


def _ends(clips: list[Clip]) -> tuple[int, int]:
    """Returns the choices after a file was dropped in: that one, and the clip before it."""
    return len(clips) - 1, max(0, len(clips) - 2)


def _selected(event: gr.SelectData) -> tuple[int, str]:
    """Returns the new choice, and an empty notice."""
    return event.index, ""


def _saved(folder: pathlib.Path, frames: np.ndarray) -> str:
    """Returns the path of a new video in `folder`; deletes old ones, which Gradio has copied."""
    for old in folder.glob("*.mp4"):
        # Tabs save at the same time, so another one may have deleted it.
        with contextlib.suppress(FileNotFoundError):
            if old.stat().st_mtime < time.time() - _SECONDS_KEPT:
                old.unlink()
    path = folder / f"{uuid.uuid4().hex}.mp4"
    return str(video.write_mp4(path, frames, video.FRAMES_PER_SECOND))


class _OnlyHere:
    """Adds the policy to every answer, so that a browser loads nothing from elsewhere."""

    def __init__(self, app: Any):
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                header = (b"content-security-policy", _POLICY.encode())
                message["headers"] = [*message["headers"], header]
            await send(message)

        await self._app(scope, receive, send_with_policy)
