import { span as inWords, plural, size } from '../text.ts'
import { type Check, type Facts, type Finding, names } from './types.ts'

/**
 * Clocks that are further apart than this are worth a look, and further than that are a problem. Milliseconds. Nothing here needs clocks to
 * agree to the second; but a statement from more than five minutes ahead is refused (LIMITS.clockSkew), invites and plans expire, and windows open.
 */
const CLOCK = { look: 5_000, problem: 60_000 }

/** The failure detector calls itself unwell from here on (docs/metrics.md). */
const SLOW = 4

const span = (ms: number): string => inWords(Math.abs(Math.round(ms)))
const aheadOrBehind = (ms: number): string => `${span(ms)} ${ms > 0 ? 'ahead' : 'behind'}`
const severity = (ms: number): Finding['severity'] => (Math.abs(ms) >= CLOCK.problem ? 'problem' : 'warning')
const NTP = 'timedatectl set-ntp true'

interface Apart {
  readonly name: string
  /** How far it is ahead of this daemon's at least, whatever the question took. */
  readonly ahead: number
}

const clocks = ({ checkup }: Facts): Apart[] =>
  checkup.peers.flatMap(({ name, clock }) => {
    if (clock === null) return []
    const sure = Math.max(0, Math.abs(clock.aheadMs) - clock.errorMs)
    return [{ name, ahead: Math.sign(clock.aheadMs) * sure }]
  })

const CLOCKS: Check = {
  name: 'clock',
  look(facts) {
    const { info, checkup } = facts
    const found: Finding[] = []
    const all = clocks(facts)
    const off = all.filter(({ ahead }) => Math.abs(ahead) >= CLOCK.look)
    const sorted = all.map(({ ahead }) => ahead).sort((a, b) => a - b)
    const middle = sorted[Math.floor(sorted.length / 2)] ?? 0
    const ours = all.length > 1 && 2 * off.filter(({ ahead }) => ahead * middle > 0).length > all.length
    if (ours) {
      found.push({
        severity: severity(middle),
        what: `the clock of this host is ${aheadOrBehind(-middle)}, by what ${off.length} of ${plural(all.length, 'member')} say`,
        mend: 'Let this host set its clock over the network, and start its daemon again if it was ahead.',
        on: info.name,
        run: NTP,
      })
    } else if (all.length === 1 && off.length === 1) {
      found.push({
        severity: severity(off[0]!.ahead),
        what: `the clocks of this host and of ${off[0]!.name} are ${span(off[0]!.ahead)} apart`,
        mend: 'Let both hosts set their clocks over the network.',
        on: `${info.name} and ${off[0]!.name}`,
        run: NTP,
      })
    } else
      for (const { name, ahead } of off)
        found.push({
          severity: severity(ahead),
          what: `the clock of ${name} is ${aheadOrBehind(ahead)}`,
          mend: 'Let that host set its clock over the network, and start its daemon again if it was ahead.',
          on: name,
          run: NTP,
        })
    const drift = checkup.at - checkup.wall
    if (drift >= CLOCK.look)
      found.push({
        severity: severity(drift),
        what: `this daemon still lives ${span(drift)} ahead of its host, whose clock was set back: its own never goes back`,
        mend: 'Start it again.',
        on: info.name,
        run: 'systemctl restart fleetd',
      })
    return found
  },
  good(facts) {
    const all = clocks(facts)
    if (all.length === 0) return 'nobody to compare clocks with'
    const most = Math.max(...all.map(({ ahead }) => Math.abs(ahead)))
    return `within ${most < 1_000 ? 'a second' : span(most)} of ${plural(all.length, 'other member')}`
  },
}

const DISK: Check = {
  name: 'disk',
  look({ info, checkup: { disk } }) {
    const { free, minFree, used, quota, path } = disk
    const run = 'fleetctl image gc --all'
    if (free < minFree)
      return [
        {
          severity: 'problem',
          what: `the disk of ${path} has ${size(free)} left, which is less than the ${size(minFree)} that images leave free (--min-free): no image is fetched any more`,
          mend: 'Make room on that disk, or let the images go that are not needed here.',
          on: info.name,
          run,
        },
      ]
    if (used >= quota)
      return [
        {
          severity: 'problem',
          what: `images take ${size(used)}, which is all that they may (--quota): no image is fetched any more`,
          mend: 'Let the images go that are not needed here, unpin some, or give them more room with --quota.',
          on: info.name,
          run,
        },
      ]
    if (free < 2 * minFree)
      return [
        {
          severity: 'warning',
          what: `the disk of ${path} has ${size(free)} left; at ${size(minFree)} no image is fetched any more`,
          mend: 'Make room on that disk, or let the images go that are not needed here.',
          on: info.name,
          run,
        },
      ]
    return []
  },
  good: ({ checkup: { disk } }) =>
    `${size(disk.free)} free, of which images leave ${size(disk.minFree)}; they take ${size(disk.used)} of ${size(disk.quota)}`,
}

const IMAGES: Check = {
  name: 'images',
  look: ({ info, checkup: { damagedChunks } }) =>
    damagedChunks === 0
      ? []
      : [
          {
            severity: 'problem',
            what: `${plural(damagedChunks, 'stored chunk')} no longer ${damagedChunks === 1 ? 'matches its digest' : 'match their digests'}, and no member has given back what they were`,
            mend: 'Look at the disk, for bits do not rot by themselves, and see which images have to be built again.',
            on: info.name,
            run: 'fleetctl image list',
          },
        ],
  good: () => 'no damaged chunk',
}

const LOAD: Check = {
  name: 'load',
  look: ({ info, checkup: { healthScore } }) =>
    healthScore < SLOW
      ? []
      : [
          {
            severity: 'warning',
            what: `this daemon is slow to answer its neighbours (health score ${healthScore} of 8)`,
            mend: 'See what keeps this host busy; the daemon needs its share of the processor on time.',
            on: info.name,
            run: 'top -o %CPU',
          },
        ],
  good: () => 'the daemon answers its neighbours in time',
}

const HEALTH: Check = {
  name: 'health',
  look({ members, info }) {
    const failing = members.filter(
      ({ health, status }) => health === 'failing' && (status === 'alive' || status === 'suspect'),
    )
    const here = failing.find(({ id }) => id === info.id)
    const others = failing.filter(({ id }) => id !== info.id)
    return [
      ...(here === undefined
        ? []
        : [
            {
              severity: 'problem' as const,
              what: `a check of this host fails: ${here.reason}`,
              mend: 'See what led to what it runs, and take it back or mend it.',
              on: info.name,
              run: `fleetctl why ${info.name}`,
            },
          ]),
      ...(others.length === 0
        ? []
        : [
            {
              severity: 'problem' as const,
              what: `checks fail on ${names(others.map(({ name }) => name))}${others.length === 1 ? `: ${others[0]!.reason}` : ''}`,
              mend: 'See what led to what they run, and take it back or mend it.',
              on: info.name,
              run: `fleetctl why ${others[0]!.name}`,
            },
          ]),
    ]
  },
  good: ({ members }) => {
    const passing = members.filter(({ health }) => health === 'passing').length
    return passing === 0 ? 'no member has checks' : `checks pass on ${plural(passing, 'member')}`
  },
}

export const HOST: readonly Check[] = [CLOCKS, DISK, IMAGES, LOAD, HEALTH]
