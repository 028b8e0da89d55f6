import { useMemo } from 'preact/hooks'
import type { LedgerView, RolloutList, RolloutStatusView } from '../../../../protocol/index.ts'
import { EVERYBODY, type Fleet, select } from '../fleet.ts'
import { ageOf, numberOf, percent, plural, short, shortId } from '../format.ts'
import { useAnswer, useNow } from '../live.ts'
import { Answered, Bar, type Part, Phase, Progress, Section } from '../parts.tsx'
import { imageLink, memberLink, rolloutLink } from '../route.ts'
import { fetchingOf } from '../summary.ts'
import { Why } from './member.tsx'
import { MemberList } from './members.tsx'

/** Of so many members it is asked why they wait. */
const ASKED = 3

export function Rollouts() {
  const answer = useAnswer<RolloutList>('v1/rollouts', 2_000)
  return (
    <>
      <h1>Rollouts</h1>
      <Answered answer={answer}>
        {({ rollouts }) =>
          rollouts.length === 0 ? (
            <p class="quiet">
              No group has had one yet. <code>fleetctl rollout start</code> starts one.
            </p>
          ) : (
            <ul class="cards">
              {rollouts.map(status => (
                <RolloutLine key={status.group} status={status} />
              ))}
            </ul>
          )
        }
      </Answered>
    </>
  )
}

/** A rollout in three lines. */
export function RolloutLine({ status }: { status: RolloutStatusView }) {
  const { group, generation, phase, image, ok, total, reason } = status
  return (
    <li class="card">
      <div class="between">
        <a href={rolloutLink(group)}>
          <b>{group}</b> to {image?.version ?? 'an image not known here'}
        </a>
        <span>
          <Phase phase={phase} /> <span class="quiet">generation {generation}</span>
        </span>
      </div>
      <Bar label={`Rollout of group ${group}`} parts={partsOf(status)} />
      <p class="quiet">
        {numberOf(ok)} of {numberOf(total)} ({percent(ok, total)}){reason !== '' && ` · ${reason}`}
      </p>
    </li>
  )
}

function partsOf({ ok, failed, pending, permits }: RolloutStatusView): Part[] {
  const holding = Math.min(permits.length, pending)
  return [
    { kind: 'ok', count: ok, word: 'on it' },
    { kind: 'busy', count: holding, word: 'being replaced' },
    { kind: 'bad', count: failed, word: 'failed' },
    { kind: 'rest', count: pending - holding, word: 'to go' },
  ]
}

/** A group's rollout, live. */
export function Rollout({ fleet, group }: { fleet: Fleet; group: string }) {
  const answer = useAnswer<RolloutStatusView>(`v1/rollouts/${encodeURIComponent(group)}`, 1_000)
  const members = useMemo(() => select(fleet, { ...EVERYBODY, group }, 'condition'), [fleet, group])
  const fetching = fetchingOf(members)
  return (
    <>
      <h1>Rollout of {group}</h1>
      <Answered answer={answer}>{status => <Status status={status} />}</Answered>
      {fetching !== undefined && (
        <Section title="Fetching">
          <p>
            {plural(fetching.count, 'member')} of the group {fetching.count === 1 ? 'fetches' : 'fetch'} from peers:{' '}
            {percent(fetching.mean, 1)} on average
          </p>
          <Progress part={fetching.mean} label="Fetched on average" />
        </Section>
      )}
      {answer.state === 'answered' && <Waiting fleet={fleet} status={answer.value} />}
      <Section title="Members of the group">
        <MemberList label={`Members of ${group}`} members={members} />
      </Section>
      <Ledger group={group} />
    </>
  )
}

function Status({ status }: { status: RolloutStatusView }) {
  const now = useNow()
  if (status.phase === 'idle') return <p class="quiet">This group has had no rollout yet.</p>
  const { image, generation, phase, reason, permits } = status
  const waves: readonly Wave[] = status.waves
  return (
    <>
      <p>
        <Phase phase={phase} />{' '}
        {image === null ? 'an image not known here' : <a href={imageLink(image.digest)}>{image.version}</a>}{' '}
        <span class="quiet">generation {generation}</span>
      </p>
      {reason !== '' && <p class="why">{reason}</p>}
      <Bar label="Progress" parts={partsOf(status)} />
      <ul class="legend">
        {partsOf(status).map(({ kind, count, word }) => (
          <li key={word}>
            <span class={`swatch ${kind}`} /> <b>{numberOf(count)}</b> {word}
          </li>
        ))}
      </ul>
      {waves.length > 0 && <Waves waves={waves} now={now} />}
      <Section title="Permits">
        {permits.length === 0 ? (
          <p class="quiet">Nobody holds one: nobody is down for this rollout.</p>
        ) : (
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Member</th>
                <th scope="col">For</th>
                <th scope="col">Held for</th>
                <th scope="col" class="number">
                  Token
                </th>
              </tr>
            </thead>
            <tbody>
              {permits.map(({ token, node, name, kind, since }) => (
                <tr key={token}>
                  <th scope="row">
                    <a href={memberLink(node)}>{name}</a>
                  </th>
                  <td>{kind}</td>
                  <td>{ageOf(now - since)}</td>
                  <td class="number">{token}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Section>
    </>
  )
}

interface Wave {
  readonly nodes: number
  readonly ok: number
  readonly failed: number
  readonly state: string
  readonly until: number | null
}

function Waves({ waves, now }: { waves: readonly Wave[]; now: number }) {
  return (
    <Section title="Waves">
      <ol class="waves">
        {waves.map(({ nodes, ok, failed, state, until }, at) => (
          <li key={at}>
            <Bar
              label={`Wave ${at + 1}`}
              parts={[
                { kind: 'ok', count: ok, word: 'on it' },
                { kind: 'bad', count: failed, word: 'failed' },
                { kind: 'rest', count: nodes - ok - failed, word: 'to go' },
              ]}
            />
            <span class="quiet">
              {plural(nodes, 'member')} · {state}
              {until !== null && until > now && ` for another ${ageOf(until - now)}`}
            </span>
          </li>
        ))}
      </ol>
    </Section>
  )
}

/** Those that go on next, and what each of them waits for. */
function Waiting({ fleet, status }: { fleet: Fleet; status: RolloutStatusView }) {
  const asked = useMemo(() => {
    const holders = status.permits.map(({ node }) => node as string)
    const ready = [...fleet.members.values()]
      .filter(({ group, layers }) => group === status.group && layers.some(({ state }) => WAITING.includes(state)))
      .map(({ id }) => id as string)
    return [...new Set([...holders, ...ready])].slice(0, ASKED)
  }, [fleet, status])
  if (asked.length === 0) return null
  return (
    <Section title="What they wait for">
      <dl class="whys">
        {asked.map(id => [
          <dt key={id}>
            <a href={memberLink(id)}>{fleet.members.get(id)?.name ?? shortId(id)}</a>
          </dt>,
          <dd key={`${id} why`}>
            <Why group={status.group} node={id} />
          </dd>,
        ])}
      </dl>
    </Section>
  )
}
const WAITING: readonly string[] = ['fetching', 'staged', 'waiting', 'draining', 'starting', 'verifying', 'reverting']

function Ledger({ group }: { group: string }) {
  const answer = useAnswer<LedgerView>(`v1/ledger/${encodeURIComponent(group)}`, 5_000)
  return (
    <Section title="Ledger">
      <Answered answer={answer}>
        {({ voters, epoch, version, denied, fenced }) => (
          <dl>
            <dt>Voters</dt>
            <dd>
              {voters.map(({ node, name }, at) => (
                <>
                  {at > 0 && ', '}
                  <a href={memberLink(node)}>{name}</a>
                </>
              ))}
            </dd>
            <dt>Epoch, version</dt>
            <dd>
              {epoch}, {version}
            </dd>
            <dt>Denied images</dt>
            <dd>
              {denied.length === 0
                ? 'none'
                : denied.map(digest => (
                    <>
                      <code key={digest}>{short(digest)}</code>{' '}
                    </>
                  ))}
            </dd>
            {fenced.length > 0 && (
              <>
                <dt>Written off</dt>
                <dd>{fenced.map(shortId).join(', ')}</dd>
              </>
            )}
          </dl>
        )}
      </Answered>
    </Section>
  )
}
