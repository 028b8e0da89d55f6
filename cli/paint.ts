import picocolors from 'picocolors'

export type Tint = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan'
export type Paint = (tint: Tint, text: string) => string

export function createPaint(color: boolean): Paint {
  const colors = picocolors.createColors(color)
  return (tint, text) => colors[tint](text)
}
