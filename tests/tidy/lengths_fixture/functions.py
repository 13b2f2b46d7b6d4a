"""Functions of Python; lengths_test.py knows the length of each. Not run."""


class Thing:
    def method(self):
        def inner():
            return 1

        return inner()


async def waits():
    return 2
