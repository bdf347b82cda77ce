"""A Ctrl-C is told from an error that came of it, and from one that is over."""

from contextlib import contextmanager

import pytest

from separatrix.errors import interrupt_of, raise_interrupt


def stopped():
    """A stop that comes out as another error."""
    try:
        raise KeyboardInterrupt("as control-C")
    finally:
        raise RuntimeError("trying to pop from empty mode stack")


def reading(work):
    try:
        work()
    except Exception as error:
        raise_interrupt(error)
        return str(error)


@contextmanager
def refusals():
    try:
        yield
    except Exception as error:
        raise_interrupt(error)
        raise ValueError(str(error)) from None


def damaged():
    raise OSError("damaged")


def test_a_stop_under_an_error_is_raised():
    with pytest.raises(KeyboardInterrupt, match="as control-C"):
        reading(stopped)
    with pytest.raises(KeyboardInterrupt, match="as control-C"), refusals():
        stopped()


def test_what_is_read_while_a_stop_is_handled_is_not_stopped():
    try:
        raise KeyboardInterrupt("as control-C")
    except KeyboardInterrupt:
        assert reading(damaged) == "damaged"
        with pytest.raises(ValueError, match="damaged"):
            inside()


def inside():
    with refusals():
        damaged()


def test_a_stop_is_one_itself():
    assert isinstance(interrupt_of(KeyboardInterrupt()), KeyboardInterrupt)
    assert interrupt_of(OSError("damaged")) is None
