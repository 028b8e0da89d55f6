/**
 * Text that came from elsewhere, safe to print: another node may put escape sequences or reversed writing into a reason, and
 * a terminal would obey.
 */
export const plain = (text: string): string => text.replaceAll(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, ' ')

export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export const short = (digest: string): string => digest.slice(0, 12)

/** A time for people, to the second; JSON has it in milliseconds. */
export const stamp = (at: number): string => `${new Date(at).toISOString().slice(0, 19)}Z`

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** A length of time as people say it: `45s`, `3h 20m`. The two largest units are enough. */
export function span(ms: number): string {
  if (ms < 1_000) return `${ms}ms`
  const seconds = Math.round(ms / 1_000)
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ')
}

/** `/ip4/192.0.2.1/tcp/7946` as people write it. */
export function hostPort(address: string): string {
  const [, protocol, host, transport, port] = address.split('/')
  if (transport !== 'tcp' || host === undefined || port === undefined) return address
  return protocol === 'ip6' ? `[${host}]:${port}` : `${host}:${port}`
}

/** `app=v2 running`, from the label `shop:v2`. */
export function layer(status: { layer: string; version: string | null; state: string; progress: number }): string {
  const version = status.version === null ? '-' : status.version.slice(status.version.indexOf(':') + 1)
  const progress = status.state === 'fetching' ? ` ${Math.round(status.progress * 100)}%` : ''
  return `${status.layer}=${version} ${status.state}${progress}`
}
