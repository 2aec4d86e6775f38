# The image of a fleet: the operator, every workload, the migrations and the command line.
#
#     docker build --tag tradefleet .                  what a cluster runs
#     docker build --target dev --tag tradefleet-dev .  the same with a Kafka and a Postgres to try it with
#
# Exactly the locked packages, verified by their hashes; nothing in it depends on when or where it was built. Behind a
# proxy with an authority of its own: --secret id=certificates,src=/etc/ssl/certs/ca-certificates.crt
#
# The base needs Python 3.11 to 3.13 with its venv module: the official image, or a Debian with python3-venv.
ARG BASE_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
ARG PIP_INDEX_URL
WORKDIR /build
# The environment that goes into the image has no tools; the one beside it fills it.
RUN python3 -m venv --without-pip /opt/tradefleet && python3 -m venv /opt/build
COPY requirements requirements
RUN --mount=type=secret,id=certificates,target=/run/certificates.pem \
    if [ -s /run/certificates.pem ]; then export PIP_CERT=/run/certificates.pem; fi \
    && /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
    && /opt/build/bin/pip --python /opt/tradefleet/bin/python install --no-compile --require-hashes -r requirements/image.txt
COPY pyproject.toml LICENSE README.md ./
COPY tradefleet tradefleet
COPY workloads workloads
COPY operator operator
# What only tests the packages, or builds others with them, stays behind. Compiled files name the source's content
# instead of its age, so that two builds are alike.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir wheels . \
    && /opt/build/bin/pip --python /opt/tradefleet/bin/python install --no-compile --no-deps --no-index wheels/*.whl \
    && find /opt/tradefleet -depth \( -path '*/pyarrow/include' -o -path '*/pyarrow/tests' \) -exec rm -rf {} + \
    && python3 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/tradefleet

FROM ${BASE_IMAGE} AS base
# The account has a name because Postgres insists on one.
RUN echo 'tradefleet:x:65532:65532:tradefleet:/tmp:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'tradefleet:x:65532:' >>/etc/group
ENV PATH=/opt/tradefleet/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["tradefleet"]

FROM build AS build-dev
RUN --mount=type=secret,id=certificates,target=/run/certificates.pem \
    if [ -s /run/certificates.pem ]; then \
        export PIP_CERT=/run/certificates.pem REQUESTS_CA_BUNDLE=/run/certificates.pem; \
    fi \
    && find /opt/tradefleet | sort >/before \
    && /opt/build/bin/pip --python /opt/tradefleet/bin/python install --no-compile --require-hashes -r requirements/dev-services.txt \
    && XDG_CACHE_HOME=/opt/cache /opt/tradefleet/bin/python -m governor.local.jars \
    && python3 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/tradefleet \
    # Only what came on top, so that the two images share their layers.
    && find /opt/tradefleet /opt/cache | sort | comm -13 /before - >/added \
    && mkdir /more && tar --create --no-recursion --files-from /added --directory / | tar --extract --directory /more

FROM base AS fleet
COPY --from=build /opt/tradefleet /opt/tradefleet

FROM fleet AS dev
COPY --from=build-dev /more /
ENV XDG_CACHE_HOME=/opt/cache

# What is built when no target is named.
FROM fleet
