import { OciError } from './errors.ts'

export interface Page<T> {
  readonly items: readonly T[]
  /** The query of the next page; undefined on the last one. */
  readonly next: string | undefined
}

/** Lexical order as the distribution-spec wants it: without regard to case, and by bytes among what is the same then. */
export function lexically(a: string, b: string): number {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()]
  return x < y ? -1 : x > y ? 1 : a < b ? -1 : a > b ? 1 : 0
}

/** The names that follow `last`, at most `n` of them, in lexical order. Throws OciError when `n` is no number. */
export function page<T>(
  all: readonly T[],
  nameOf: (item: T) => string,
  { n, last }: { n?: string | undefined; last?: string | undefined },
  most = Number.MAX_SAFE_INTEGER,
): Page<T> {
  if (n !== undefined && !/^\d{1,9}$/.test(n))
    throw new OciError(400, 'UNSUPPORTED', `n=${JSON.stringify(n.slice(0, 40))} is not a number of entries`)
  const count = Math.min(n === undefined ? most : Number(n), most)
  const rest = all
    .filter(item => last === undefined || lexically(nameOf(item), last) > 0)
    .sort((a, b) => lexically(nameOf(a), nameOf(b)))
  const items = rest.slice(0, count)
  const more = items.length > 0 && items.length < rest.length
  return { items, next: more ? `n=${count}&last=${encodeURIComponent(nameOf(items.at(-1)!))}` : undefined }
}
