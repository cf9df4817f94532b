"""What gunicorn reads where it is started here. The settings stand in the package, so that a wheel has them too."""

from eventbus.gunicorn_config import *  # noqa: F403 - gunicorn takes the names that it knows
