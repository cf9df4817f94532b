"""``eventbus doctor``: what is wrong here, and what to mend. Facts are gathered apart from what is made of them."""
