"""What has not changed is not computed again, and what has is."""

from anomaly_operator.core.memo import ByIdentity


def lengths(most: int = 8) -> tuple[ByIdentity[[list[int]], int], list[list[int]]]:
    asked: list[list[int]] = []

    def compute(value: list[int]) -> int:
        asked.append(value)
        return len(value)

    return ByIdentity(lambda value: value[0], compute, most), asked


def test_the_same_object_is_computed_once() -> None:
    function, asked = lengths()
    value = [1, 2]
    assert [function(value), function(value)] == [2, 2]
    assert len(asked) == 1


def test_an_equal_object_is_another_one_and_takes_the_place_of_the_first() -> None:
    function, asked = lengths()
    first, second = [1], [1, 2]
    assert [function(first), function(second), function(first)] == [1, 2, 1]
    assert len(asked) == 3
    assert len(function._known) == 1


def test_so_many_slots_are_kept_as_are_allowed() -> None:
    function, _ = lengths(most=3)
    for number in range(10):
        function([number])
    assert list(function._known) == [7, 8, 9]
