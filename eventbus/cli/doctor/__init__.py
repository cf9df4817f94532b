"""``eventbus doctor``: finds what is wrong, and how to fix it. Facts are inspected first, and diagnosed then."""
