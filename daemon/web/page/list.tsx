import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

/** Rows beyond what is seen, on either side, so that a fast scroll does not show gaps. */
const BEYOND = 12
/** The window moves in steps of so many rows: most scroll events then change nothing. */
const STEP = 6

export interface Column<T> {
  readonly name: string
  /** Left out where there is little room. */
  readonly wide?: true
  readonly cell: (item: T) => ComponentChildren
}

interface ListProps<T> {
  readonly label: string
  readonly items: readonly T[]
  readonly columns: readonly Column<T>[]
  readonly keyOf: (item: T) => string
  readonly open: (item: T) => void
}

/** A table of which only the rows in sight exist. The arrow keys, Page Up and Down, Home and End move through it, Enter opens a row. */
export function List<T>({ label, items, columns, keyOf, open }: ListProps<T>) {
  const box = useRef<HTMLDivElement>(null)
  const [height, setHeight] = useState({ row: 36, box: 600 })
  const [first, setFirst] = useState(0)
  const [active, setActive] = useState(-1)

  useLayoutEffect(() => {
    const measure = (): void => {
      const row = Number.parseFloat(getComputedStyle(box.current!).getPropertyValue('--row'))
      setHeight({ row, box: box.current!.clientHeight })
    }
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(box.current!)
    return () => observer.disconnect()
  }, [])

  const seen = Math.ceil(height.box / height.row)
  const start = Math.max(0, Math.min(first, items.length - seen) - BEYOND)
  const end = Math.min(items.length, start + seen + STEP + 2 * BEYOND)

  /** Of the box that was scrolled: it may be told of once the list is gone from the page. */
  const onScroll = ({ currentTarget }: { readonly currentTarget: HTMLElement }): void => {
    const at = Math.floor(currentTarget.scrollTop / height.row)
    setFirst(at - (at % STEP))
  }
  const move = (to: number): void => {
    const next = Math.max(0, Math.min(items.length - 1, to))
    setActive(next)
    const { current } = box
    const header = current!.querySelector('.head')!.clientHeight
    const top = next * height.row
    if (top < current!.scrollTop) current!.scrollTop = top
    else if (top + height.row + header > current!.scrollTop + height.box)
      current!.scrollTop = top + height.row + header - height.box
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const item = items[active]
    const moves: Record<string, number> = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + seen - 2,
      PageUp: active - seen + 2,
      Home: 0,
      End: items.length - 1,
    }
    const to = moves[event.key]
    if (to !== undefined) move(to)
    else if (event.key === 'Enter' && item !== undefined) open(item)
    else return
    event.preventDefault()
  }

  const shown = items.slice(start, end)
  const activeKey = items[active] === undefined ? undefined : `row-${keyOf(items[active])}`
  return (
    <div
      class="list"
      ref={box}
      role="grid"
      tabIndex={0}
      aria-label={label}
      aria-rowcount={items.length + 1}
      aria-activedescendant={activeKey}
      onScroll={onScroll}
      onKeyDown={onKeyDown}
    >
      <div class="head" role="row" aria-rowindex={1}>
        {columns.map(({ name, wide }) => (
          <span key={name} role="columnheader" class={wide && 'wide'}>
            {name}
          </span>
        ))}
      </div>
      <div class="rows" role="rowgroup" style={{ height: `${items.length * height.row}px` }}>
        <div class="window" role="presentation" style={{ transform: `translateY(${start * height.row}px)` }}>
          {shown.map((item, at) => (
            <div
              key={keyOf(item)}
              id={`row-${keyOf(item)}`}
              class={start + at === active ? 'row active' : 'row'}
              role="row"
              aria-rowindex={start + at + 2}
              aria-selected={start + at === active}
              onClick={() => open(item)}
            >
              {columns.map(({ name, wide, cell }) => (
                <span key={name} role="gridcell" class={wide && 'wide'}>
                  {cell(item)}
                </span>
              ))}
            </div>
          ))}
        </div>
      </div>
    </div>
  )
}
