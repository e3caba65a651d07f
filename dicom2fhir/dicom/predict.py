"""Records of files that are laid out as the files of their series were, without a walk.

What is remembered is bounded: of some series one file's header to make a layout of, the layout, the contexts.
"""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import Final

from dicom2fhir.dicom.layout import Choice, Layout, Slot, fits_layouts, signature
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


_Piece = tuple[str, int, int, bool]
"""A key of the own part, the slot of its value, whether character sets matter; number -1: a whole piece."""


class Prediction:
    """What the files of one series are like, as far as one of them and what varies say."""

    def __init__(self, found: Scan, context: Given, varying: list[int]) -> None:
        self._layout = Layout(found, varying)
        slots = self._layout.slots
        shared = [span for span in found.spans if not _is_own(span) and span[1] in slots]
        self._shared = [slots[span[1]] for span in shared]
        self._contexts = {tuple(found.data[value:end] for _, _, value, end in shared): context}
        own = sorted(filter(_is_own, found.spans), key=lambda span: PLAIN[span[0]])
        self._uid = next(slots[span[1]] for span in own if span[0] == SOP_INSTANCE)
        pieces = [_piece(found, span, slots.get(span[1])) for span in own if span[0] != SOP_INSTANCE]
        self._pieces = [piece for piece in pieces if piece[0]]

    def record(self, window: Window) -> Record | None:
        """The record of a file that is as predicted, and whose context is known."""
        data, values = self._match(window)
        if values is None:
            return None
        context = self._contexts.get(self._key(data, values))
        number, gap = self._uid
        uid = plain_uid(data[values[number] : values[number + 1] - gap])
        if context is None or uid is None:
            return None
        pieces = []
        for piece, number, gap, charset in self._pieces:
            if number < 0:
                pieces.append(piece)
                continue
            text = plain_text(data[values[number] : values[number + 1] - gap], charset)
            if text is None:
                return None
            if text:
                pieces.append(piece + encode_basestring(text))
        return record_of(context, uid, "{" + ",".join(pieces) + "}")

    def adopt(self, window: Window, context: Given) -> bool:
        """Whether a file is as predicted; its context is known from here on."""
        data, values = self._match(window)
        if values is None:
            return False
        if len(self._contexts) >= _CONTEXTS_KEPT:
            self._contexts.clear()
        self._contexts[self._key(data, values)] = context
        return True

    def _match(self, window: Window) -> tuple[bytes, list[int] | None]:
        data = window.data
        if len(data) < self._layout.reach and len(data) < window.size:
            data = window.reach(self._layout.reach)
        return data, self._layout.match(data, window.size)

    def _key(self, data: bytes, values: list[int]) -> tuple[bytes, ...]:
        return tuple([data[values[number] : values[number + 1] - gap] for number, gap in self._shared])


def _is_own(span: Span) -> bool:
    return span[0] in PLAIN


def _piece(found: Scan, span: Span, slot: Slot | None) -> _Piece:
    """What one own value of a plain file comes to."""
    tag, _, value, end = span
    key, charset = PLAIN[tag]
    if slot is not None:
        return (key, *slot, charset)
    text = plain_text(found.data[value:end], charset)
    return (key + encode_basestring(text) if text else "", -1, 0, False)
