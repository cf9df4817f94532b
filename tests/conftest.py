"""What every test stands on: the standard library patched for gevent, as in production."""

from gevent import monkey

monkey.patch_all()

from hypothesis import settings  # noqa: E402 - nothing may be imported before the patch

# A busy machine may take its time over one example; what is wrong shows in the assertion.
settings.register_profile("eventbus", deadline=None)
settings.load_profile("eventbus")
