"""Records of files that are laid out as the files of their series were, without a walk.

What is remembered is bounded: of some series one file's header to make a layout of, the layout, the contexts.
"""

from __future__ import annotations

from typing import Final

from dicom2fhir.dicom.layout import Choice, Extent, Layout, fits_layouts, signature
from dicom2fhir.dicom.raws import SOP_INSTANCE
from dicom2fhir.dicom.record import PLAIN, Given, Record, plain_text, plain_uid, record_of
from dicom2fhir.dicom.scan import Scan, Span, Window

_SERIES_KEPT = 256
_BYTES_KEPT = 16 * 1024 * 1024
_CONTEXTS_KEPT: Final = 16
_BUILDS: Final = 8
"""How often the layout of one series is made anew; after that it stays as it is."""
_ELEMENT: Final = 40
"""Bytes of memory that an element's start takes."""
_TAIL: Final = 16
"""Bytes that are kept of a file behind its header: the tag and length of its pixel data."""


class Predictions:
    """The series of which files were read, and what was seen to vary within one."""

    def __init__(self) -> None:
        self._series: dict[bytes, _Series] = {}
        self._bytes = 0
        self._choice = Choice()
        self._latest: Prediction | None = None

    def record(self, window: Window) -> Record | None:
        """The record of a file that is as its series predicts."""
        latest = self._latest
        record = latest.record(window) if latest else None
        if record is None:
            series = self._series.get(signature(window.data))
            prediction = series.predicted(self._choice) if series else None
            if prediction is not None and prediction is not latest:
                record = prediction.record(window)
                self._latest = prediction if record else latest
        return record

    def learn(self, window: Window, found: Scan, context: Given) -> None:
        """Take note of a file that was walked: of a series' first one, and of those that were not as predicted."""
        if not fits_layouts(found):
            return
        self._make_room(found, context)
        name = signature(found.data)
        series = self._series.get(name)
        if series is None:
            self._series[name] = _Series(found, context)
        elif series.prediction is None or not series.prediction.adopt(window, context):
            series.correct(found, context, self._choice)
            self._latest = series.predicted(self._choice)

    def _make_room(self, found: Scan, context: Given) -> None:
        """All is forgotten when it becomes much."""
        size = found.stop + _ELEMENT * len(found.starts) + len(context.body)
        self._bytes += size
        if len(self._series) >= _SERIES_KEPT or self._bytes > _BYTES_KEPT:
            self._series.clear()
            self._latest = None
            self._bytes = size


class _Series:
    """The header of a series' first file, and once there is a second one, what the others should be like."""

    def __init__(self, found: Scan, context: Given) -> None:
        self._keep(found, context)
        self._builds = 0

    def _keep(self, found: Scan, context: Given) -> None:
        self._found = found._replace(data=found.data[: found.stop + _TAIL])
        self._context = context
        self.prediction: Prediction | None = None

    def predicted(self, choice: Choice) -> Prediction:
        """What its files should be like."""
        if self.prediction is None:
            self._builds += 1
            self.prediction = Prediction(self._found, self._context, choice.of(self._found))
        return self.prediction

    def correct(self, found: Scan, context: Given, choice: Choice) -> None:
        """Learn from a file that was not as predicted."""
        if self._builds < _BUILDS:
            choice.learn(self._found, found)
            self._keep(found, context)


_Place = tuple[int, int, bool]
"""The place of an own value in the row, its place among the values that vary, whether character sets matter."""


class Prediction:
    """What the files of one series are like, as far as one of them and what varies say."""

    def __init__(self, found: Scan, context: Given, varying: list[int]) -> None:
        self._layout = Layout(found, varying, {span[1] for span in found.spans})
        slots = self._layout.slots
        shared = [span for span in found.spans if not _is_own(span) and span[1] in slots]
        self._shared = [slots[span[1]] for span in shared]
        self._contexts = {tuple(found.data[value:end] for _, _, value, end in shared): context}
        self._uid = next(slots[span[1]] for span in found.spans if span[0] == SOP_INSTANCE)
        own = sorted((PLAIN[span[0]], span) for span in found.spans if _is_own(span) and span[0] != SOP_INSTANCE)
        said = [(*known, span, text) for known, span in own if (text := _text(found, span)) or span[1] in slots]
        self._keys = tuple([keyword for keyword, _, _, _ in said])
        self._row = [text for _, _, _, text in said]
        self._places: list[_Place] = [
            (place, slots[span[1]], charset) for place, (_, charset, span, _) in enumerate(said) if span[1] in slots
        ]

    def record(self, window: Window) -> Record | None:
        """The record of a file that is as predicted, and whose context is known."""
        data, values = self._match(window)
        if values is None:
            return None
        context = self._contexts.get(self._key(data, values) if self._shared else ())
        start, end = values[self._uid]
        uid = plain_uid(data[start:end])
        if context is None or uid is None:
            return None
        row = self._row.copy()
        for place, slot, charset in self._places:
            start, end = values[slot]
            text = row[place] = plain_text(data[start:end], charset)
            if text is None:
                return None
        if "" in row:
            return record_of(context, {key: text for key, text in zip(self._keys, row, strict=True) if text}, uid)
        return ("header", context.digest, None, self._keys, uid, tuple(row))

    def adopt(self, window: Window, context: Given) -> bool:
        """Whether a file is as predicted; its context is known from here on."""
        data, values = self._match(window)
        if values is None:
            return False
        if len(self._contexts) >= _CONTEXTS_KEPT:
            self._contexts.clear()
        self._contexts[self._key(data, values)] = context
        return True

    def _match(self, window: Window) -> tuple[bytes, list[Extent] | None]:
        data = window.data
        if len(data) < self._layout.reach and len(data) < window.size:
            data = window.reach(self._layout.reach)
        return data, self._layout.match(data, window.size)

    def _key(self, data: bytes, values: list[Extent]) -> tuple[bytes, ...]:
        return tuple([data[slice(*values[slot])] for slot in self._shared])


def _is_own(span: Span) -> bool:
    return span[0] in PLAIN


def _text(found: Scan, span: Span) -> str | None:
    """What one own value of a plain file comes to."""
    tag, _, value, end = span
    return plain_text(found.data[value:end], PLAIN[tag][1])
