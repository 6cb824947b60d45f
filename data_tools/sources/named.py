"""Stony Brook and BIMCV: what there is to know of a film stands in its name."""

import re
from pathlib import PurePosixPath

from data_tools.sources.base import Row, Source


class Named(Source):
    """A folder of films of patients with COVID-19 whose names tell all.

    A subclass gives the pattern of the names in the released lists, with the groups
    `patient`, `part` and `view`.
    """

    walks = True
    pattern = None
    chest = None  # pattern of the part of the body

    def rows(self, rules):
        """Yields a `Row` for every file."""
        for number, file in enumerate(self.files, start=1):
            row = Row(self.name, number, file, license=self.license)
            found = self.pattern.fullmatch(self.list_name(row))
            if not found:
                yield row.drop("not-used", "not the name of a radiograph")
                continue
            row.patient = f"{self.name}:{found['patient']}"
            row.view = found["view"].upper()
            row.label, row.rule = "covid-19", "every patient has COVID-19"
            if not self.chest.fullmatch(found["part"]):
                row.drop("body-part", found["part"])
            elif row.view not in rules.views:
                row.drop("view", row.view)
            yield self.place(row)


class StonyBrook(Named):
    """Stony Brook University's COVID-19 films.

    Files are `<patient>/<study>/<series>/1-1.dcm` as the archive's downloader leaves
    them, or pictures with the name of the released lists: the same parts, joined. The
    lists of version 9 call 487 abdomens and 9 lateral films COVID-19.
    """

    name = "stonybrook"
    title = "Stony Brook's COVID-19 films (folders A000801, ...)"
    get = "The Cancer Imaging Archive, collection COVID-19-NY-SBU"
    license = "CC BY 4.0"
    pattern = re.compile(
        r"(?P<patient>A\d+)-\d\d-\d\d-\d{4}-NA-(?P<part>.*)-\d+"  # study
        r"-\d+\.\d+-(?P<view>AP|PA|LATERAL)-\d+"  # series
        r"-\d+-\d+\.jpg"
    )
    chest = re.compile(r"(?!.*(ABD|FLAT_PLATE)).*")

    def list_name(self, row):
        """Returns the name by which the released lists call a row's file."""
        path = PurePosixPath(row.file)
        if path.suffix != ".dcm":
            return path.name
        name = "-".join(path.with_suffix(".jpg").parts[-4:])
        return name.replace(" ", "_")


class Bimcv(Named):
    """BIMCV-COVID19+, of which the released lists of version 9 have 200 films.

    The lists call a film `..._dx-corrected.png` that is published as `..._dx.png`.
    """

    name = "bimcv"
    title = "BIMCV-COVID19+ (files sub-..._bp-chest_vp-pa_dx.png)"
    get = "bimcv.cipf.es/bimcv-projects/bimcv-covid19"
    license = "BIMCV-COVID19 research use agreement"
    pattern = re.compile(
        r"sub-(?P<patient>S\d+)_ses-[\w-]+_bp-(?P<part>[a-z]+)_vp-(?P<view>[^_]+)"
        r"_(cr|dx)-corrected\.png"
    )
    chest = re.compile("chest")

    def list_name(self, row):
        """Returns the name by which the released lists call a row's file."""
        return re.sub(r"_(cr|dx)\.png$", r"_\1-corrected.png", super().list_name(row))
