import { unsafeUniformIntDistribution } from 'pure-rand/distribution/UnsafeUniformIntDistribution'
import { xoroshiro128plus } from 'pure-rand/generator/XoroShiro'

/** A seeded generator: the same seed gives the same run. Machines get one and hold no other randomness. */
export interface Random {
  /** A whole number in [0, bound). `bound` is at least 1. */
  int(bound: number): number
  /** A number in [0, 1). */
  float(): number
  pick<T>(items: readonly T[]): T | undefined
  /** A new array with the same items in random order (Fisher-Yates). */
  shuffle<T>(items: readonly T[]): T[]
}

export function seededRandom(seed: number): Random {
  const generator = xoroshiro128plus(seed)
  const int = (bound: number): number => unsafeUniformIntDistribution(0, bound - 1, generator)
  return {
    int,
    float: () => int(0x4000_0000) / 0x4000_0000,
    pick: items => (items.length === 0 ? undefined : items[int(items.length)]),
    shuffle: items => {
      const result = [...items]
      for (let i = result.length - 1; i > 0; i--) {
        const j = int(i + 1)
        ;[result[i], result[j]] = [result[j]!, result[i]!]
      }
      return result
    },
  }
}
