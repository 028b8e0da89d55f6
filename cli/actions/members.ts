import { setTimeout as wait } from 'node:timers/promises'
import type { Members, MemberView } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import type { Tint } from '../paint.ts'
import { type Column, table } from '../table.ts'
import { hostPort, layer } from '../text.ts'

interface Options {
  readonly status?: readonly string[]
  readonly name?: RegExp
  readonly tag?: Readonly<Record<string, string>>
  readonly group?: string
  readonly zone?: string
  readonly watch?: true
  readonly sort?: 'name' | 'rtt'
}

const EVERY = 1_000

export async function run(context: Context, options: Options): Promise<undefined> {
  const read = async (): Promise<Members> => {
    const { members } = await context.client.call('GET /v1/members')
    return { members: members.filter(filter(options)).sort(ORDER[options.sort ?? 'name']) }
  }
  if (options.watch !== true) {
    const members = await read()
    context.show(members, () => render(members, context))
    return
  }
  let shown = ''
  while (!context.signal.aborted) {
    const members = await read()
    const now = context.json ? JSON.stringify(members) : render(members, context)
    if (now !== shown) {
      if (context.live) context.terminal.stdout.write('\x1b[H\x1b[2J')
      context.print(now + (context.json || context.live ? '' : '\n'))
    }
    shown = now
    await wait(EVERY, undefined, { signal: context.signal })
  }
}

const byName = (a: MemberView, b: MemberView): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
/** Measured where it was, otherwise estimated; undefined where neither is known. */
const distance = (member: MemberView): number | undefined => member.rttMs ?? member.estimatedRttMs ?? undefined
const ORDER = {
  name: byName,
  /** Nearest first; those whose distance is not known, this node among them, come last. */
  rtt: (a: MemberView, b: MemberView): number => {
    const [near, far] = [distance(a) ?? Number.MAX_VALUE, distance(b) ?? Number.MAX_VALUE]
    return near - far || byName(a, b)
  },
} as const

function filter({ status, name, tag = {}, group, zone }: Options): (member: MemberView) => boolean {
  const tags = Object.entries(tag).map(([key, pattern]) => [key, new RegExp(`^(?:${pattern})$`)] as const)
  return member =>
    (status === undefined || status.includes(member.status)) &&
    (name === undefined || name.test(member.name)) &&
    (group === undefined || member.group === group) &&
    (zone === undefined || member.zone === zone) &&
    tags.every(([key, pattern]) => pattern.test(member.tags[key] ?? ''))
}

const STATUS: Readonly<Record<MemberView['status'], Tint>> = {
  alive: 'green',
  suspect: 'yellow',
  failed: 'red',
  left: 'dim',
  away: 'dim',
  overdue: 'red',
}
const HEALTH: Readonly<Record<MemberView['health'], Tint>> = { passing: 'green', failing: 'red', unknown: 'dim' }

const COLUMNS: readonly Column<MemberView>[] = [
  { head: 'NAME', cell: member => member.name },
  { head: 'STATUS', cell: member => ({ text: member.status, tint: STATUS[member.status] }) },
  { head: 'ADDR', cell: member => (member.addrs[0] === undefined ? '' : hostPort(member.addrs[0])), spare: true },
  { head: 'CLASS', cell: member => member.class, spare: true },
  { head: 'ZONE', cell: member => member.zone, spare: true },
  { head: 'GROUP', cell: member => member.group, spare: true },
  { head: 'HEALTH', cell: member => ({ text: member.health, tint: HEALTH[member.health] }) },
  { head: 'LAYERS', cell: member => member.layers.map(layer).join(', ') },
  { head: 'RTT', cell: rtt, spare: true },
]

/** `~`: estimated. */
function rtt(member: MemberView): string {
  const known = distance(member)
  return known === undefined ? '' : `${member.rttMs === null ? '~' : ''}${known.toFixed(1)} ms`
}

const TAINT: Column<MemberView> = { head: 'TAINT', cell: member => ({ text: member.taint.join(' '), tint: 'yellow' }) }

/** Taints have a column where there are any. */
function render({ members }: Members, { paint, width }: Context): string {
  const tainted = members.some(member => member.taint.length > 0)
  const columns = tainted ? COLUMNS.toSpliced(COLUMNS.length - 2, 0, TAINT) : COLUMNS
  return table(columns, members, paint, width)
}
