#!/bin/sh
# fleetd-launcher DIR PROGRAM [FLAGS...]
#
# Starts fleetd for a host whose layer with driver `agent` replaces fleetd itself, and takes back a new fleetd that does not
# prove itself. It is small so that it need never change: nothing replaces it but the package that brought it.
#
#   DIR       the layer's directory, DATA_DIR/layers/NAME
#   PROGRAM   the fleetd to begin with, from the package; in use until the first image is there, and the last way back
#
# What it shares with fleetd (daemon/drivers/launch.ts) is in DIR/launch:
#
#   current   a link to the fleetd to start; none: PROGRAM
#   trial     there while `current` has not proved itself. First line: `SECONDS BACK`, how long it has and the link's target
#             before, `-` for PROGRAM. Then a line for each start. fleetd removes it once it has proved itself
#   refused   `TARGET REASON`: what was gone back from last
#
# It ends when fleetd ends and nothing else is to be started, with fleetd's own exit code: starting it again is up to the service
# manager. In a systemd unit: KillMode=mixed, NotifyAccess=all.
set -u

# Starts of a fleetd that has not proved itself, a reboot in the middle counted.
tries=3
# Seconds that one has to end after SIGTERM; fleetd takes 15 at most.
grace=20

[ $# -ge 2 ] || { echo 'usage: fleetd-launcher DIR PROGRAM [FLAGS...]' >&2; exit 2; }
dir=$1/launch
builtin=$2
shift 2
mkdir -p "$dir" || exit 1

child=
timer=
stopping=
expired=0

say() { echo "fleetd-launcher: $*" >&2; }
tell() { [ -z "$child" ] || kill "-$1" "$child" 2>/dev/null; }
alarm() {
  # A signal in so many seconds. The sleep ends with the timer.
  ( s=; trap '[ -z "$s" ] || kill "$s" 2>/dev/null; exit' TERM; sleep "$1" & s=$!; wait "$s"; kill -USR1 $$ 2>/dev/null ) &
  timer=$!
}
disarm() { [ -z "$timer" ] || kill "$timer" 2>/dev/null; timer=; }
# What was started has to prove itself, and has not yet.
unproved() { [ -n "$back" ] && [ -e "$dir/trial" ] && [ "$(target)" = "$now" ]; }
target() { readlink "$dir/current" || echo -; }

trap 'stopping=1; tell TERM' TERM
trap 'stopping=1; tell INT' INT
trap 'tell HUP' HUP
trap 'expired=$((expired + 1))' USR1

go_back() { # BACK TARGET REASON
  say "going back from $2: $3"
  printf '%s %s\n' "$2" "$3" > "$dir/refused.new" && mv -f "$dir/refused.new" "$dir/refused"
  if [ "$1" = - ]; then
    rm -f "$dir/current"
  else
    rm -f "$dir/current.new"
    # The link is to a file, so this renames the link itself.
    ln -s "$1" "$dir/current.new" && mv -f "$dir/current.new" "$dir/current"
  fi
  sync
  # Last: until then a launcher that is killed here does all of this again.
  rm -f "$dir/trial"
}

while :; do
  [ -z "$stopping" ] || exit 0
  now=$(target)
  back=
  if [ -e "$dir/trial" ]; then
    read -r seconds back < "$dir/trial"
    case $seconds in '' | *[!0-9]*) back=; esac
    if [ -z "$back" ] || [ "$back" = "$now" ]; then
      # Damaged, or nothing was switched yet.
      rm -f "$dir/trial"
      back=
    elif [ "$(wc -l < "$dir/trial")" -gt "$tries" ]; then
      go_back "$back" "$now" "it ended $tries times before it had proved itself"
      continue
    else
      echo started >> "$dir/trial"
      sync
    fi
  fi

  if [ "$now" = - ]; then program=$builtin; else program=$dir/current; fi
  expired=0
  FLEET_LAUNCHER=${dir%/launch} FLEET_LAUNCHED=$now "$program" "$@" &
  child=$!
  [ -z "$back" ] || alarm "$seconds"
  # One that came before there was a child to tell.
  [ -z "$stopping" ] || tell TERM

  asked=0
  while :; do
    wait "$child"
    status=$?
    # A signal ends `wait` early; what has ended was reaped by it.
    kill -0 "$child" 2>/dev/null || break
    [ -z "$stopping" ] || disarm
    if [ "$expired" -gt "$asked" ] && unproved; then
      if [ "$asked" = 0 ]; then tell TERM; alarm "$grace"; else tell KILL; fi
      asked=$expired
    fi
  done
  child=
  disarm

  [ -z "$stopping" ] || exit "$status"
  # It pointed to another before it ended.
  [ "$(target)" = "$now" ] || continue
  unproved || exit "$status"
  if [ "$asked" -gt 0 ]; then
    go_back "$back" "$now" "it did not prove itself within $seconds s"
  else
    say "$now ended ($status) before it had proved itself"
  fi
done
