// `fleetctl doctor`: gathers facts from the daemon (facts.ts), decides what is wrong and how it is mended (diagnose.ts, which asks nobody),
// and shows it. Loaded when it is asked for.
import { EXIT_CODE, FleetError, toFleetError } from '../../protocol/errors.ts'
import type { Context } from '../context.ts'
import { block, unbroken } from '../fit.ts'
import type { Tint } from '../paint.ts'
import { plain, plural } from '../text.ts'
import { bySeverity, type Checked, diagnose } from './diagnose.ts'
import { gather } from './facts.ts'
import type { Finding } from './types.ts'

/** As wide as `problem` and the gap behind it. */
const INDENT = ' '.repeat(9)

/** Exit 0 when there is no problem, whatever there is to look at; 1 when there is one; that of the error where the daemon does not answer. */
export async function run(context: Context): Promise<number> {
  const checked = await gather(context).then(diagnose, (error: unknown) => {
    const failed = toFleetError(error)
    if (context.signal.aborted || failed.code !== 'unavailable') throw failed
    return failed
  })
  if (checked instanceof FleetError) {
    show(context, [{ check: 'daemon', findings: [absent(checked)], good: '' }])
    return EXIT_CODE[checked.code]
  }
  show(context, checked)
  return checked.some(({ findings }) => findings.some(({ severity }) => severity === 'problem')) ? 1 : 0
}

/** The daemon that should tell all the rest does not answer. */
const absent = ({ message }: FleetError): Finding => ({
  severity: 'problem',
  what: message,
  mend: 'Start the daemon here, and see in its log (journalctl -u fleetd) why it stopped if it does not stay.',
  on: 'this host',
  run: 'systemctl start fleetd',
})

function show(context: Context, all: readonly Checked[]): void {
  const findings = bySeverity(all)
  const good = all.filter(each => each.findings.length === 0).map(({ check, good }) => ({ check, text: good }))
  const problems = findings.filter(({ severity }) => severity === 'problem').length
  context.show({ problems, warnings: findings.length - problems, findings, good }, () => {
    const { paint, width } = context
    const told = (tint: Tint, word: string, text: string): string =>
      block(`${paint(tint, word.padEnd(7))}  `, plain(text), width)
    return [
      ...findings.flatMap(({ check, severity, what, mend, on, run }) => [
        told(severity === 'problem' ? 'red' : 'yellow', severity, `${check}: ${what}`),
        block(INDENT, plain(mend), width),
        block(INDENT, paint('bold', `${unbroken(`on ${plain(on)}:`)} ${unbroken(plain(run))}`), width),
      ]),
      ...good.map(({ check, text }) => told('green', 'ok', `${check}: ${text}`)),
      problems === 0 && findings.length === 0
        ? 'all is well'
        : `${plural(problems, 'problem')}, ${plural(findings.length - problems, 'warning')}`,
    ].join('\n')
  })
}
