# Debian's PostgreSQL, for the state of rolled pods. Build it in this folder; BASE is a Debian-like image.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
# Create the package's user with the UID of the pods. Skip the package's certificate: it is not used, and its folder may be
# mounted read-only while the image is built.
RUN useradd --system --uid 65532 --home-dir /var/lib/postgresql postgres \
 && dpkg-divert --quiet --local --no-rename --add /usr/sbin/make-ssl-cert \
 && ln -s /bin/true /usr/sbin/make-ssl-cert \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql \
 && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/*
COPY postgres.sh /usr/local/bin/postgres.sh
ENV PGDATA=/data/db LANG=C.UTF-8
USER 65532:65532
EXPOSE 5432
# SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
STOPSIGNAL SIGINT
CMD ["sh", "/usr/local/bin/postgres.sh"]
