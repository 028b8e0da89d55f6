import { useMemo } from 'preact/hooks'
import type { RolloutList } from '../../../../protocol/index.ts'
import { conditionOf, EVERYBODY, type Fleet, select, TROUBLE } from '../fleet.ts'
import { numberOf, percent, plural, short } from '../format.ts'
import { useAnswer } from '../live.ts'
import { FleetMapView } from '../map.tsx'
import { Bar, isUnderWay, Mark, Section, Tally } from '../parts.tsx'
import { imageLink, memberLink, membersLink } from '../route.ts'
import { countsOf, divergenceOf } from '../summary.ts'
import { RolloutLine } from './rollouts.tsx'

const SHOWN = 4
const IMAGES_SHOWN = 6

/** The fleet at a glance. */
export function Overview({ fleet }: { fleet: Fleet }) {
  const counts = useMemo(() => countsOf(fleet.members.values()), [fleet])
  const rollouts = useAnswer<RolloutList>('v1/rollouts', 2_000)
  const underWay = rollouts.state === 'answered' ? rollouts.value.rollouts.filter(({ phase }) => isUnderWay(phase)) : []
  return (
    <>
      <h1>{plural(fleet.members.size, 'member')}</h1>
      <Tally counts={counts} />
      {underWay.length > 0 && (
        <Section title="Under way">
          <ul class="cards">
            {underWay.map(status => (
              <RolloutLine key={status.group} status={status} />
            ))}
          </ul>
        </Section>
      )}
      <Attention fleet={fleet} />
      <Section title="Zones and groups">
        <FleetMapView fleet={fleet} />
      </Section>
      <Layers fleet={fleet} />
    </>
  )
}

function Attention({ fleet }: { fleet: Fleet }) {
  const troubled = useMemo(() => select(fleet, { ...EVERYBODY, condition: TROUBLE }, 'condition'), [fleet])
  if (troubled.length === 0) return null
  return (
    <Section title="Needs attention">
      <ul class="attention">
        {troubled.slice(0, SHOWN).map(member => {
          const condition = conditionOf(member)
          return (
            <li key={member.id}>
              <Mark condition={condition} /> <a href={memberLink(member.id)}>{member.name}</a>{' '}
              <span class="quiet">
                {member.status === 'alive' ? member.reason || 'a layer failed' : member.status} · {member.zone} ·{' '}
                {member.group}
              </span>
            </li>
          )
        })}
      </ul>
      {troubled.length > SHOWN && (
        <p>
          and <a href={membersLink({ condition: TROUBLE })}>{numberOf(troubled.length - SHOWN)} more</a>
        </p>
      )}
    </Section>
  )
}

/** What runs where: one image for a layer, or several at once. */
function Layers({ fleet }: { fleet: Fleet }) {
  const layers = useMemo(() => divergenceOf(fleet), [fleet])
  if (layers.length === 0) return null
  return (
    <Section title="What runs">
      {layers.map(({ layer, members, images }) => (
        <div key={layer} class="layer">
          <h3>
            {layer} <span class="quiet">{images.length === 1 ? 'the same everywhere' : `${images.length} images`}</span>
          </h3>
          <table class="plain">
            <tbody>
              {images.slice(0, IMAGES_SHOWN).map(({ digest, version, count }) => (
                <tr key={digest}>
                  <th scope="row">
                    {digest === null ? version : <a href={imageLink(digest)}>{version}</a>}{' '}
                    <code class="wide">{digest === null ? '' : short(digest)}</code>
                  </th>
                  <td class="grow">
                    <Bar
                      label={version}
                      parts={[
                        { kind: 'ok', count, word: 'run it' },
                        { kind: 'rest', count: members - count, word: 'do not' },
                      ]}
                    />
                  </td>
                  <td class="number">{numberOf(count)}</td>
                  <td class="number quiet">{percent(count, members)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {images.length > IMAGES_SHOWN && <p class="quiet">and {images.length - IMAGES_SHOWN} more images</p>}
        </div>
      ))}
    </Section>
  )
}
