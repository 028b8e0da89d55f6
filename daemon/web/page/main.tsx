import { render } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Info } from '../../../protocol/index.ts'
import type { Fleet } from './fleet.ts'
import { short } from './format.ts'
import { type Connection, useAnswer, useFleet } from './live.ts'
import { parseRoute, type Route } from './route.ts'
import { Events } from './views/events.tsx'
import { Image, ImagesView } from './views/images.tsx'
import { Member } from './views/member.tsx'
import { MembersView } from './views/members.tsx'
import { Overview } from './views/overview.tsx'
import { Rollout, Rollouts } from './views/rollouts.tsx'

const PLACES = [
  { view: 'fleet', also: 'fleet', link: '#/', word: 'Fleet' },
  { view: 'members', also: 'member', link: '#/members', word: 'Members' },
  { view: 'rollouts', also: 'rollout', link: '#/rollouts', word: 'Rollouts' },
  { view: 'images', also: 'image', link: '#/images', word: 'Images' },
  { view: 'events', also: 'events', link: '#/events', word: 'Events' },
] as const

const CONNECTION_WORDS: Readonly<Record<Connection, string>> = {
  connecting: 'connecting',
  live: 'live',
  lost: 'connection lost, trying again',
}

function Page() {
  const route = useRoute()
  const { fleet, connection } = useFleet()
  const answer = useAnswer<Info>('v1/info', 10_000)
  const info = answer.state === 'answered' ? answer.value : undefined
  const main = useRef<HTMLElement>(null)
  const place = 'name' in route ? `${route.view} ${route.name}` : route.view

  // Whoever follows a link is at the top of what it leads to, with the eyes and with the keyboard.
  const before = useRef(place)
  useLayoutEffect(() => {
    if (before.current === place) return
    before.current = place
    scrollTo(0, 0)
    main.current?.focus()
  }, [place])
  useEffect(() => {
    document.title = `${'name' in route ? route.name : PLACES.find(({ view }) => view === route.view)!.word} · ${info?.name ?? 'fleetd'}`
  }, [place, info?.name])

  return (
    <>
      <header class="top">
        <button type="button" class="skip" onClick={() => main.current?.focus()}>
          To the content
        </button>
        <div class="who">
          <b>{info?.name ?? 'fleetd'}</b>
          {info?.fleet != null && <span class="quiet"> fleet {short(info.fleet)}</span>}
        </div>
        <nav aria-label="Parts of the page">
          {PLACES.map(({ view, also, link, word }) => (
            <a key={view} href={link} aria-current={route.view === view || route.view === also ? 'page' : undefined}>
              {word}
            </a>
          ))}
        </nav>
        <span class={`connection ${connection}`} role="status">
          {CONNECTION_WORDS[connection]}
        </span>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {info !== undefined && info.fleet === null ? (
          <>
            <h1>No fleet yet</h1>
            <p>
              This daemon belongs to no fleet. <code>fleetctl init</code> makes one, <code>fleetctl join TOKEN</code>{' '}
              joins one.
            </p>
          </>
        ) : fleet.whole ? (
          <View route={route} fleet={fleet} info={info} />
        ) : (
          <p class="quiet">{answer.state === 'refused' ? answer.reason : 'Asking the daemon who is here …'}</p>
        )}
      </main>
    </>
  )
}

function View({ route, fleet, info }: { route: Route; fleet: Fleet; info: Info | undefined }) {
  switch (route.view) {
    case 'fleet':
      return <Overview fleet={fleet} />
    case 'members':
      return <MembersView fleet={fleet} filter={route.filter} />
    case 'member':
      return <Member key={route.name} fleet={fleet} info={info} id={route.name} />
    case 'rollouts':
      return <Rollouts />
    case 'rollout':
      return <Rollout key={route.name} fleet={fleet} group={route.name} />
    case 'images':
      return <ImagesView fleet={fleet} />
    case 'image':
      return <Image key={route.name} fleet={fleet} digest={route.name} />
    case 'events':
      return <Events />
    default:
      return route satisfies never
  }
}

function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash))
  useEffect(() => {
    const onChange = (): void => setRoute(parseRoute(location.hash))
    addEventListener('hashchange', onChange)
    return () => removeEventListener('hashchange', onChange)
  }, [])
  return route
}

render(<Page />, document.getElementById('page')!)
