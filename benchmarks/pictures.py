"""From 1024×1024 to a stored 224×224 film: pictures per second of one core.

    python benchmarks/pictures.py [--count 24] [--rounds 5]

Each way reads the same files and writes PNG: `data_tools` as a build does (8-bit rule,
hashes of file and pixels, thumbnail, flags, content-addressed file), a plain loop with
Pillow, and OpenCV (`pip install -e ".[benchmarks]"`), which both do nothing else.
The rounds take turns; the median of each way counts.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ComputedRadiographyImageStorage, JPEGBaseline8Bit
from tqdm import tqdm

from data_tools import store
from data_tools.drawing.film import draw

SIZE = 224


def write_films(folder, count):
    """Draws films and writes each as PNG, JPEG and DICOM (JPEG inside, as RSNA's)."""
    for number in tqdm(range(count), desc="draw", unit="film"):
        pixels, _ = draw("normal", "", [0, number, 0], 1024, [0, number, 1])
        film, jpeg = Image.fromarray(pixels), io.BytesIO()
        film.save(folder / f"{number}.png")
        film.save(jpeg, "JPEG", quality=90)
        (folder / f"{number}.jpg").write_bytes(jpeg.getvalue())
        write_dicom(folder / f"{number}.dcm", jpeg.getvalue())


def write_dicom(path, jpeg):
    """Writes a DICOM film around a grey 1024×1024 JPEG."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows = data.Columns = 1024
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = encapsulate([jpeg])
    data.save_as(path)


def ours(path, out):
    """What `data_tools build` does with one picture."""
    store.make((path, out, SIZE))


def pillow(path, out):
    """A plain loop with Pillow."""
    if path.suffix == ".dcm":
        film = Image.fromarray(pydicom.dcmread(path).pixel_array)
    else:
        film = Image.open(path).convert("L")
    film = film.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    film.save(out / f"{path.name}.png")


def opencv(path, out):
    """The same with OpenCV; INTER_AREA is its antialiased filter."""
    if path.suffix == ".dcm":
        film = pydicom.dcmread(path).pixel_array
    else:
        film = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    film = cv2.resize(film, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(out / f"{path.name}.png"), film)


def seconds(way, paths):
    """Times one way on all files of one kind, into an empty folder."""
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        for path in paths:
            way(path, Path(out))
        return time.perf_counter() - start


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        write_films(Path(folder), arguments.count)
        print(
            "| from 1024×1024 | data_tools | Pillow | OpenCV | to Pillow | to OpenCV |"
        )
        print("|---|---|---|---|---|---|")
        for suffix in ("png", "jpg", "dcm"):
            paths = sorted(Path(folder).glob(f"*.{suffix}"))
            times = {way: [] for way in (ours, pillow, opencv)}
            for _ in range(1 + arguments.rounds):  # the first warms up
                for way, taken in times.items():
                    taken.append(seconds(way, paths))
            rate = [len(paths) / statistics.median(t[1:]) for t in times.values()]
            cells = [f"{r:.0f}/s" for r in rate]
            cells += [f"{rate[0] / r:.2f}" for r in rate[1:]]
            print(f"| {suffix} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
