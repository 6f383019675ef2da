"""Screenshots of the two pages for the docs, of generated data: `hack/screenshots`."""
