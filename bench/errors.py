"""What a run can fail with: one sentence and a remedy, shown without a trace."""


class BenchError(Exception):
    """A contender that does not answer as asked, or a request that means nothing here."""
