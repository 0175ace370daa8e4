"""The report in a real browser, by pointer and by keyboard."""

import json

import numpy as np
import pytest

from drnet_jax import report
from drnet_jax.pictures import grids
from tests.helpers import browser as browser_lib


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The address of the report of a run in which every frame has a color of its own.

    The content gives a frame its red, the pose its green; a rollout's step gives it its blue, and
    the true frames have no red.
    """
    workdir = tmp_path_factory.mktemp("run")
    (workdir / "samples").mkdir()
    swapped = np.zeros((3, 4, 32, 32, 3), np.uint8)
    swapped[..., 0] = (50 * np.arange(1, 4))[:, None, None, None]
    swapped[..., 1] = (50 * np.arange(1, 5))[:, None, None]
    contents, poses = swapped[:, 0] * [1, 0, 0], swapped[0] * [0, 1, 0]
    picture = grids.swap_grid(*(a.astype(np.uint8) for a in (poses, contents)), swapped)
    grids.write_png(workdir / "samples" / "swap_grid.png", picture)
    frames = np.zeros((2, 12, 32, 32, 3), np.uint8)
    frames[..., 2] = (20 * np.arange(1, 13))[:, None, None]
    truth = frames.copy()
    frames[..., 0] = 200
    np.savez(workdir / "samples" / "rollout.npz", frames=frames, truth=truth)
    config = {"data": {"image_size": 32}, "predictor": {"num_observed": 5}}
    (workdir / "config.json").write_text(json.dumps(config))
    score = {"psnr": {"mean": 20.0, "low": 19.0, "high": 21.0}, "ssim": {"mean": 0.5}}
    scores = {"swap": {"model": score, "mean_frame": score}, "num_clips": 3}
    (workdir / "evaluation.json").write_text(json.dumps(scores))
    return report.write(workdir).as_uri()


@pytest.fixture
def driver(browser, page):
    browser_lib.show_as(browser, still=True)
    browser.get(page)
    wait_for(browser, "return !document.querySelector('.sources').hidden")
    wait_for(browser, "return !document.querySelector('.player').hidden")
    return browser


def wait_for(driver, script):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 60, poll_frequency=0.05).until(lambda d: d.execute_script(script))


def press(driver, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(*keys).perform()


def colors(driver, selector):
    """Returns the color in the middle of each canvas, and the outline at its left, RGB."""
    script = """
      return [...document.querySelectorAll(arguments[0])].map((canvas) => {
        const pixel = (x, y) =>
          [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
        return [pixel(canvas.height / 2, canvas.height / 2), pixel(0, canvas.height / 2)];
      });"""
    return driver.execute_script(script, selector)


def sources(driver):
    """Returns the colors of content, pose and swap."""
    return [middle for middle, _ in colors(driver, ".sources canvas")]


def swap_of(content, pose):
    return [[50 * content, 0, 0], [0, 50 * pose, 0], [50 * content, 50 * pose, 0]]


def cell(driver, content, pose):
    label = f"Content {content} with pose {pose}"
    return driver.find_element("css selector", f".cells button[aria-label='{label}']")


def test_pointing_at_a_swap_shows_it_beside_its_sources(driver):
    from selenium.webdriver.common.action_chains import ActionChains

    assert sources(driver) == swap_of(1, 1)
    ActionChains(driver).move_to_element(cell(driver, 2, 4)).perform()
    assert sources(driver) == swap_of(2, 4)
    cell(driver, 3, 1).click()
    assert sources(driver) == swap_of(3, 1)
    assert driver.find_element("css selector", ".sources output").text == "Content 3, pose 1"


def test_a_tap_on_a_phone_shows_a_swap_beside_its_sources(driver):
    browser_lib.show_as(driver, 400, 300, still=True)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    button = cell(driver, 2, 2)
    place = driver.execute_script(
        "arguments[0].scrollIntoView({block: 'start'});"
        "const b = arguments[0].getBoundingClientRect();"
        "return {x: b.x + b.width / 2, y: b.y + b.height / 2}",
        button,
    )
    for kind, points in (("touchStart", [place]), ("touchEnd", [])):
        event = {"type": kind, "touchPoints": points}
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", event)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert sources(driver) == swap_of(2, 2)
    # The panel stays in view while the grid is.
    inside = "const b = document.querySelector('.sources').getBoundingClientRect();"
    inside += "return b.top >= 0 && b.bottom <= innerHeight && b.right <= innerWidth"
    assert driver.execute_script(inside)


def test_arrow_keys_go_through_the_grid_and_stay_inside(driver):
    from selenium.webdriver.common.keys import Keys

    # High enough for the whole grid, so that only the keys themselves could scroll the page.
    browser_lib.show_as(driver, height=1400, still=True)
    browser_lib.complaints(driver)
    cell(driver, 1, 1).send_keys("")
    place = driver.execute_script("return scrollY")
    press(driver, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert sources(driver) == swap_of(2, 3)
    driver.execute_async_script("setTimeout(arguments[0], 300)")  # Time to scroll the page.
    assert driver.execute_script("return scrollY") == place
    press(driver, Keys.ARROW_UP, Keys.ARROW_UP, *[Keys.ARROW_LEFT] * 5)
    assert sources(driver) == swap_of(1, 1)
    # The script has not failed at the edges.
    assert browser_lib.complaints(driver) == []
    # The grid is a single stop for the Tab key.
    press(driver, Keys.TAB)
    assert driver.execute_script("return !document.activeElement.closest('.cells')")


def test_the_slider_steps_through_a_rollout_and_space_plays_it(driver):
    from selenium.webdriver.common.keys import Keys

    slider = driver.find_element("css selector", ".controls input")
    button = driver.find_element("css selector", ".controls button")
    # Where readers ask for no motion, nothing moves until they ask for it.
    assert button.text == "Play" and slider.get_attribute("value") == "0"
    observed, generated = [86, 180, 233], [230, 159, 0]
    (true, _), (model, outline) = colors(driver, ".player canvas")
    assert (true, model, outline) == ([0, 0, 20], [200, 0, 20], observed)
    slider.send_keys(*[Keys.ARROW_RIGHT] * 4)
    assert colors(driver, ".player canvas")[1] == [[200, 0, 100], observed]
    slider.send_keys(Keys.ARROW_RIGHT)
    (true, _), (model, outline) = colors(driver, ".player canvas")
    assert (true, model, outline) == ([0, 0, 120], [200, 0, 120], generated)
    assert slider.get_attribute("aria-valuetext") == "t = 6 of 12, generated"
    button.send_keys(Keys.SPACE)
    assert button.text == "Pause"
    wait_for(driver, "return document.querySelector('.controls input').value > 6")
    button.send_keys(Keys.SPACE)
    stopped = slider.get_attribute("value")
    assert button.text == "Play"
    driver.execute_async_script("setTimeout(arguments[0], 300)")
    assert slider.get_attribute("value") == stopped


def test_rollouts_play_by_themselves_unless_motion_is_unwanted(driver, page):
    browser_lib.show_as(driver, still=False)
    driver.get(page)
    wait_for(driver, "return document.querySelector('.controls input')?.value > 2")
    assert driver.find_element("css selector", ".controls button").text == "Pause"


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_sticks_out_of_the_page_or_comes_from_outside(driver, page, width, dark):
    browser_lib.requested(driver), browser_lib.complaints(driver)
    browser_lib.show_as(driver, width, dark=dark)
    driver.get(page)
    wait_for(driver, "return !document.querySelector('.player').hidden")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    background = "return getComputedStyle(document.body).backgroundColor"
    assert driver.execute_script(background) == (
        "rgb(22, 25, 29)" if dark else "rgb(251, 251, 249)"
    )
    assert browser_lib.requested(driver) == [page]
    assert browser_lib.complaints(driver) == []
    # A box says that it scrolls where it does, which the grid does on phones.
    script = """
      return [...document.querySelectorAll(".wide")].every(
        (box) => box.scrollWidth > box.clientWidth + 1 === box.hasAttribute("data-scrolls"))"""
    wait_for(driver, script)
    assert bool(driver.find_elements("css selector", "[data-scrolls]")) == (width == 400)
