"""What operators see: the status page, the review queue, and the metrics of the loop.

`read_figures` reads everything once; pages and metrics are made of that. A part that is away is a sentence on the page
and a 0 in the metrics, and the rest is still shown.
"""
