"""gunicorn's configuration if it is started here. It is in the package, so that a wheel has it, too."""

from eventbus.gunicorn_config import *  # noqa: F403 - gunicorn uses the names that it knows
