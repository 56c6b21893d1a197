"""Pieces of an answer: whole characters, the model's newlines, trimming, stop strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf_lambda.answer_text import AnswerText

EMOJI = "👨‍👩‍👧さん、鱚の𠮟り焼き🇯🇵"


def read(text: AnswerText, *pieces: bytes) -> list[str]:
    told = []
    for piece in pieces:
        told.append(text.feed(piece))
        if text.stopped_by is not None:
            break
    return [*told, text.finish()]


def test_a_character_is_told_when_its_last_byte_is_there() -> None:
    assert read(AnswerText(), *(bytes([byte]) for byte in "鱚".encode())) == ["", "", "鱚", ""]


def test_half_a_character_at_the_end_becomes_one_replacement_character() -> None:
    assert read(AnswerText(), "鱚".encode()[:2]) == ["", "\ufffd"]


@given(st.text(max_size=40), st.lists(st.integers(1, 7), max_size=60))
def test_pieces_join_to_the_whole_wherever_the_bytes_are_cut(text: str, sizes: list[int]) -> None:
    data = (EMOJI + text).encode()
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    assert "".join(read(AnswerText(), *pieces, data)) == EMOJI + text


def test_the_models_newline_is_read_across_pieces() -> None:
    text = AnswerText(newline="\\n")
    assert read(text, "一\\".encode(), "n二\\".encode(), b"x\\") == ["一", "\n二", "\\x", "\\"]


def test_a_trimmed_answer_keeps_the_white_space_inside() -> None:
    text = AnswerText(newline="\\n", trim=True)
    assert read(text, b"\\n a", b" \\n", b"b", b" \\n") == ["a", "", " \nb", "", ""]


def test_only_the_first_space_is_dropped_where_the_tokenizer_put_it() -> None:
    text = AnswerText(drop_first_space=True)
    assert read(text, b" a", b" b") == ["a", " b", ""]


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        ((b"abc", b"STOPdef"), "abc"),
        ((b"abS", b"TO", b"Pdef"), "ab"),
        ((b"abS", b"TO", b"Xdef"), "abSTOXdef"),
        ((b"abST",), "abST"),
        ((b"STOP",), ""),
        ((b"SSTOP",), "S"),
    ],
)
def test_a_stop_string_never_leaks_its_first_characters(
    pieces: tuple[bytes, ...], told: str
) -> None:
    text = AnswerText(stop=["STOP"])
    assert "".join(read(text, *pieces)) == told
    assert text.stopped_by == ("STOP" if "STOP" in b"".join(pieces).decode() else None)


def test_the_stop_string_that_comes_first_counts() -> None:
    text = AnswerText(stop=["bcd", "b"])
    assert read(text, b"abcd") == ["a", ""]
    assert text.stopped_by == "b"


@given(st.text("ab", max_size=12), st.lists(st.text("ab", min_size=1, max_size=3), max_size=4))
def test_any_cut_gives_what_one_piece_gives(answer: str, stop: list[str]) -> None:
    one_by_one = AnswerText(stop=stop)
    told = "".join(read(one_by_one, *(character.encode() for character in answer)))
    ends = [answer.find(s) + len(s) for s in stop if s in answer]
    first = min(ends, default=len(answer))
    assert answer[:first].startswith(told)
    assert not any(s in told for s in stop)
