"""What a snapshot must not carry into the environments that are made from it.

Sampler seeds and ids come from the kernel for every request; only what a library seeded when
it was imported is the same in all of them.
"""

import random


def renew_randomness() -> None:
    """Seed the process's own generator anew, from the kernel's randomness."""
    random.seed()
