// What a service manager or an operator tells fleetd itself: a program that took these for its own would report fleetd
// ready, answer its watchdog, or learn its secrets. MALLOC_*: how the first line of dist/fleetd.js sets up its memory.
const OWN =
  /^(FLEETD_.*|FLEETCTL_.*|NOTIFY_SOCKET|WATCHDOG_(PID|USEC)|LISTEN_(FDS|PID|FDNAMES)|JOURNAL_STREAM|FLEET_LAUNCHE[RD]|NODE_OPTIONS|NODE_CHANNEL_.*|MALLOC_.*)$/

/** The environment of a program, hook or check: the daemon's, without what is meant for the daemon alone, and `added`. */
export function environmentWith(added: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !OWN.test(name))
  return { ...Object.fromEntries(inherited), ...added }
}
