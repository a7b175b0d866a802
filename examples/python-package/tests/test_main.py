import pytest

from durations.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["1h", "30m"], "1h 30m\n"),
        (["--seconds", "1h", "250ms"], "3600.25\n"),
    ],
)
def test_durations_are_added_up(arguments, expected, capsys):
    assert main(arguments) == 0
    assert capsys.readouterr().out == expected


def test_a_mistake_is_told_and_fails(capsys):
    assert main(["1h", "2 parsecs"]) == 1
    assert capsys.readouterr().err.startswith("durations: '2 parsecs': unknown unit 'parsecs'")
