"""What a build can fail with: one sentence and a remedy each, shown without a trace.

BuildError
├── CatalogError            a name or an option that means nothing here
├── SourceError             a checkpoint that cannot be had or is not whole
├── ConversionError         a checkpoint that llama.cpp's converter does not take
└── VerificationError       a build that differs from the model it was made of
"""


class BuildError(Exception):
    """The root of the tree."""


class CatalogError(BuildError):
    """A name or an option that means nothing here."""


class SourceError(BuildError):
    """A checkpoint that cannot be had or is not whole."""


class ConversionError(BuildError):
    """A checkpoint that llama.cpp's converter does not take."""


class VerificationError(BuildError):
    """A build that differs from the model it was made of."""
