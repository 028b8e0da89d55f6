import { useMemo, useState } from 'preact/hooks'
import type { MemberView } from '../../../../protocol/index.ts'
import {
  CONDITION_WORDS,
  CONDITIONS,
  compare,
  conditionOf,
  type Filter,
  type Fleet,
  type Order,
  select,
  TROUBLE,
} from '../fleet.ts'
import { ageOf, numberOf, plural } from '../format.ts'
import { type Column, List } from '../list.tsx'
import { useNow } from '../live.ts'
import { Mark } from '../parts.tsx'
import { memberLink, membersLink } from '../route.ts'

const ORDERS: Readonly<Record<Order, string>> = {
  name: 'name',
  condition: 'worst first',
  zone: 'zone',
  group: 'group',
  since: 'latest change',
}

export function MembersView({ fleet, filter }: { fleet: Fleet; filter: Filter }) {
  const [order, setOrder] = useState<Order>('name')
  const found = useMemo(() => select(fleet, filter, order), [fleet, filter, order])
  const change = (part: Partial<Filter>): void => {
    // Typing is not something to go back through step by step.
    history.replaceState(null, '', membersLink({ ...filter, ...part }))
    dispatchEvent(new HashChangeEvent('hashchange'))
  }
  return (
    <>
      <h1>Members</h1>
      <form class="filter" onSubmit={event => event.preventDefault()}>
        <label>
          Find
          <input
            type="search"
            placeholder="name, id, version, tag"
            value={filter.text}
            onInput={event => change({ text: event.currentTarget.value })}
          />
        </label>
        <Choice
          label="State"
          value={filter.condition}
          options={[[TROUBLE, 'needs attention'], ...CONDITIONS.map(each => [each, CONDITION_WORDS[each]] as const)]}
          onChange={condition => change({ condition })}
        />
        <Choice
          label="Zone"
          value={filter.zone}
          options={useNames(fleet, 'zone')}
          onChange={zone => change({ zone })}
        />
        <Choice
          label="Group"
          value={filter.group}
          options={useNames(fleet, 'group')}
          onChange={group => change({ group })}
        />
        <label>
          Order
          <select value={order} onChange={event => setOrder(event.currentTarget.value as Order)}>
            {Object.entries(ORDERS).map(([value, word]) => (
              <option key={value} value={value}>
                {word}
              </option>
            ))}
          </select>
        </label>
      </form>
      <p class="quiet" role="status">
        {found.length === fleet.members.size
          ? plural(found.length, 'member')
          : `${numberOf(found.length)} of ${plural(fleet.members.size, 'member')}`}
      </p>
      <MemberList label="Members" members={found} />
    </>
  )
}

function useNames(fleet: Fleet, key: 'zone' | 'group'): [string, string][] {
  return useMemo(
    () => [...new Set([...fleet.members.values()].map(member => member[key]))].sort(compare).map(name => [name, name]),
    [fleet, key],
  )
}

function Choice(props: {
  label: string
  value: string
  options: readonly (readonly [value: string, word: string])[]
  onChange: (value: string) => void
}) {
  return (
    <label>
      {props.label}
      <select value={props.value} onChange={event => props.onChange(event.currentTarget.value)}>
        <option value="">all</option>
        {props.options.map(([value, word]) => (
          <option key={value} value={value}>
            {word}
          </option>
        ))}
      </select>
    </label>
  )
}

/** A list of members that leads to each. */
export function MemberList({ label, members }: { label: string; members: readonly MemberView[] }) {
  const now = useNow()
  const columns: Column<MemberView>[] = [
    {
      name: 'Name',
      cell: member => (
        <>
          <Mark condition={conditionOf(member)} /> {member.name}
        </>
      ),
    },
    { name: 'State', cell: member => `${stateOf(member)}${member.taint.length > 0 ? ', tainted' : ''}` },
    { name: 'Runs', cell: runsOf },
    { name: 'Zone', wide: true, cell: member => member.zone },
    { name: 'Group', wide: true, cell: member => member.group },
    { name: 'Since', wide: true, cell: member => ageOf(now - member.since) },
  ]
  return (
    <List
      label={label}
      items={members}
      columns={columns}
      keyOf={member => member.id}
      open={member => {
        location.hash = memberLink(member.id)
      }}
    />
  )
}

/** The state in words: what a layer is doing goes before how the member is. */
function stateOf(member: MemberView): string {
  const condition = conditionOf(member)
  if (condition === 'failed') return member.status
  const busy = member.layers.find(({ state }) => state !== 'running' && state !== 'empty')
  if (busy === undefined || member.status !== 'alive') return CONDITION_WORDS[condition]
  return busy.state === 'fetching' ? `fetching ${Math.floor(busy.progress * 100)} %` : busy.state
}

const runsOf = ({ layers }: MemberView): string =>
  layers.length === 1
    ? (layers[0]!.version ?? 'nothing yet')
    : layers.map(({ layer, version }) => `${layer} ${version ?? '-'}`).join(' · ')
