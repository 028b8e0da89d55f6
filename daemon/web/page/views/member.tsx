import type { Explanation, Info, MemberView, Rtt } from '../../../../protocol/index.ts'
import { CONDITION_WORDS, conditionOf, type Fleet } from '../fleet.ts'
import { addressOf, ageOf, short } from '../format.ts'
import { useAnswer, useNow } from '../live.ts'
import { Answered, Mark, Progress, Section } from '../parts.tsx'
import { imageLink, membersLink, rolloutLink } from '../route.ts'

/** One member: what it says of itself, and why it does or does not go on. */
export function Member({ fleet, info, id }: { fleet: Fleet; info: Info | undefined; id: string }) {
  const member = fleet.members.get(id) ?? [...fleet.members.values()].find(({ name }) => name === id)
  if (member === undefined)
    return (
      <>
        <h1>Unknown member</h1>
        <p>
          Nobody of the name or id <code>{id}</code> is listed. <a href={membersLink()}>All members</a>
        </p>
      </>
    )
  return <Known member={member} self={info?.id === member.id} />
}

function Known({ member, self }: { member: MemberView; self: boolean }) {
  const now = useNow()
  const condition = conditionOf(member)
  return (
    <>
      <h1>
        <Mark condition={condition} /> {member.name}
      </h1>
      <p>
        {CONDITION_WORDS[condition]}
        {self && ' · this daemon'} · {member.status} for {ageOf(now - member.since)}
        {member.reason !== '' && <span class="problem"> · {member.reason}</span>}
      </p>
      <Section title="Layers">
        {member.layers.length === 0 ? (
          <p class="quiet">It has no layers to replace.</p>
        ) : (
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Layer</th>
                <th scope="col">Runs</th>
                <th scope="col">State</th>
              </tr>
            </thead>
            <tbody>
              {member.layers.map(({ layer, digest, version, state, progress }) => (
                <tr key={layer}>
                  <th scope="row">{layer}</th>
                  <td>
                    {digest === null ? 'nothing yet' : <a href={imageLink(digest)}>{version ?? short(digest)}</a>}{' '}
                    <code class="wide">{digest === null ? '' : short(digest)}</code>
                  </td>
                  <td>
                    {state}
                    {state === 'fetching' && <Progress part={progress} label={`Fetching for layer ${layer}`} />}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        <Why group={member.group} node={member.id} />
      </Section>
      <Section title="About it">
        <dl>
          <dt>Id</dt>
          <dd>
            <code>{member.id}</code>
          </dd>
          <dt>Zone</dt>
          <dd>
            <a href={membersLink({ zone: member.zone })}>{member.zone}</a>
          </dd>
          <dt>Group</dt>
          <dd>
            <a href={membersLink({ group: member.group })}>{member.group}</a> ·{' '}
            <a href={rolloutLink(member.group)}>its rollout</a>
          </dd>
          <dt>Class</dt>
          <dd>{member.class}</dd>
          {member.taint.length > 0 && (
            <>
              <dt>Taint</dt>
              <dd class="problem">{member.taint.join(', ')}</dd>
            </>
          )}
          <dt>Addresses</dt>
          <dd>{member.addrs.map(addressOf).join(', ')}</dd>
          <dt>Tags</dt>
          <dd>
            {Object.entries(member.tags)
              .map(([key, value]) => `${key}=${value}`)
              .join(', ') || 'none'}
          </dd>
          <dt>Round trip</dt>
          <dd>
            {self ? 'this daemon' : member.estimatedRttMs === null ? 'not known yet' : <RoundTrip id={member.id} />}
          </dd>
          <dt>fleetd</dt>
          <dd>
            {member.version} · started {member.epoch} {member.epoch === 1 ? 'time' : 'times'}
          </dd>
        </dl>
      </Section>
    </>
  )
}

/** Why a member does or does not go on with its group's rollout, in its own words. */
export function Why({ group, node }: { group: string; node: string }) {
  const answer = useAnswer<Explanation>(
    `v1/rollouts/${encodeURIComponent(group)}/explain/${encodeURIComponent(node)}`,
    3_000,
  )
  return <Answered answer={answer}>{({ reason }) => <p class="why">{reason}</p>}</Answered>
}

function RoundTrip({ id }: { id: string }) {
  const answer = useAnswer<Rtt>(`v1/rtt?from=${encodeURIComponent(id)}`, 5_000)
  if (answer.state !== 'answered') return <>not known</>
  return (
    <>
      {answer.value.rttMs.toFixed(1)} ms, {answer.value.measured ? 'measured' : 'estimated'}
    </>
  )
}
