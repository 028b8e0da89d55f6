import { useEffect, useState } from 'preact/hooks'
import type { EventView } from '../../../../protocol/index.ts'
import { ageOf, payloadOf } from '../format.ts'
import { follow, useNow } from '../live.ts'
import { memberLink } from '../route.ts'

/** So many are kept, the newest. */
const KEPT = 200

/** User events as this node delivered them, the newest first. */
export function Events() {
  const [events, setEvents] = useState<readonly EventView[]>([])
  const now = useNow()
  useEffect(() => {
    let kept: EventView[] = []
    let frame = 0
    const show = (): void => {
      frame = 0
      setEvents(kept)
    }
    const stop = follow<EventView>('v1/events?follow=true', {
      open: () => undefined,
      update(event) {
        // A stream that begins anew tells what was told before.
        if ((kept[0]?.cursor ?? -1) >= event.cursor) return
        kept = [event, ...kept].slice(0, KEPT)
        frame ||= requestAnimationFrame(show)
      },
      lost: () => undefined,
    })
    return () => {
      cancelAnimationFrame(frame)
      stop()
    }
  }, [])
  return (
    <>
      <h1>Events</h1>
      {events.length === 0 ? (
        <p class="quiet">
          None yet. <code>fleetctl event NAME</code> fires one.
        </p>
      ) : (
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Event</th>
              <th scope="col">Payload</th>
              <th scope="col">From</th>
              <th scope="col" class="number">
                Ago
              </th>
            </tr>
          </thead>
          <tbody>
            {events.map(({ cursor, name, payload, author, authorName, at }) => (
              <tr key={cursor}>
                <th scope="row">{name}</th>
                <td class="payload">{payloadOf(payload)}</td>
                <td>
                  <a href={memberLink(author)}>{authorName}</a>
                </td>
                <td class="number">{ageOf(now - at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  )
}
