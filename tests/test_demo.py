"""The page of `sskeras demo` in a real browser, and what answers it."""

import concurrent.futures
import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from data_tools import phantom, pictures
from sskeras.experiments.demo import Judge

pytestmark = pytest.mark.slow
CLI = [sys.executable, "-m", "sskeras.cli"]
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-sync --disable-background-networking --disable-component-update "
    "--window-size=1000,900"
)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return phantom.write(tmp_path_factory.mktemp("films"), count=240, seed=1, size=32)


@pytest.fixture(scope="module")
def run(films, tmp_path_factory):
    """A finished run with the report that calibrates it."""
    out = tmp_path_factory.mktemp("runs") / "x"
    options = "--image-size 32 --filters 4 8 --epochs 2 --batch-size 64".split()
    for line in (
        ["train", "--data", films, "--out", out, *options],
        ["evaluate", out, "--data", films, "--full"],
    ):
        subprocess.run([*CLI, *map(str, line)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def address(run):
    """Address of the page of a real server, which must end cleanly."""
    line = [*CLI, "demo", str(run), "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, **pipes)
    said = process.stdout.readline()
    assert "not a medical device" in said
    yield said.split()[1]
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Stopped" in rest and not errors


def dicom(path):
    """A film as DICOM."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    found.SOPClassUID, found.Modality = meta.MediaStorageSOPClassUID, "CR"
    found.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    found.Rows, found.Columns = 80, 60
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.BitsAllocated = found.BitsStored = 16
    found.HighBit, found.PixelRepresentation = 15, 0
    found.PixelData = np.arange(4800, dtype="<u2").tobytes()
    found.save_as(path)
    return path


def ask(address, content, name="film.png"):
    """The answer of the server without a browser."""
    request = urllib.request.Request(f"{address}film?name={name}", content)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_films_of_any_kind_are_answered(address, films, tmp_path):
    path = sorted((films.parent / "images").iterdir())[0]
    status, found = ask(address, path.read_bytes())
    assert status == 200 and found["calibrated"]
    assert sum(found["probabilities"]) == pytest.approx(1)
    assert found["prediction"] == found["classes"][np.argmax(found["probabilities"])]
    assert "made to hold the true class 90 times of 100" in found["note"]
    status, found = ask(address, dicom(tmp_path / "a.dcm").read_bytes(), "a.dcm")
    assert status == 200 and found["film"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("content", [b"", b"no film", b"\x89PNG\r\n\x1a\n" + bytes(99)])
def test_what_is_no_film_is_said(address, content):
    status, found = ask(address, content)
    assert status in (400, 411) and found["error"]


def test_other_addresses_are_refused(address):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address}etc/passwd")


def test_films_take_turns_from_their_first_byte(run):
    judge = Judge(run)
    with concurrent.futures.ThreadPoolExecutor(1) as others:
        with judge.lock:
            answer = others.submit(judge.answer, "film.png", b"no film")
            assert not concurrent.futures.wait([answer], 0.5).done
        with pytest.raises(pictures.PictureError):
            answer.result()


@pytest.mark.parametrize("scores", [{}, {"trust": None}, {"trust": {"conformal": {}}}])
def test_a_damaged_report_is_named(run, tmp_path, scores):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "report" / "scores.json"
    path.write_text(json.dumps(scores))
    with pytest.raises(ValueError, match="scores.json' is damaged"):
        Judge(tmp_path / "run")


def browser():
    """A new Chromium with nothing in it, from Debian's packages."""
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    for word in QUIET.split():
        options.add_argument(word)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


@pytest.fixture
def page(address):
    opened = browser()
    opened.get(address)
    yield opened
    said = [entry["message"] for entry in opened.get_log("browser")]
    opened.quit()
    # Nothing is blocked or fails, but what the server refuses.
    assert all("film?name=letter.png" in message for message in said), said


def upload(page, path):
    page.find_element(By.ID, "file").send_keys(str(path))


def until(page, condition):
    return WebDriverWait(page, 60).until(condition)


def text(page, name):
    return page.find_element(By.ID, name).text


def verdict(page):
    """Waits for a result and returns it."""
    return until(page, lambda p: text(p, "verdict"))


def test_a_film_is_shown_with_all_that_is_known_of_it(page, films, tmp_path):
    assert "no diagnosis" in page.find_element(By.CLASS_NAME, "warning").text
    assert not page.find_element(By.ID, "result").is_displayed()
    path = sorted((films.parent / "images").iterdir())[0]
    upload(page, path)
    said = verdict(page)
    rows = page.find_elements(By.CSS_SELECTOR, "#classes tr")
    shares = {r.text.split()[0]: float(r.text.split()[1]) for r in rows}
    assert sum(shares.values()) == pytest.approx(100, abs=0.2)
    assert said == f"Called {max(shares, key=shares.get)}"
    bars = [bar.size["width"] for bar in page.find_elements(By.CLASS_NAME, "bar")]
    full = page.find_element(By.CSS_SELECTOR, "#classes td:last-child").size["width"]
    assert max(bars) < full / 2  # Two epochs do not make it sure.
    assert "calibrated on held-out films" in text(page, "caption")
    assert "made to hold the true class" in text(page, "set")
    for name in ("film", "heat"):
        image = page.find_element(By.ID, name)
        assert image.get_attribute("alt") and image.get_property("naturalWidth") == 32
    page.save_screenshot(str(tmp_path / "page.png"))
    assert np.asarray(Image.open(tmp_path / "page.png")).std() > 20


def test_the_keyboard_is_enough(page, films):
    """From film to result to slider; what is new has the focus, for screen readers."""
    body = page.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    assert page.switch_to.active_element.get_attribute("id") == "file"
    page.switch_to.active_element.send_keys(
        str(sorted((films.parent / "images").iterdir())[0])
    )
    verdict(page)
    assert page.switch_to.active_element.get_attribute("id") == "verdict"
    slider = page.find_element(By.ID, "opacity")
    before = page.find_element(By.ID, "heat").value_of_css_property("opacity")
    slider.send_keys(Keys.HOME)
    heat = page.find_element(By.ID, "heat")
    assert heat.value_of_css_property("opacity") == "0" != before


def test_everything_has_a_name_for_screen_readers(page):
    for control in page.find_elements(By.CSS_SELECTOR, "input"):
        label = f"label[for={control.get_attribute('id')}]"
        assert page.find_element(By.CSS_SELECTOR, label).get_property("textContent")
    assert page.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    status = page.find_element(By.ID, "status")
    assert status.get_attribute("aria-live") == "polite"
    assert len(page.find_elements(By.TAG_NAME, "h1")) == 1


def test_a_wrong_file_is_said_and_the_next_film_works(page, films, tmp_path):
    (tmp_path / "letter.png").write_text("Dear colleague")
    upload(page, tmp_path / "letter.png")
    message = until(
        page, lambda p: "no film" in text(p, "status") and text(p, "status")
    )
    assert message.startswith("letter.png: This is no film that can be read")
    assert not page.find_element(By.ID, "result").is_displayed()
    upload(page, dicom(tmp_path / "film.dcm"))
    assert verdict(page).startswith("Called ")
    assert not page.find_element(By.ID, "status").is_displayed()


def test_two_users_at_once_get_their_own_answers(address, films):
    paths = sorted((films.parent / "images").iterdir())[:6]

    def user(mine):
        page = browser()
        try:
            found = []
            for path in mine:
                page.get(address)
                upload(page, path)
                verdict(page)
                rows = page.find_elements(By.CSS_SELECTOR, "#classes tr")
                found.append([float(r.text.split()[1]) for r in rows])
            return found
        finally:
            page.quit()

    if not shutil.which("chromium"):
        browser()  # Skips, which a thread cannot.
    with concurrent.futures.ThreadPoolExecutor(2) as users:
        seen = [*users.map(user, (paths[:3], paths[3:]))]
    for path, shares in zip(paths, [*seen[0], *seen[1]], strict=True):
        _, alone = ask(address, path.read_bytes())
        wanted = [100 * p for p in alone["probabilities"]]
        np.testing.assert_allclose(shares, wanted, atol=0.06)
