"""The page of --mode=demo: its callbacks, and all of it in a real browser."""

import asyncio
import io
import os
import signal
import socket
import subprocess
import urllib.request

import numpy as np
import pytest
from PIL import Image

import drnet_jax
from drnet_jax.base.errors import InputError
from drnet_jax.commands import demo
from drnet_jax.demo.playground import Clip, Playground
from tests.conftest import ROOT
from tests.helpers import browser as browser_lib
from tests.helpers import command_line, videos

# What Gradio and what it needs warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def page_lib():
    """The module of the page."""
    loops, make = [], asyncio.new_event_loop
    with pytest.MonkeyPatch.context() as patch:
        # Gradio leaves the event loops behind in which it makes its locks.
        patch.setattr(asyncio, "new_event_loop", lambda: loops.append(make()) or loops[-1])
        for name, value in demo.OFFLINE.items():
            patch.setenv(name, value)
        pytest.importorskip("gradio", reason="The extra demo is not installed.")
        from drnet_jax.demo import page

        yield page
    for loop in loops:
        if not loop.is_running():
            loop.close()


@pytest.fixture(scope="module")
def playground(trained):
    return Playground(drnet_jax.load(trained), "<i>", demo.NUM_CLIPS)


@pytest.fixture(scope="module")
def address(page_lib, trained, tmp_path_factory):
    """The address of the page of the command itself, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        command_line.command("--mode=demo", f"--workdir={trained}", f"--port={port}"),
        env=command_line.environment()
        | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Open "):
                break
        else:
            pytest.fail("".join(lines))
        yield line.split()[1]
        process.terminate()
        *_, last = process.stdout
    assert process.returncode == 128 + signal.SIGTERM
    assert last.startswith("Stopped while showing the page; there was nothing to save.")


def test_files_that_cannot_be_read_are_one_line_of_text(page_lib, playground, tmp_path):
    bad = tmp_path / "<b>.mp4"
    bad.write_bytes(b"no video")
    clips = playground.clips
    *kept, notice = page_lib.add_clips(playground, [str(bad)], clips)
    assert kept[0] is clips
    assert "<b>" not in notice and "&lt;b&gt;.mp4 is not a readable video" in notice
    assert str(tmp_path) not in notice and "\n" not in notice
    videos.write_video(tmp_path / "good.mkv", videos.clip(1))
    both = [str(tmp_path / "good.mkv"), str(bad)]
    kept, *_, content, motion, notice = page_lib.add_clips(playground, both, clips)
    assert len(kept) == 9 and kept[8].name == "good.mkv" and "&lt;b&gt;.mp4" in notice
    assert (content, motion) == (8, 7)


def test_the_oldest_of_many_dropped_files_make_room(page_lib, playground, tmp_path):
    videos.write_video(tmp_path / "new.mkv", videos.clip(1))
    own = [Clip(f"old{number}", playground.clips[0].frames) for number in range(24)]
    kept, *_, content, motion, notice = page_lib.add_clips(
        playground, [str(tmp_path / "new.mkv")], [*playground.clips, *own]
    )
    assert [clip.name for clip in kept[8:]] == [*(clip.name for clip in own[1:]), "new.mkv"]
    assert (content, motion, notice) == (31, 30, "")


def test_an_error_is_a_line_and_leaves_the_rest_as_it_is(page_lib, playground):
    def fail(content, motion):
        raise ValueError("Too <short>.\nMore")

    *values, notice = page_lib.guarded(2, fail)(playground.clips, 0, 1)
    assert values == [page_lib.gr.skip()] * 2
    assert "Too &lt;short&gt;." in notice and "More" not in notice
    for is_first, told in ((True, ""), (False, page_lib.gr.skip())):
        call = page_lib.guarded(2, lambda *arguments: arguments, is_first=is_first)
        expected = (playground.clips[2], playground.clips[1], told)
        assert call(playground.clips, 2, 1) == expected
        assert call([], 0, 0)[-1] == told


def test_a_page_without_clips_can_be_built(page_lib, playground, monkeypatch, tmp_path):
    monkeypatch.setattr(playground, "clips", [])
    monkeypatch.setattr(playground, "missing", "No <data>")
    page = page_lib.build(playground, tmp_path)
    shown = str(page.get_config_file())
    assert "No &lt;data&gt;" in shown and "Model &lt;i&gt;, trained on moving_mnist" in shown
    assert "Data: embedded: 4,500 training and 500 test digits" in shown


def test_a_port_in_use_is_one_line(page_lib):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port={port} cannot be used: Address already in"):
            demo.run("no model", port)


def test_old_videos_are_deleted(page_lib, tmp_path):
    frames = videos.clip(1)
    old, new = (page_lib._saved(tmp_path, frames) for _ in range(2))
    os.utime(old, (0, 0))
    newest = page_lib._saved(tmp_path, frames)
    assert {str(path) for path in tmp_path.iterdir()} == {new, newest}
    # One that is listed, but gone by the time that its age is asked for.
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere")
    page_lib._saved(tmp_path, frames)


@pytest.fixture
def driver(browser, address):
    browser_lib.requested(browser)
    browser_lib.show_as(browser)
    browser.get(address)
    wait_for(browser, lambda: image_of(browser, "swap-strip"))
    yield browser
    urls = browser_lib.requested(browser)
    assert urls and [url for url in urls if not url.startswith(address)] == []


def wait_for(driver, condition):
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    stale = (StaleElementReferenceException,)
    return WebDriverWait(driver, 60, 0.1, ignored_exceptions=stale).until(lambda _: condition())


def image_of(driver, name):
    """Returns the address of the picture or video in an element of the page, or None."""
    found = driver.find_elements("css selector", f"#{name} img, #{name} video")
    return found[0].get_attribute("src") if found else None


def pixels(driver, name):
    with urllib.request.urlopen(image_of(driver, name)) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def wait_until_shown(driver, name, picture):
    wait_for(
        driver,
        lambda: (p := pixels(driver, name)).shape == picture.shape and (p == picture).all(),
    )


def thumbnails(driver, gallery):
    return driver.find_elements("css selector", f"#{gallery} .grid-container button")


def open_tab(driver, name):
    from selenium.webdriver.common.keys import Keys

    [tab] = [
        tab
        for tab in driver.find_elements("css selector", "button[role=tab]")
        if tab.text.strip() == name and tab.is_displayed()
    ]
    tab.send_keys(Keys.ENTER)


def test_a_swap_is_shown_as_soon_as_clips_are_chosen(driver, playground):
    from selenium.webdriver.common.keys import Keys

    clips = playground.clips
    wait_until_shown(driver, "swap-strip", playground.swap(clips[0], clips[1]).picture)
    assert image_of(driver, "swap-video").endswith(".mp4")
    thumbnails(driver, "content")[2].click()
    wait_until_shown(driver, "swap-strip", playground.swap(clips[2], clips[1]).picture)
    thumbnails(driver, "motion")[3].send_keys(Keys.ENTER)
    wait_until_shown(driver, "swap-strip", playground.swap(clips[2], clips[3]).picture)


def test_arrow_keys_move_a_number_of_the_pose_and_the_frame(driver, playground):
    from selenium.webdriver.common.keys import Keys

    content, motion, *_ = playground.clips
    open_tab(driver, "Pose")
    pose = playground.pose(motion)
    wait_until_shown(driver, "posed", playground.decode(content, pose))
    sliders = driver.find_elements("css selector", "input[type=range]")
    assert len(sliders) == len(pose) == 3
    sliders[1].send_keys(*[Keys.ARROW_RIGHT] * 5)
    moved = wait_for(driver, lambda: float(sliders[1].get_attribute("value")))
    assert moved > pose[1]
    wait_until_shown(driver, "posed", playground.decode(content, [pose[0], moved, pose[2]]))


def test_rollouts_play(driver):
    from selenium.webdriver.common.keys import Keys

    open_tab(driver, "Rollout")
    steps = driver.find_element("css selector", "#steps input")
    steps.send_keys(Keys.CONTROL, "a", Keys.NULL, "25", Keys.ENTER)
    wait_for(driver, lambda: image_of(driver, "rollout-video"))
    video = "document.querySelector('#rollout-video video')"
    # 5 observed and 25 generated frames, 12 a second; it plays by itself.
    seconds = wait_for(driver, lambda: driver.execute_script(f"return {video}.duration"))
    assert abs(seconds - 30 / 12) < 0.1
    wait_for(driver, lambda: driver.execute_script(f"return {video}.currentTime > 0"))
    steps.send_keys(Keys.CONTROL, "a", Keys.NULL, "20000", Keys.ENTER)
    notice = driver.find_element("css selector", "#notice")
    wait_for(driver, lambda: "20000 steps; allowed: whole numbers from 1 to" in notice.text)


def test_files_can_be_dropped_in(driver, playground, tmp_path):
    videos.write_video(tmp_path / "mine.mkv", videos.smooth(6))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    files = "\n".join(str(tmp_path / name) for name in ("mine.mkv", "bad.mp4"))
    driver.find_element("css selector", "#upload input[type=file]").send_keys(files)
    own = playground.read(str(tmp_path / "mine.mkv"))
    expected = playground.swap(own, playground.clips[7]).picture
    wait_until_shown(driver, "swap-strip", expected)
    assert len(thumbnails(driver, "content")) == 9
    notice = driver.find_element("css selector", "#notice")
    assert "bad.mp4 is not a readable video" in notice.text
    assert len(notice.text.splitlines()) == 1


@pytest.mark.parametrize(("width", "dark"), [(360, True), (400, False), (1280, True)])
def test_the_page_fits_and_has_the_colors_of_the_system(driver, address, width, dark):
    browser_lib.show_as(driver, width, dark=dark)
    driver.get(address)
    wait_for(driver, lambda: image_of(driver, "swap-strip"))
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.execute_script("return document.body.classList.contains('dark')") == dark


def test_only_this_machine_is_served(address):
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address) as answer:
        assert "default-src 'self'" in answer.headers["content-security-policy"]
