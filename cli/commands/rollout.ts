import { run as rolloutExplain } from '../actions/rollout-explain.ts'
import { run as rolloutList } from '../actions/rollout-list.ts'
import { run as rolloutStatus } from '../actions/rollout-status.ts'
import type { Flag, Group, Spec } from '../spec.ts'
import { countOrShare, duration, oneOf, patternPair, positive } from '../values.ts'
import { GROUP_FLAG } from './fleet.ts'

const REASON: Flag = { flags: '--reason <text>', help: 'why; shown in status and kept' }

const order = (verb: 'pause' | 'resume' | 'promote' | 'abort' | 'undo', summary: string, more: string): Spec => ({
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
        { flags: '--strategy <strategy>', help: 'rolling (default) or canary', parse: oneOf('rolling', 'canary') },
        {
          flags: '--max-unavailable <n|p%>',
          help: 'how many may be down at once (default: 1; never more than the policy allows)',
          parse: countOrShare,
        },
        { flags: '--canary <n>', help: 'how many go first, with strategy canary (default: 1)', parse: positive },
        { flags: '--min-healthy <time>', help: 'how long a host must stay healthy (default: 30s)', parse: duration },
        { flags: '--deadline <time>', help: 'how long a host may take to get there (default: 5m)', parse: duration },
        {
          flags: '--max-failed <n>',
          help: 'undo when so many failed (default: 1 with a canary, otherwise 3)',
          parse: positive,
        },
        REASON,
        { flags: '--file <plan.yaml>', help: 'the same settings from a file; flags win' },
        { flags: '--force', help: 'even where this image failed before' },
        { flags: '--dry-run', help: 'say what would happen, and do nothing' },
        { flags: '--detach', help: 'do not follow it' },
      ],
      example: `fleetctl rollout start --layer app --image shop:v2 --group web --max-unavailable 25% --strategy canary
    exits with 0 when it is done, 3 when it was rolled back, 4 when it is paused`,
      load: async () => (await import('../signing/index.ts')).rolloutStart,
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
    order('pause', 'grant no more permits', 'hosts that are down finish; then nothing moves until resume'),
    order('resume', 'go on after a pause', 'goes back to where the pause found it'),
    order('promote', 'do not wait for the canaries', 'all hosts may go now, still at most K at a time'),
    order('abort', 'stop where it is', 'hosts that were replaced stay on the new image; a new plan may start'),
    order('undo', 'take it back', 'brings every replaced host back to the image before, at most K at a time'),
    {
      usage: 'explain <node>',
      summary: 'why a host does or does not go on, in one sentence',
      flags: [{ flags: '--group <group>', help: "group (default: the host's own)" }],
      example: 'fleetctl rollout explain gamma',
      load: async () => rolloutExplain,
    },
  ],
}
