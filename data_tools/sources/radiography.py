"""The COVID-19 Radiography Database, which gathers films of other collections."""

from data_tools.sources.base import Row, Source

CLASSES = {
    "COVID": "covid-19",
    "Normal": "normal",
    "Lung_Opacity": "pneumonia",
    "Viral Pneumonia": "pneumonia",
}


class Radiography(Source):
    """The COVID-19 Radiography Database, version 3 or later.

    It says nothing of patients. Of its 10,192 normal films 8,851 are RSNA's and 1,341
    show children (Kermany et al.); `Lung_Opacity` is RSNA's too, and a part of `COVID`
    is Cohen's. Copies are recognized by their pixels, never by their numbers, which
    differ between versions: no released list can be looked up here.

    Reference:
        Rahman et al., "Exploring the effect of image enhancement techniques on
        COVID-19 detection using chest X-ray images", 2021.
    """

    name = "radiography"
    title = f"the COVID-19 Radiography Database (folders {', '.join(CLASSES)})"
    get = "kaggle.com/tawsifurrahman/covid19-radiography-database"
    walks = True
    license = "that of its nine sources, see its README"

    def check(self):
        """Raises an error if there is no folder of a class."""
        super().check()
        if not any((self.folder / name).is_dir() for name in CLASSES):
            raise FileNotFoundError(
                f"--source radiography: {self.folder} has none of the folders "
                f"{', '.join(CLASSES)}. Give the one that holds {self.title}."
            )

    def remarks(self):
        """Says what nobody knows."""
        return [
            "THE PATIENTS OF THE RADIOGRAPHY DATABASE ARE UNKNOWN: films of one "
            "patient may stand on both sides of a split. Copies of films in other "
            "sources are found only where the recipe takes these."
        ]

    def rows(self, rules):
        """Yields a `Row` for every file."""
        for number, file in enumerate(self.files, start=1):
            folder, *inner, _ = file.split("/") if "/" in file else ("", file)
            row = Row(self.name, number, file, finding=folder, license=self.license)
            if folder not in CLASSES or inner not in ([], ["images"]):
                yield row.drop("not-used", "a mask, or not a film of the database")
                continue
            row.label, row.rule = CLASSES[folder], f"folder {folder}"
            yield self.place(row)
