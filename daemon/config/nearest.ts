/** The candidate at most two edits (Levenshtein) and less than half of its letters away, capitals and dashes aside. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replace(/[-_]/g, '')
  let best: { candidate: string; edits: number } | undefined
  for (const candidate of candidates) {
    const edits = distance(plain(name), plain(candidate))
    if (edits <= 2 && edits * 2 < candidate.length && (best === undefined || edits < best.edits))
      best = { candidate, edits }
  }
  return best?.candidate
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + Number(a[i - 1] !== b[j - 1])))
    row = next
  }
  return row[b.length]!
}
