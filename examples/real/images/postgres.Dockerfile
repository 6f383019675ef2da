# Debian's PostgreSQL for the state of what is rolled. Built in this folder; BASE is a Debian-like image.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
# The user that the package would make, with the number that the pods run as. And no certificate: nobody would use it, and its
# folder may be mounted read-only while an image is built.
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
# Fast shutdown: the clients are not waited for.
STOPSIGNAL SIGINT
CMD ["sh", "/usr/local/bin/postgres.sh"]
