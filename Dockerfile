# syntax=docker/dockerfile:1
# The image of every role: one binary, the screens inside it, nothing that a shell could fetch with.
#   docker build -t sen:0.1.0 .              the roles
#   docker build --target nats .             the log's servers, as deploy/nats wants them
#   docker build --target victoria-metrics . VictoriaMetrics, as an archive and for metrics

# The screens.
FROM node:22-slim AS web
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

# The binary, with the screens in it.
FROM rust:1.95-slim-bookworm AS binary
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY config config
COPY crates crates
COPY proto proto
COPY services services
# A member of the workspace, so Cargo wants to see it; it is not built.
COPY tests/Cargo.toml tests/Cargo.toml
COPY tests/harness tests/harness
COPY --from=web /build/web/dist web/dist
# The toolchain is the image's, by the name it has there, whatever rust-toolchain.toml asks for.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked -p sen \
 && cp target/release/sen /usr/local/bin/sen

# A server of the log: NATS as user 10001, with a folder that is its own.
FROM nats:2.12-alpine AS nats
RUN mkdir -p /var/lib/nats && chown 10001:10001 /var/lib/nats && chmod 700 /var/lib/nats
COPY deploy/nats /etc/nats
USER 10001:10001
VOLUME /var/lib/nats
EXPOSE 4222 6222 8222
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=6 \
  CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8222/healthz"]
ENTRYPOINT ["nats-server"]
CMD ["--config", "/etc/nats/nats.conf", "--store_dir", "/var/lib/nats"]

# An archive, and where metrics go: VictoriaMetrics as user 10001, with a folder that is its own.
FROM victoriametrics/victoria-metrics:v1.122.0 AS victoria-metrics
RUN mkdir -p /var/lib/victoria-metrics \
 && chown 10001:10001 /var/lib/victoria-metrics && chmod 700 /var/lib/victoria-metrics
USER 10001:10001
VOLUME /var/lib/victoria-metrics
EXPOSE 8428
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8428/health"]

# What runs. The last stage is what `docker build` makes.
FROM debian:bookworm-slim AS sen
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Sen" \
      org.opencontainers.image.description="The streaming heart of a province's smart operations centre" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 sen \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sen \
 && mkdir -p /var/lib/sen && chown sen:sen /var/lib/sen && chmod 700 /var/lib/sen
COPY --from=binary /usr/local/bin/sen /usr/local/bin/sen
COPY LICENSE /usr/share/doc/sen/LICENSE
COPY config /etc/sen
# Inside a container the network is the container's own; `sen` listens where it is told to.
ENV SEN__TELEMETRY__ADMIN=0.0.0.0:9090
USER 10001:10001
VOLUME /var/lib/sen
EXPOSE 1883 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=6 \
  CMD ["sen", "health", "http://127.0.0.1:9090/readyz"]
ENTRYPOINT ["sen"]
CMD ["run", "--config", "/etc/sen", "--data", "/var/lib/sen"]
