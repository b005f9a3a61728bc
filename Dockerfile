# One image for broker, back end and simulator; docker-compose.yml starts the three.
# Read carefully, but not built or run by its authors yet.

FROM python:3.13-slim-trixie AS wheels
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY fleet ./fleet
COPY broker ./broker
COPY scenarios ./scenarios
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.13-slim-trixie
RUN apt-get update \
    && apt-get install -y --no-install-recommends mosquitto \
    && rm -rf /var/lib/apt/lists/*
# A copy rather than a bind mount, so that builders without BuildKit can do it, too.
COPY --from=wheels /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links=/wheels connectfleet && rm -rf /wheels
# The folders exist and belong to the user before volumes are mounted over them: a new named volume takes their owner.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin fleet \
    && mkdir -p /var/lib/fleet/broker /var/lib/fleet/store /var/lib/fleet/runs \
    && chown -R fleet:fleet /var/lib/fleet \
    && chmod -R o-rwx /var/lib/fleet
USER fleet
ENV HOME=/var/lib/fleet
WORKDIR /var/lib/fleet
ENTRYPOINT ["fleet"]
CMD ["--help"]
