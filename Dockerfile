# The bus as an image. Build: docker build -t eventbus . Run: docker run -p 3000:3000 -v eventbus:/data eventbus

FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt /tmp/requirements.txt
# Wheels only: there is no compiler here, and none is wanted.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes -r /tmp/requirements.txt \
    && /venv/bin/pip uninstall --yes pip setuptools

# Python and SQLite of this release are those that the tests and the figures in docs/performance.md are from.
FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="eventbus" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --system --gid 10001 eventbus \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin eventbus \
    && install --directory --owner=eventbus --group=eventbus --mode=0700 /data
COPY --from=packages /venv /venv
WORKDIR /app
COPY gunicorn.conf.py wsgi.py ./
COPY eventbus eventbus
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PORT=3000 \
    EVENTBUS_JOURNAL=sqlite:////data/eventbus.db
# Numbers, so that Kubernetes can see that it is not root.
USER 10001:10001
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
