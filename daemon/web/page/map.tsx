import { useMemo, useState } from 'preact/hooks'
import type { MemberView } from '../../../protocol/index.ts'
import { CONDITION_WORDS, CONDITIONS, type Condition, conditionOf, type Fleet, isTrouble } from './fleet.ts'
import { numberOf } from './format.ts'
import { Mark, shapeAt } from './parts.tsx'
import { memberLink, membersLink } from './route.ts'
import { type Cell, mapOf } from './summary.ts'

/** So many zones are shown at first, those with trouble before the others. */
const FIRST_ZONES = 40
const USUAL: readonly Condition[] = ['well', 'unknown']

/** Every member as a mark, by zone and group. */
export function FleetMapView({ fleet }: { fleet: Fleet }) {
  const [all, setAll] = useState(false)
  const map = useMemo(() => mapOf(fleet), [fleet])
  const zones = all ? map.zones : map.zones.slice(0, FIRST_ZONES)
  const named = fleet.members.size <= NAMED
  const pitch = map.most <= 24 ? 18 : map.most <= 150 ? 11 : 7
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached with the keyboard */}
      <section class={named ? 'map' : 'map pictures'} tabIndex={0} aria-label="Members by zone and group">
        <table>
          <thead>
            <tr>
              <td />
              {map.groups.map(group => (
                <th key={group} scope="col">
                  {group}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {zones.map(zone => (
              <tr key={zone}>
                <th scope="row">{zone}</th>
                {map.groups.map(group => {
                  const cell = map.cell(zone, group)
                  if (cell === undefined) return <td key={group} />
                  return (
                    <td key={group}>
                      {named ? <NamedCell members={cell.members} /> : <CellView cell={cell} pitch={pitch} />}
                    </td>
                  )
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {zones.length < map.zones.length && (
        <button type="button" onClick={() => setAll(true)}>
          Show all {map.zones.length} zones
        </button>
      )}
    </>
  )
}

/** A fleet of so many is shown with names. */
const NAMED = 30

/** A cell of a small fleet: who is in it. */
function NamedCell({ members }: { members: readonly MemberView[] }) {
  return (
    <ul class="named">
      {members.map(member => (
        <li key={member.id}>
          <a href={memberLink(member.id)}>
            <Mark condition={conditionOf(member)} /> {member.name}
          </a>
        </li>
      ))}
    </ul>
  )
}

/** A cell of a large fleet: a mark for each, as one picture. */
function CellView({ cell, pitch }: { cell: Cell; pitch: number }) {
  const { members, counts, zone, group } = cell
  const columns = Math.max(Math.min(members.length, 5), Math.ceil(Math.sqrt(members.length * 2.4)))
  const rows = Math.ceil(members.length / columns)
  const words = CONDITIONS.filter(condition => !USUAL.includes(condition) && counts[condition] > 0)
    .map(condition => `${counts[condition]} ${CONDITION_WORDS[condition]}`)
    .join(', ')
  const trouble = CONDITIONS.some(condition => isTrouble(condition) && counts[condition] > 0)

  // One path for each condition, not one element for each member: 5 000 marks cost no more than a few.
  const paths = new Map<Condition, string>()
  let at = 0
  for (const condition of CONDITIONS)
    for (let i = 0; i < counts[condition]; i++, at++) {
      const shape = shapeAt(condition, (at % columns) * pitch, Math.floor(at / columns) * pitch, pitch - 2)
      paths.set(condition, (paths.get(condition) ?? '') + shape)
    }

  /** A mark leads to its member; what is beside the marks, to all of the cell. */
  const onClick = (event: MouseEvent): void => {
    const marks = (event.currentTarget as Element).querySelector('svg')!.getBoundingClientRect()
    const column = Math.floor(((event.clientX - marks.left) / marks.width) * columns)
    const row = Math.floor(((event.clientY - marks.top) / marks.height) * rows)
    const member = column >= 0 && column < columns && row >= 0 ? members[row * columns + column] : undefined
    // From the keyboard there is no place.
    if (event.detail === 0 || member === undefined) return
    event.preventDefault()
    location.hash = memberLink(member.id)
  }
  return (
    <a class="cell" href={membersLink({ zone, group })} onClick={onClick}>
      <svg
        class="marks"
        viewBox={`0 0 ${columns * pitch - 2} ${rows * pitch - 2}`}
        width={columns * pitch - 2}
        height={rows * pitch - 2}
        aria-hidden="true"
      >
        {[...paths].map(([condition, d]) => (
          <path key={condition} class={condition} d={d} fill-rule="evenodd" />
        ))}
      </svg>
      <span class={trouble ? 'trouble' : 'quiet'}>
        <span class="unseen">Zone {zone}, group </span>
        <span class="unseen group">{group}: </span>
        {numberOf(members.length)}
        <span class="unseen"> members</span>
        {words && ` · ${words}`}
      </span>
    </a>
  )
}
