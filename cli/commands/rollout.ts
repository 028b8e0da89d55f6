import { run as rolloutExplain } from '../actions/rollout-explain.ts'
import { run as rolloutHistory } from '../actions/rollout-history.ts'
import { run as rolloutList } from '../actions/rollout-list.ts'
import { run as rolloutStatus } from '../actions/rollout-status.ts'
import type { Flag, Group, Spec } from '../spec.ts'
import { collect, countOrShare, duration, patternPair, positive, strategy, waves } from '../values.ts'
import { GROUP_FLAG } from './fleet.ts'

const REASON: Flag = { flags: '--reason <text>', help: 'why; shown in status and kept' }

const order = (verb: 'pause' | 'resume' | 'promote' | 'abort', summary: string, more: string): Spec => ({
  usage: verb,
  summary,
  flags: [GROUP_FLAG, REASON],
  example: `fleetctl rollout ${verb} --group web\n    ${more}`,
  load: async () => (await import('../signing/index.ts')).orders(verb),
})

export const ROLLOUT: Group = {
  name: 'rollout',
  summary: 'bring the hosts of a group to an image, a few at a time',
  commands: [
    {
      usage: 'start',
      summary: 'sign a plan, submit it and follow it to its end',
      flags: [
        { flags: '--layer <layer>', help: 'what to replace, as the hosts name it in their configuration' },
        { flags: '--image <image>', help: 'name:version, a digest or the beginning of one' },
        GROUP_FLAG,
        { flags: '--select <key=regexp>', help: 'only hosts with this tag (repeatable)', parse: patternPair },
        {
          flags: '--strategy <strategy>',
          help: 'rolling (default), canary, waves, or at-once: all down at the same time',
          parse: strategy,
        },
        {
          flags: '--max-unavailable <n|p%>',
          help: 'how many may be down at once (default: 1; never more than the policy allows)',
          parse: countOrShare,
        },
        { flags: '--canary <n>', help: 'how many go first, with strategy canary (default: 1)', parse: positive },
        {
          flags: '--waves <n|p%,...>',
          help: 'how many have gone by the end of each wave, with strategy waves (default: 1%,10%,50%,100%)',
          parse: waves,
        },
        {
          flags: '--soak <time>',
          help: 'how long canaries or a wave must stay well before the next go (default: 5m with waves, otherwise 0s)',
          parse: duration,
        },
        {
          flags: '--analysis <time>',
          help: 'how long all must stay well after the last before it is done (default: 0s)',
          parse: duration,
        },
        { flags: '--max-per-zone <n>', help: 'how many of one zone may be down at once', parse: positive },
        { flags: '--order-by <tag>', help: 'hosts go by the value of this tag, lowest first' },
        {
          flags: '--window <cron/duration/zone>',
          help: 'go forward only in this window (repeatable): "0 2 * * SAT/3h/Europe/Berlin"',
          parse: collect,
        },
        { flags: '--min-healthy <time>', help: 'how long a host must stay healthy (default: 30s)', parse: duration },
        { flags: '--deadline <time>', help: 'how long a host may take to get there (default: 5m)', parse: duration },
        {
          flags: '--max-failed <n>',
          help: 'undo when so many failed (default: 1 with a canary, otherwise 3)',
          parse: positive,
        },
        {
          flags: '--progress-deadline <time>',
          help: 'paused when nothing moves for so long on top of --deadline (default: 10m)',
          parse: duration,
        },
        REASON,
        { flags: '--file <plan.yaml>', help: 'the same settings from a file; flags win' },
        { flags: '--force', help: 'even where this image failed before' },
        { flags: '--dry-run', help: 'say what would happen, and do nothing' },
        { flags: '--detach', help: 'do not follow it' },
        { flags: '--sign <file>', help: 'sign it and keep it in this file, for other operators to approve' },
      ],
      example: `fleetctl rollout start --layer app --image shop:v2 --group web --max-unavailable 25% --strategy canary
    exits with 0 when it is done, 3 when it was rolled back, 4 when it is paused`,
      load: async () => (await import('../signing/index.ts')).rolloutStart,
    },
    {
      usage: 'approve <file>',
      summary: 'sign a plan that another operator has kept with start --sign',
      flags: [
        { flags: '--dry-run', help: 'show what it is, and sign nothing' },
        { flags: '--detach', help: 'do not follow it' },
      ],
      example: `fleetctl rollout approve plan.signed --key ./second.key
    the last signature that the policy demands submits it; before that the file is passed on`,
      load: async () => (await import('../signing/index.ts')).approve,
    },
    {
      usage: 'status',
      summary: "where a group's rollout stands",
      flags: [GROUP_FLAG, { flags: '--watch', help: 'follow it to its end' }],
      example: 'fleetctl rollout status --group web --watch',
      load: async () => rolloutStatus,
    },
    {
      usage: 'list',
      summary: 'the newest rollout of every group',
      example: 'fleetctl rollout list',
      load: async () => rolloutList,
    },
    {
      usage: 'history',
      summary: "a group's generations, the newest first",
      flags: [GROUP_FLAG],
      example: 'fleetctl rollout history --group web',
      load: async () => rolloutHistory,
    },
    order('pause', 'grant no more permits', 'hosts that are down finish; then nothing moves until resume'),
    order('resume', 'go on after a pause', 'goes back to where the pause found it'),
    order(
      'promote',
      'do not wait for canaries, a wave or a soak',
      'the next wave, or all hosts, may go now; still at most K at a time',
    ),
    order('abort', 'stop where it is', 'hosts that were replaced stay on the new image; a new plan may start'),
    {
      usage: 'undo',
      summary: 'take it back',
      flags: [
        GROUP_FLAG,
        {
          flags: '--to <generation>',
          help: 'back to what this generation brought (default: to the one before)',
          parse: positive,
        },
        REASON,
        { flags: '--detach', help: 'with --to: do not follow it' },
      ],
      example: `fleetctl rollout undo --group web
    brings every replaced host back to the image before, at most K at a time; needs no canary and waits for no window`,
      load: async () => (await import('../signing/index.ts')).undo,
    },
    {
      usage: 'explain <node>',
      summary: 'why a host does or does not go on, in one sentence',
      flags: [{ flags: '--group <group>', help: "group (default: the host's own)" }],
      example: 'fleetctl rollout explain gamma',
      load: async () => rolloutExplain,
    },
  ],
}
