"""MNIST and Fashion-MNIST: four IDX files each, found on disk or downloaded.

Files of your own in the same format and under the same names are welcome (other counts and image
sizes): files on disk are checked for what the format says, downloads against their SHA-256.
"""

from dataclasses import dataclass
from pathlib import Path

from gpucnn.data import files
from gpucnn.data.dataset import Splits
from gpucnn.data.files import RemoteFile
from gpucnn.data.idx import read_idx, read_pair


@dataclass(frozen=True)
class IdxSet:
    """A published data set: its classes, mirrors and files.

    The files: training images, training labels, test images, test labels.
    """

    name: str
    classes: tuple[str, ...]
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, RemoteFile, RemoteFile, RemoteFile]

    def load(self, root: str, download: bool) -> Splits:
        """Read the four files from the first place that has them all.

        If none has, those missing in `root` are downloaded there if `download`, else DataError.
        """
        places = files.folders(self.name, root)
        found = next((paths for place in places if (paths := self._all_in(place))), None)
        if found is None:
            if not download:
                names = ", ".join(file.name for file in self.files)
                raise files.missing(f"{self.name} ({names}, together)", places, self.name)
            found = self.download(Path(root))
        train_images, train_labels, test_images, test_labels = found
        return Splits(
            read_pair(train_images, train_labels, self.classes),
            read_pair(test_images, test_labels, self.classes),
        )

    def download(self, root: Path) -> list[Path]:
        """Have the four files in `root` (or root/<name>): what is there is checked and kept."""
        paths = self._all_in(root / self.name)
        if paths is None:
            paths = [self._find(file, root) or self._fetch(file, root) for file in self.files]
        for path, rank in zip(paths, (3, 1, 3, 1), strict=True):
            read_idx(path, rank)
        return paths

    def _fetch(self, file: RemoteFile, root: Path) -> Path:
        return files.fetch(file, self.mirrors, root)

    def _find(self, file: RemoteFile, place: Path) -> Path | None:
        return files.find([place], (file.name, file.name.removesuffix(".gz")))

    def _all_in(self, place: Path) -> list[Path] | None:
        """The paths of the four files in a folder, or None where one is missing."""
        paths = [path for file in self.files if (path := self._find(file, place))]
        return paths if len(paths) == len(self.files) else None


MNIST = IdxSet(
    name="mnist",
    classes=tuple("0123456789"),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    files=(
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
)

FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    files=(
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)
