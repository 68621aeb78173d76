"""Named scenarios that measure spanmill beside a floor and its peers; see README.md."""
