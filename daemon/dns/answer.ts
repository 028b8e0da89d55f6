import type { Answer, Question } from 'dns-packet'
import type { MemberView } from '../../membership/index.ts'
import type { Random } from '../../protocol/index.ts'
import { hostsOf, instancesOf } from '../services/index.ts'

export const ZONE = 'fleet'
/** Seconds: who asks again gets what is so now. */
const TTL = 0
/** More would fit in no packet that is worth sending. */
const MAX_ANSWERS = 64

/** Response codes of RFC 1035, 4.1.1. */
export const RCODE = { ok: 0, malformed: 1, failed: 2, unknown: 3, notImplemented: 4, refused: 5 } as const

export interface Found {
  readonly rcode: number
  readonly answers: readonly Answer[]
  readonly additionals: readonly Answer[]
  /** The SOA, where there is no such name or no such record of it (RFC 2308). */
  readonly authorities: readonly Answer[]
}

/** The zone's SOA. Its minimum is how long an absence is remembered: not at all. */
const SOA: Answer = {
  type: 'SOA',
  name: ZONE,
  ttl: TTL,
  data: {
    mname: `ns.${ZONE}`,
    rname: `hostmaster.${ZONE}`,
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: TTL,
  },
}
const none = (rcode: number): Found => ({ rcode, answers: [], additionals: [], authorities: [SOA] })

/** What the zone says to one question. Names are compared without regard to case (RFC 4343). */
export function answer({ name: asked, type }: Question, members: readonly MemberView[], random: Random): Found {
  const name = asked.toLowerCase().replace(/\.$/, '')
  if (name !== ZONE && !name.endsWith(`.${ZONE}`))
    return { rcode: RCODE.refused, answers: [], additionals: [], authorities: [] }
  if (name === ZONE)
    return type === 'SOA' ? { rcode: RCODE.ok, answers: [SOA], additionals: [], authorities: [] } : none(RCODE.ok)
  const labels = name.slice(0, -ZONE.length - 1)
  if (labels === 'node' || labels === 'service') return none(RCODE.ok)
  const node = /^(.+)\.node$/.exec(labels)?.[1]
  if (node !== undefined) return ofNode(node, asked, type, members)
  const [, strict, protocol, plain] = /^(?:_([a-z0-9-]+)\._(tcp|udp)|([a-z0-9-]+))\.service$/.exec(labels) ?? []
  const service = strict ?? plain
  return service === undefined ? none(RCODE.unknown) : ofService(service, protocol, asked, type, members, random)
}

function ofNode(node: string, asked: string, type: Question['type'], members: readonly MemberView[]): Found {
  const found = members.filter(
    ({ name, id, status }) =>
      (status === 'alive' || status === 'suspect') && (name.toLowerCase() === node || id.toLowerCase() === node),
  )
  if (found.length === 0) return none(RCODE.unknown)
  const answers = found.flatMap((member): Answer[] =>
    type === 'TXT'
      ? [{ type, name: asked, ttl: TTL, data: textOf(member) }]
      : addressesOf(asked, type, hostsOf(member.addresses)),
  )
  return some(answers)
}

function ofService(
  service: string,
  protocol: string | undefined,
  asked: string,
  type: Question['type'],
  members: readonly MemberView[],
  random: Random,
): Found {
  const all = instancesOf(members).filter(
    instance => instance.service === service && (protocol === undefined || instance.protocol === protocol),
  )
  const available = random.shuffle(all.filter(instance => instance.available)).slice(0, MAX_ANSWERS)
  // A service of which nobody is well has a name and no address.
  if (available.length === 0) return none(all.length === 0 ? RCODE.unknown : RCODE.ok)
  const hosts = ({ addresses }: { addresses: readonly string[] }) => ({
    v4: addresses.find(host => !host.includes(':')),
    v6: addresses.find(host => host.includes(':')),
  })
  if (type !== 'SRV') return some(available.flatMap(instance => addressesOf(asked, type, hosts(instance))))
  // Ids are unique, and names need not be.
  const targetOf = ({ node }: { node: string }): string => `${node}.node.${ZONE}`
  const answers = available.map((instance): Answer => {
    const { port, weight } = instance
    return { type: 'SRV', name: asked, ttl: TTL, data: { priority: 0, weight, port, target: targetOf(instance) } }
  })
  const additionals = available.flatMap(instance =>
    (['A', 'AAAA'] as const).flatMap(kind => addressesOf(targetOf(instance), kind, hosts(instance))),
  )
  return { ...some(answers), additionals }
}

function some(answers: readonly Answer[]): Found {
  return answers.length === 0
    ? none(RCODE.ok)
    : { rcode: RCODE.ok, answers: answers.slice(0, MAX_ANSWERS), additionals: [], authorities: [] }
}

function addressesOf(
  name: string,
  type: Question['type'],
  { v4, v6 }: { readonly v4: string | undefined; readonly v6: string | undefined },
): Answer[] {
  const host = type === 'A' ? v4 : type === 'AAAA' ? v6 : undefined
  return host === undefined ? [] : [{ type: type as 'A' | 'AAAA', name, ttl: TTL, data: host }]
}

/** `key=value` strings (RFC 1464), none longer than the 255 bytes that one may have. */
function textOf({ id, status, class: nodeClass, zone, group, health, taint, layers }: MemberView): string[] {
  const pairs = { id, status, class: nodeClass, zone, group, health, taint: taint.join(',') }
  const versions = layers.map(({ layer, version }) => [`layer.${layer}`, version ?? ''] as const)
  return [...Object.entries(pairs), ...versions].map(([key, value]) => `${key}=${value}`.slice(0, 255))
}
