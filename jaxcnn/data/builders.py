"""TFDS builders that prepare the image sets without TensorFlow.

The builders that tensorflow-datasets ships can read without TensorFlow, but not
prepare: they unpack archives and encode images with it. These have the same names,
versions and features, so `tfds.data_source` reads what they wrote.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import requests
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError
from tensorflow_datasets.core import registered, utils
from tensorflow_datasets.core.download import checksums, downloader
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from jaxcnn.data.formats import Arrays, Blob, DataError, broken, read_file, read_tar
from jaxcnn.data.sources import FileSource, Source

_TIMEOUTS = (10, 60)  # seconds to connect, and to wait for the next bytes
_RETRIES = 2


# TFDS must not register them, or the stock builders of the same names could not be imported.
with registered.skip_registration():

    class SourceBuilder(tfds.core.GeneratorBasedBuilder):
        """Prepares the data set that a row of the table describes.

        Attributes:
          source: The row; `builder_for` makes one subclass a row, as TFDS keeps name
            and version on the class.
        """

        VERSION = tfds.core.Version("0.0.0")
        source: ClassVar[Source]

        def _info(self) -> tfds.core.DatasetInfo:
            source = self.source
            features: dict[str, Any] = {"image": tfds.features.Image(shape=source.image_shape)}
            for key, names in source.labels.items():
                features[key] = tfds.features.ClassLabel(names=names)
            if source.ids:
                features["id"] = tfds.features.Text()
            return tfds.core.DatasetInfo(
                builder=self,
                description=source.description,
                homepage=source.homepage,
                features=tfds.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
                # Records keep the order of the files, whichever way they are loaded.
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
            source = self.source
            # One by one: of files fetched at once, the others go on in threads after one failed.
            paths = {
                file.filename: Path(dl_manager.download(file.url)) for file in source.downloads
            }
            blobs = _read_downloads(source, paths)
            # Both splits are parsed before TFDS writes the first record.
            arrays = {
                split: source.parse([blobs[name] for name in names], source.labels)
                for split, names in source.files.items()
            }
            return {split: self._generate_examples(split, arrays[split]) for split in arrays}

        def _generate_examples(
            self, split: str, arrays: Arrays
        ) -> Iterator[tuple[int, dict[str, Any]]]:
            for index, image in enumerate(arrays.images):
                example: dict[str, Any] = {
                    key: int(column[index]) for key, column in arrays.labels.items()
                }
                example["image"] = encode_png(image)
                if self.source.ids:
                    example["id"] = f"{split}_{index:05d}"
                yield index, example

    class FileSourceBuilder(tfds.core.GeneratorBasedBuilder):
        """Prepares a data set whose images are one file each; it keeps their bytes.

        Attributes:
          source: The row of the table.
        """

        VERSION = tfds.core.Version("0.0.0")
        source: ClassVar[FileSource]

        def _info(self) -> tfds.core.DatasetInfo:
            source = self.source
            features = {
                "image": tfds.features.Image(),
                source.filename_feature: tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=source.class_names),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                description=source.description,
                homepage=source.homepage,
                features=tfds.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
            (file,), (split,) = self.source.downloads, self.source.splits
            return {split: self._generate_examples(Path(dl_manager.download(file.url)))}

        def _generate_examples(self, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
            for index, image in enumerate(self.source.read(path)):
                yield (
                    index,
                    {
                        "image": io.BytesIO(image.data),
                        self.source.filename_feature: image.name,
                        "label": image.label,
                    },
                )


def builder_for(source: Source | FileSource, data_dir: Path) -> SourceBuilder | FileSourceBuilder:
    """Returns the builder of a data set.

    Args:
      source: Its row in the table.
      data_dir: The TFDS folder.

    Returns:
      A builder, whether or not the set is prepared there.

    Raises:
      DataError: If it is prepared, but its description is damaged.
    """
    fields = {
        "__module__": __name__,
        "name": source.name,
        "VERSION": tfds.core.Version(source.version),
        "source": source,
        # The sizes and checksums that TFDS enforces.
        "url_infos": {
            file.url: checksums.UrlInfo(utils.Size(file.size), file.sha256, file.filename)
            for file in source.downloads
        },
    }
    with registered.skip_registration():
        base = FileSourceBuilder if isinstance(source, FileSource) else SourceBuilder
        kind: Any = type(source.name, (base,), fields)
    try:
        return kind(data_dir=data_dir)
    except ParseError as error:
        folder = data_dir / source.name / source.version
        raise damaged(folder, error) from error


def damaged(folder: Path, error: Exception) -> DataError:
    """Returns the error for a prepared set that cannot be read.

    Args:
      folder: The set's folder.
      error: What went wrong.

    Returns:
      The error, to be raised.
    """
    rule = f"the prepared set is damaged ({error})"
    return broken(rule, folder, "delete the folder and load it again")


def prepare(builder: SourceBuilder | FileSourceBuilder, manual_dir: Path) -> None:
    """Downloads a data set and writes it as array_record files, unless that is done.

    TFDS writes into a temporary folder and renames it at the end, so a set is either
    whole or absent.

    Args:
      builder: The data set.
      manual_dir: Folder in which files that the user fetched by other means are found.

    Raises:
      DataError: If a file cannot be downloaded, fails its checksum or is broken.
    """
    source = builder.source
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir, force_checksums_validation=True, try_download_gcs=False
    )
    try:
        with _hurried_downloads():
            builder.download_and_prepare(download_config=config, file_format="array_record")
    except NonMatchingChecksumError as error:
        facts = " ".join(str(error).splitlines()[:3])
        raise DataError(
            f"load: a file has the wrong checksum, got name={source.name!r}; it was changed on "
            f"its way or by its owner, try again or pass raw_dir=. {facts}"
        ) from error
    except (requests.RequestException, tfds.download.DownloadError) as error:
        names = ", ".join(file.filename for file in source.downloads)
        raise DataError(
            f"load: could not download the data set, got name={source.name!r}, "
            f"url={source.downloads[0].url!r}; check the network, or fetch {names} elsewhere and "
            f"either put them into {str(manual_dir)!r} or pass their folder as raw_dir=. ({error})"
        ) from error
    except OSError:
        # Another program, without our lock, may have renamed its own folder first.
        if not builder.is_prepared():
            raise


def encode_png(image: np.ndarray) -> bytes:
    """Returns an image as PNG, losslessly.

    Args:
      image: uint8, `(h, w, c)` with one or three channels.

    Returns:
      The bytes of the file.
    """
    from PIL import Image

    buffer = io.BytesIO()
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    # Level 1 makes files a little larger than the default and is several times faster.
    Image.fromarray(pixels).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Keeps TFDS's prints and log lines away; its bars show only on a terminal."""
    # TFDS logs through absl; urllib3 logs each attempt, which the final error repeats.
    loggers = [logging.getLogger(name) for name in ("absl", "urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    tfds.display_progress_bar(sys.stderr.isatty())
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.display_progress_bar(True)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _read_downloads(source: Source, paths: dict[str, Path]) -> dict[str, Blob]:
    """Returns all files of a data set by their original names."""
    names = [name for names in source.files.values() for name in names]
    if source.archive is None:
        return {name: read_file(paths[f"{name}.gz"]) for name in names}
    return dict(zip(names, read_tar(paths[source.archive], names), strict=True))


@contextlib.contextmanager
def _hurried_downloads() -> Iterator[None]:
    """Gives TFDS's downloads time limits.

    Without them a machine that is offline waits minutes for the error (ten retries with
    growing pauses), and a connection that stalls waits for ever.
    """
    limits: dict[str, Any] = {"MAX_RETRIES": _RETRIES}
    # A private name: where a later TFDS lacks it, downloads still work, only without limits.
    if open_url := getattr(downloader, "_open_url", None):
        limits["_open_url"] = functools.partial(open_url, timeout=_TIMEOUTS)
    before = {name: getattr(downloader, name, None) for name in limits}
    try:
        for name, value in limits.items():
            setattr(downloader, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(downloader, name, value)
