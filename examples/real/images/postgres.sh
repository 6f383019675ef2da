# Serve the databases in DATABASES to one user, whose password is in a file.
set -eu
cd "$(echo /usr/lib/postgresql/*/bin)"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  ./initdb --username="$PGUSER" --pwfile="$PASSWORD_FILE" --auth=scram-sha-256 > /dev/null
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  for name in $DATABASES; do
    echo "create database \"$name\"" | ./postgres --single postgres > /dev/null
  done
fi
exec ./postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
